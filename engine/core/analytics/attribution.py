"""Where the profit came from: which voices, which regimes, which years. Every table adds up to the whole."""

from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal

import msgspec
import numpy as np

from engine.core.domain.errors import BadData
from engine.core.domain.records import TradeRecord
from engine.core.maths.rolling import Floats


class Row(msgspec.Struct, frozen=True):
    """The closed trades that share a key. `win_rate` counts net > 0; `expectancy` is the mean net a trade."""

    key: str
    trades: int
    wins: int
    gross: Decimal
    fees: Decimal
    net: Decimal
    win_rate: float
    expectancy: Decimal


def table(trades: Sequence[TradeRecord], key: Callable[[TradeRecord], str]) -> tuple[Row, ...]:
    """Return one row for each key, in the order of the alphabet; the rows add up to all trades."""
    groups: dict[str, list[TradeRecord]] = {}
    for trade in trades:
        groups.setdefault(key(trade), []).append(trade)
    return tuple(_row(name, groups[name]) for name in sorted(groups))


def by_regime(trades: Sequence[TradeRecord], regimes: Mapping[str, str]) -> tuple[Row, ...]:
    """Return one row for each regime; `regimes` names the one in force at each entry decision."""
    return table(trades, lambda trade: regimes.get(trade.entry_decision, "unknown"))


def by_source(trades: Sequence[TradeRecord]) -> dict[str, Decimal]:
    """Return the net profit of each voice over all trades, from their attributions; adds up to their net."""
    totals: dict[str, Decimal] = {}
    for trade in trades:
        for source, part in trade.attribution.items():
            totals[source] = totals.get(source, Decimal(0)) + part
    return dict(sorted(totals.items()))


class Stretch(msgspec.Struct, frozen=True):
    """What an account did in the bars that share a label. Returns of all labels compound to the whole."""

    label: str
    bars: int
    total_return: float
    sharpe_per_bar: float | None


def returns_by(equity: Floats, labels: Sequence[str]) -> tuple[Stretch, ...]:
    """Return what the account did under each label, in the order of their first bar.

    `labels` has one entry a bar (its year, its regime), and `equity` one value more: the starting capital.

    >>> for row in returns_by(np.array([100.0, 110.0, 99.0, 108.9]), ["2023", "2024", "2024"]):
    ...     print(row.label, row.bars, round(row.total_return, 4))
    2023 1 0.1
    2024 2 -0.01
    """
    if equity.size != len(labels) + 1:
        raise BadData(f"{equity.size} values of equity need {equity.size - 1} labels, were {len(labels)}")
    returns = equity[1:] / equity[:-1] - 1
    places: dict[str, list[int]] = {}
    for bar, label in enumerate(labels):
        places.setdefault(label, []).append(bar)
    return tuple(_stretch(label, returns[np.array(bars)]) for label, bars in places.items())


def _row(key: str, trades: Sequence[TradeRecord]) -> Row:
    net = sum((trade.net for trade in trades), Decimal(0))
    wins = sum(trade.net > 0 for trade in trades)
    return Row(
        key=key,
        trades=len(trades),
        wins=wins,
        gross=sum((trade.gross for trade in trades), Decimal(0)),
        fees=sum((trade.fees for trade in trades), Decimal(0)),
        net=net,
        win_rate=wins / len(trades),
        expectancy=net / len(trades),
    )


def _stretch(label: str, returns: Floats) -> Stretch:
    spread = float(returns.std(ddof=1)) if returns.size > 1 else 0.0
    sharpe = float(returns.mean()) / spread if spread > 0 else None
    return Stretch(label, returns.size, float(np.prod(1 + returns)) - 1, sharpe)

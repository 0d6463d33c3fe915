"""The day in one page: what was traded, what it cost, what it earned, from the day's records alone.

The totals are computed twice, from the fills as cash flows and from the ledger's portfolio at both ends of the
day; if they differ by a cent the report says so and is an incident, for then one of the two is wrong.
"""

from collections import Counter
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import msgspec

from engine.core.domain.errors import BadQuestion
from engine.core.domain.portfolio import Portfolio
from engine.core.domain.records import CycleRecord, FillRecord, Record, ReportRecord, TradeRecord
from engine.core.risk.daily import day_of
from engine.ports import Journal

ZERO = Decimal(0)
CENT = Decimal("0.01")


class DayReport(msgspec.Struct, frozen=True):
    """A day's totals. `equity_change` is from the last cycle before the day to the last one of it.

    `cash_change` is the ledger's; `cash_flow` what the day's fills add up to. They must be equal.
    """

    day: str
    decisions: dict[str, int]
    fills: int
    bought: Decimal
    sold: Decimal
    fees: Decimal
    slippage: Decimal
    trades: int
    net: Decimal
    equity: Decimal
    equity_change: Decimal
    cash: Decimal
    cash_change: Decimal
    cash_flow: Decimal
    positions: dict[str, str]
    lines: tuple[str, ...]

    @property
    def agrees(self) -> bool:
        """Whether the fills explain the cash."""
        return self.cash_change == self.cash_flow

    def totals(self) -> dict[str, Decimal]:
        """What goes into the record of the report."""
        return {
            "bought": self.bought,
            "sold": self.sold,
            "fees": self.fees,
            "slippage": self.slippage,
            "net": self.net,
            "equity": self.equity,
            "equity_change": self.equity_change,
            "cash": self.cash,
            "cash_change": self.cash_change,
        }


def bounds(day: str) -> tuple[datetime, datetime]:
    """The moments whose records belong to the UTC `day`: after midnight, up to and with the next midnight."""
    try:
        start = datetime.strptime(day, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        raise BadQuestion(f"{day!r} is not a day; expected a date such as 2008-10-15, or last") from None
    tick = timedelta(milliseconds=1)  # records are filed by the millisecond
    return start + tick, start + timedelta(days=1) + tick


def last_day(journal: Journal) -> str | None:
    """The newest day that has a cycle; None for an empty journal."""
    newest = journal.find(kind="cycle", limit=1)
    return day_of(newest[0].record.at) if newest else None


def build(journal: Journal, day: str, cash_at_start: Decimal) -> DayReport:
    """The report of a day; BadQuestion when nothing was recorded on it. `cash_at_start` is a new desk's."""
    since, until = bounds(day)
    records = [s.record for s in journal.find(since=since, until=until, limit=1_000_000, newest_first=False)]
    cycles = [record for record in records if isinstance(record, CycleRecord)]
    if not cycles:
        raise BadQuestion(f"there is no cycle on {day}; {_coverage(journal)}")
    before = journal.find(kind="cycle", until=since, limit=1)
    opening = _portfolio(before[0].record) if before else Portfolio(cash=cash_at_start)
    return _report(day, records, cycles, opening)


def record_of(report: DayReport, at: datetime) -> ReportRecord:
    """The report as a record; one for each day."""
    return ReportRecord(
        id=f"r-{report.day}", at=at, day=report.day, totals=report.totals(), text="\n".join(report.lines)
    )


def _report(day: str, records: list[Record], cycles: list[CycleRecord], opening: Portfolio) -> DayReport:
    fills = [record.fill for record in records if isinstance(record, FillRecord)]
    trades = [record for record in records if isinstance(record, TradeRecord)]
    closing = cycles[-1].portfolio
    bought = sum((f.quantity * f.price for f in fills if f.side.sign > 0), ZERO)
    sold = sum((f.quantity * f.price for f in fills if f.side.sign < 0), ZERO)
    fees = sum((f.fee for f in fills), ZERO)
    report = DayReport(
        day=day,
        decisions=dict(sorted(Counter(c.result.outcome.value for c in cycles).items())),
        fills=len(fills),
        bought=bought,
        sold=sold,
        fees=fees,
        slippage=sum((f.side.sign * (f.price - f.reference) * f.quantity for f in fills), ZERO),
        trades=len(trades),
        net=sum((trade.net for trade in trades), ZERO),
        equity=closing.equity,
        equity_change=closing.equity - opening.equity,
        cash=closing.cash,
        cash_change=closing.cash - opening.cash,
        cash_flow=sold - bought - fees,
        positions={p.instrument: str(p.quantity) for p in closing.positions},
        lines=(),
    )
    return msgspec.structs.replace(report, lines=_lines(report, trades))


def _lines(report: DayReport, trades: list[TradeRecord]) -> tuple[str, ...]:
    decisions = ", ".join(
        f"{count} {outcome.replace('_', ' ')}" for outcome, count in report.decisions.items()
    )
    lines = [
        f"Report for {report.day} (UTC)",
        f"equity {_money(report.equity)} ({_money(report.equity_change, sign=True)}), cash {_money(report.cash)}",
        f"{report.fills} fills: bought {_money(report.bought)}, sold {_money(report.sold)}, "
        f"fees {_money(report.fees)}, slippage {_money(report.slippage)}",
        f"{report.trades} trades closed, net {_money(report.net, sign=True)}",
        f"decisions: {decisions}",
    ]
    lines += [
        f"  {trade.instrument} {_money(trade.net, sign=True)} by {trade.exit_reason} after {trade.bars_held} bars "
        f"[{trade.id}]"
        for trade in trades
    ]
    held = ", ".join(f"{quantity} {name}" for name, quantity in report.positions.items())
    lines.append(f"held: {held or 'nothing'}")
    if not report.agrees:
        lines.append(
            f"INCIDENT: fills explain {report.cash_flow} of cash, the ledger moved {report.cash_change}"
        )
    return tuple(lines)


def _portfolio(record: Record) -> Portfolio:
    assert isinstance(record, CycleRecord)
    return record.portfolio


def _coverage(journal: Journal) -> str:
    first = journal.find(kind="cycle", limit=1, newest_first=False)
    if not first:
        return "the journal has no cycles yet"
    newest = journal.find(kind="cycle", limit=1)[0]
    return f"cycles go from {day_of(first[0].record.at)} to {day_of(newest.record.at)}"


def _money(value: Decimal, *, sign: bool = False) -> str:
    return f"{value.quantize(CENT):{'+' if sign else ''},}"

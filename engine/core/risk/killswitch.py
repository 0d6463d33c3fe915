"""The kill switch: which state follows which command. Never straight back from HALTED to ACTIVE."""

from datetime import datetime
from decimal import Decimal

from msgspec.structs import replace

from configs.schema.settings import Settings
from engine.core.domain.commands import CommandKind
from engine.core.domain.risk import Lock, RiskState, TradingState
from engine.core.risk.patterns import MANUAL, VENUE
from engine.core.risk.system import RANK

NEXT: dict[tuple[TradingState, CommandKind], TradingState] = {
    (TradingState.ACTIVE, CommandKind.KILL): TradingState.HALTED,
    (TradingState.REDUCING, CommandKind.KILL): TradingState.HALTED,
    (TradingState.HALTED, CommandKind.KILL): TradingState.HALTED,
    (TradingState.ACTIVE, CommandKind.FLATTEN): TradingState.HALTED,
    (TradingState.REDUCING, CommandKind.FLATTEN): TradingState.HALTED,
    (TradingState.HALTED, CommandKind.FLATTEN): TradingState.HALTED,
    (TradingState.ACTIVE, CommandKind.PAUSE): TradingState.REDUCING,
    (TradingState.REDUCING, CommandKind.PAUSE): TradingState.REDUCING,
    (TradingState.HALTED, CommandKind.PAUSE): TradingState.HALTED,
    (TradingState.HALTED, CommandKind.RESUME): TradingState.REDUCING,
    (TradingState.REDUCING, CommandKind.RESUME): TradingState.ACTIVE,
    (TradingState.ACTIVE, CommandKind.RESUME): TradingState.ACTIVE,
}


def next_state(state: TradingState, kind: CommandKind) -> TradingState:
    """The state after the command.

    >>> next_state(TradingState.HALTED, CommandKind.RESUME)
    <TradingState.REDUCING: 'reducing'>
    """
    return NEXT[state, kind]


def lockable(settings: Settings) -> tuple[str, ...]:
    """What can be locked: each instrument, each alpha, what persons enter, and all that goes to the venue."""
    instruments = [instrument.name for instrument in settings.desk.instruments]
    return (VENUE, MANUAL, *instruments, *settings.alpha.enabled)


def with_lock(risk: RiskState, name: str, lock: Lock | None) -> RiskState:
    """The state with that lock; with None, without any on `name`."""
    kept = {other: each for other, each in risk.locks.items() if other != name}
    return replace(risk, locks=kept | {name: lock} if lock else kept)


def overtaken(name: str, said: datetime | None, since: datetime | None) -> str:
    """Why an unlock that was `said` then is not about the lock of `since`; empty when it is, or nothing is locked.

    One that was on its way for long, or comes again, must not lift a lock that is newer than it.

    >>> noon, before = datetime(2026, 1, 1, 12), datetime(2026, 1, 1, 11, 59)
    >>> overtaken("BTC/USDT", noon, noon), overtaken("BTC/USDT", None, noon), overtaken("BTC/USDT", noon, None)
    ('', '', '')
    >>> overtaken("BTC/USDT", before, noon)
    'BTC/USDT stays locked: it was locked at 12:00:00, after that was said at 11:59:00; look at it and say it again'
    """
    if said is None or since is None or since <= said:
        return ""
    form = "%H:%M:%S" if since.date() == said.date() else "%Y-%m-%d %H:%M:%S"
    return (
        f"{name} stays locked: it was locked at {since:{form}}, after that was said at {said:{form}};"
        " look at it and say it again"
    )


def switched(
    risk: RiskState, state: TradingState, by: str, why: str, at: datetime, equity: Decimal, flatten: bool
) -> RiskState:
    """The risk state after a switch. Each step up accepts the losses so far: loss and drawdown count from here, or
    the breaker that halted the desk would halt it again at the next bar. The record of the command says so.
    """
    if state is risk.trading and flatten == risk.flatten:
        return risk
    changed = replace(risk, trading=state, since=at, by=by, why=why, flatten=flatten)
    if RANK[state] > RANK[risk.trading]:
        return replace(
            changed,
            high_water=equity,
            day_equity=equity,
            losses_in_a_row=0,
            bar_losses=0,
            bar_loss_streak=0,
            last_bar_loss=None,
        )
    return changed

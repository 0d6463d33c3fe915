"""Status, risk, kill, pause, resume and locks from any console: they need neither engine nor chat nor venue."""

from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

from bot.commands.risk import panel_lines
from configs.schema.settings import Settings
from engine.core.domain.commands import CommandKind
from engine.core.domain.errors import BadInput, BadSettings, StoreFailed
from engine.core.domain.risk import TradingState
from engine.core.risk.killswitch import lockable, next_state
from engine.live.status import risk_panel, status_with_halt
from engine.store.lock import holder
from explain.units import money, price, when
from jobs.clocks import WallClock
from jobs.home import Home
from jobs.opened import halts, opened
from jobs.output import show
from jobs.watched import watched


def status(root: Path, settings: Settings, *, as_json: bool) -> None:
    """What the journal and the halt row say."""
    home = Home(root)
    if not _recorded(home, settings):
        value: dict[str, Any] = {"state": "new", "since": None, "by": "", "records": 0}
        show(as_json, value, ["nothing was recorded here yet"])
        return
    with opened(home, settings) as desk:
        value = current(desk.home, desk.journal, desk.settings)
    show(as_json, value, lines(value))


def current(home: Home, journal: Any, settings: Settings) -> dict[str, Any]:
    """The state of the desk by its journal, with the halt row's word on whether it trades."""
    from engine.live.recover import rebuild

    recovered = rebuild(journal, settings)
    store = halts(home, settings, read_only=True)
    try:
        shown = status_with_halt(
            recovered.state, recovered.sequence, store.halt(), settings.desk.currency, store.locks()
        )
        return shown | {"running": holder(home.root)} | watched(home.root)
    finally:
        store.close()


def switch(
    root: Path, settings: Settings, kind: str, reason: str, *, as_json: bool, quiet: bool = False
) -> None:
    """Change the halt row. A running engine reads it before every order and takes it over before its next cycle."""
    home, at = Home(root), WallClock().now()
    known = _recorded(home, settings)
    if known:
        settings, _ = _of_newest_run(home, settings, CommandKind(kind))
    elif kind != CommandKind.KILL:
        raise BadInput(f"{root}: nothing was recorded here yet, so there is nothing to {kind}")
    store = halts(home, settings)
    try:
        # A kill halts from any state: it asks nothing that a damaged store could fail to answer.
        seen = None if kind == CommandKind.KILL else store.halt()
        state = next_state(seen.state if seen else TradingState.ACTIVE, CommandKind(kind))
        already = seen is not None and kind == CommandKind.PAUSE and state is seen.state
        row = (
            seen
            if seen and already
            else store.set_halt(state, "console", reason, at, after=seen.version if seen else None)
        )
    finally:
        store.close()
    value = {"state": row.state.value, "since": row.since.isoformat(), "by": row.by, "reason": row.reason}
    said = [f"the desk is {row.state}{HINT[row.state]}"]
    if not known:
        said.append(NO_HOME.format(root))
    if not quiet:
        show(as_json, value, said)


def lock(root: Path, settings: Settings, name: str, reason: str, *, locks: bool, as_json: bool) -> None:
    """Change the row of a lock. A running engine reads it before every order that adds risk.

    To lock, the journal need not be readable, nor be there: the row is in a table of its own.
    """
    home, at = Home(root), WallClock().now()
    said = []
    if _recorded(home, settings):
        kind = CommandKind.LOCK if locks else CommandKind.UNLOCK
        settings, why = _of_newest_run(home, settings, kind)
        said += (
            [f"what the desk ran with cannot be read, so this is by the profile given: {why}"] if why else []
        )
    elif locks:
        said.append(NO_HOME.format(root))
    else:
        raise BadInput(f"{root}: nothing was recorded here yet, so there is nothing to unlock")
    names = lockable(settings)
    match = next((each for each in names if each.casefold() == name.casefold()), None)
    if match is None:
        raise BadInput("; ".join([f"{name!r} cannot be locked: expected one of {', '.join(names)}", *said]))
    store = halts(home, settings)
    try:
        after = None if locks else next((row.version for row in store.locks() if row.name == match), 0)
        row = store.set_lock(match, locks, "console", reason, at, after)
    except StoreFailed as error:
        raise StoreFailed(f"{error}; `whydesk kill` needs no database" if locks else str(error)) from error
    finally:
        store.close()
    state = "locked" if row.locked else "unlocked"
    value = {"name": row.name, "locked": row.locked, "since": row.since.isoformat(), "reason": reason}
    show(as_json, value, [f"{row.name} is {state}", *said])


def risk(root: Path, settings: Settings, *, as_json: bool) -> None:
    """Every limit of the desk with what is used of it."""
    from engine.live.recover import rebuild

    with opened(Home(root), settings) as desk:
        state = rebuild(desk.journal, desk.settings).state
        store = halts(desk.home, desk.settings, read_only=True)
        try:
            shown = risk_panel(state, desk.settings, WallClock().now(), store.halt(), store.locks())
        finally:
            store.close()
    show(as_json, shown, panel_lines(shown))


def _of_newest_run(home: Home, settings: Settings, kind: CommandKind) -> tuple[Settings, str]:
    """They name the desk whose row it is. What only holds the desk back goes on without them, and says why.

    Neither a damaged store nor settings that this code does not know any more may stand in its way.
    """
    try:
        with opened(home, settings) as desk:
            return desk.settings, ""
    except (StoreFailed, BadSettings) as error:
        if kind not in (CommandKind.KILL, CommandKind.LOCK):
            raise
        return settings, str(error)


NO_HOME = "nothing was ever recorded in {}: is it the home of your desk?"
HINT = {
    TradingState.HALTED: ": no order that adds risk leaves it; `whydesk resume` twice to trade again",
    TradingState.REDUCING: ": positions may be closed, none opened; `whydesk resume` again to trade",
    TradingState.ACTIVE: "",
}


def lines(value: dict[str, Any]) -> list[str]:
    """The status for people."""
    since = f" since {_when(value['since'])} by {value['by']}" if value["since"] else ""
    reason = f": {value['reason']}" if value["since"] and value["reason"] else ""
    shown = [
        f"{value['state']}{since}{reason}",
        f"equity {_money(value['equity'])}, cash {_money(value['cash'])}, "
        f"day's loss {round(value['day_loss'], 4) + 0.0:.2%}, drawdown {value['drawdown']:.2%}",
        f"last bar {_when(value['last_bar'])}, {value['open_orders']} open orders, {value['records']:,} records",
    ]
    shown += [] if value.get("running", True) else ["no engine runs in this home: `whydesk run` starts one"]
    if value.get("crashes"):
        shown.append(f"the desk crashed {value['crashes']} times within ten minutes")
    shown += [f"nothing new is opened: {why}" for why in value["holds"].values()]
    shown += [f"{name} is locked: {why or 'no reason was given'}" for name, why in value["locks"].items()]
    return shown + [
        f"  {p['quantity']} {p['instrument']} at {_price(p['average_price'])}, now {_price(p['price'])}, "
        f"profit {_money(p['profit'])}, stop {_price(p['stop'])}, target {_price(p['target'])} [{p['entry']}]"
        for p in value["positions"]
    ]


def _when(moment: str | None) -> str:
    return when(datetime.fromisoformat(moment)) if moment else "none yet"


def _money(amount: str) -> str:
    return money(Decimal(amount))


def _price(amount: str) -> str:
    return price(Decimal(amount))


def _recorded(home: Home, settings: Settings) -> bool:
    return bool(settings.store.url) or (home.root / "desk.sqlite3").exists()

"""/trades: the newest closed trades, each with what closed it."""

from bot.command import ChatCommand, Context, Reply
from bot.people import Role
from bot.render import trade_line
from engine.core.domain.records import TradeRecord

USUAL, MOST = 5, 20


async def _trades(context: Context, arguments: str) -> Reply:
    if arguments and not (arguments.isascii() and arguments.isdigit() and 1 <= int(arguments[:9]) <= MOST):
        return Reply(f"/trades takes a number from 1 to {MOST}, such as /trades {USUAL}.", ok=False)
    found = context.journal.find(kind="trade", limit=int(arguments or USUAL))
    trades = [stored.record for stored in found if isinstance(stored.record, TradeRecord)]
    if not trades:
        return Reply("No trade has been closed yet.", only=True)
    return Reply("\n".join([trade_line(trade) for trade in trades]), only=True)


COMMANDS = (ChatCommand("trades", Role.VIEWER, "/trades [n]", "The newest closed trades.", _trades),)

"""/report: the daily report of a day, as it is sent every night."""

from bot.command import ChatCommand, Context, Reply
from bot.people import Role
from explain.dates import find_period


async def _report(context: Context, arguments: str) -> Reply:
    if not arguments:
        return Reply(await context.report(""), only=True)
    found = find_period(arguments.lower(), context.now().date())
    if found.period is None or found.rest.strip() or found.period.first != found.period.last:
        return Reply("/report takes one day, such as /report 2008-10-15.", ok=False)
    return Reply(await context.report(found.period.first.isoformat()), only=True)


COMMANDS = (
    ChatCommand(
        "report",
        Role.VIEWER,
        "/report [day]",
        "The report of a day; of the last one when none is named.",
        _report,
        aliases=("daily",),
    ),
)

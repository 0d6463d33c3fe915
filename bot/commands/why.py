"""/why and /whynot: questions, answered from the records. Free text comes here too; it can change nothing."""

from bot.command import ChatCommand, Context, Reply
from bot.people import Role
from bot.render import state_now
from explain.question import Kind
from explain.why import Answer, answer_record, why


async def _why(context: Context, arguments: str) -> Reply:
    """ "/why SP500" and "/why did you buy?" go without the word that the command has said already."""
    answer = why(arguments, context.journal)
    if answer.kind == Kind.HELP and arguments:
        answer = why(f"why {arguments}", context.journal)
    return await _told(context, arguments, answer)


async def _why_not(context: Context, arguments: str) -> Reply:
    question = f"why no trade in {arguments}" if arguments else "why no trade"
    return await _told(context, question, why(question, context.journal))


async def _told(context: Context, question: str, answer: Answer) -> Reply:
    if context.remember is not None:
        await context.remember(answer_record(answer, question, context.person.name, context.now()))
    if answer.kind != Kind.WHY_HALTED:
        return Reply(answer.text, ok=not answer.refused)
    return Reply(f"{answer.text}\n{state_now(context.desk.status())}", ok=not answer.refused)


COMMANDS = (
    ChatCommand(
        "why",
        Role.VIEWER,
        "/why <question or record id>",
        "Why it bought, sold, sized or held, from the records.",
        _why,
    ),
    ChatCommand(
        "whynot",
        Role.VIEWER,
        "/whynot <instrument> [day]",
        "What stood in the way of a trade.",
        _why_not,
    ),
)

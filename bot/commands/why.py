"""/why and /whynot: questions, answered from the records. Free text comes here too; it can change nothing."""

from bot.command import ChatCommand, Context, Reply
from bot.people import Role
from explain.why import answer_record, why


async def _why(context: Context, arguments: str) -> Reply:
    return await _answer(context, _asked("why", arguments))


async def _why_not(context: Context, arguments: str) -> Reply:
    return await _answer(context, f"why no trade in {arguments}" if arguments else "why no trade")


def _asked(word: str, arguments: str) -> str:
    """The question as a sentence: "/why SP500" lacks its verb, free text does not."""
    return arguments if len(arguments.split()) > 3 or not arguments else f"{word} {arguments}"


async def _answer(context: Context, question: str) -> Reply:
    answer = why(question, context.journal)
    if context.remember is not None:
        await context.remember(answer_record(answer, question, context.person.name, context.now()))
    return Reply(answer.text, ok=not answer.refused)


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

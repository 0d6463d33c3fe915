"""/approve and /deny: the same as the buttons of a card, by typing."""

from bot.command import ChatCommand, Context, Effect, Reply
from bot.people import Role


async def _approve(context: Context, arguments: str) -> Reply:
    return await _answer(context, arguments, yes=True)


async def _deny(context: Context, arguments: str) -> Reply:
    return await _answer(context, arguments, yes=False)


async def _answer(context: Context, arguments: str, *, yes: bool) -> Reply:
    if context.questions is None:
        return Reply("No questions are kept here.", ok=False)
    nonce, _, code = arguments.partition(" ")
    nonce = nonce or context.questions.newest(context, yes=yes)
    if not nonce:
        return Reply("Nothing waits for your answer here.", ok=False)
    return await context.questions.answer(context, nonce, code.strip(), yes=yes, pressed=False)


COMMANDS = (
    ChatCommand(
        "approve",
        Role.TRADER,
        "/approve [question] [digits]",
        "Say yes to what waits for it; to the newest when none is named.",
        _approve,
        effect=Effect.MORE,
        examples=("/approve", "/approve k3J9x_2LmQaW8f0z 4821"),
    ),
    ChatCommand(
        "deny",
        Role.TRADER,
        "/deny [question]",
        "Say no to what waits for an answer.",
        _deny,
        effect=Effect.LESS,
        examples=("/deny",),
    ),
)

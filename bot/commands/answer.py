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
    if not nonce:
        waiting = await context.questions.waiting(context, yes=yes)
        if not waiting:
            return Reply("Nothing waits for your answer here.", ok=False)
        if yes and len(waiting) > 1:
            text = f"{len(waiting)} questions wait for your yes: name one, such as /approve {waiting[0]}"
            return Reply(text, ok=False)
        nonce = waiting[0]
    return await context.questions.answer(context, nonce, code.strip(), yes=yes, pressed=False)


COMMANDS = (
    ChatCommand(
        "approve",
        Role.TRADER,
        "/approve [question] [digits]",
        "Say yes to what waits for it; where more than one thing does, it must be named.",
        _approve,
        effect=Effect.MORE,
        stale_s=30,
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

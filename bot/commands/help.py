"""/help: what this person may use here."""

from collections.abc import Iterator

from bot.command import ChatCommand, Confirm, Context, Reply
from bot.people import Role
from bot.render import state_sentence


async def _start(context: Context, arguments: str) -> Reply:
    """Telegram sends this for whoever opens the chat, so it may do nothing."""
    shown = context.desk.status()
    on = "" if shown["state"] == "active" else " /resume lets it go on."
    return Reply(f"{state_sentence(shown)}{on} /help lists what you may use.")


async def _help(context: Context, arguments: str) -> Reply:
    assert context.registry is not None, "dispatch gives the registry"
    wanted = arguments.lstrip("/")
    if wanted:
        command = context.registry.called(wanted)
        if command is None:
            return Reply(f"There is no command /{wanted[:32]}.", ok=False)
        return Reply("\n".join(_about(command)))
    lines = [f"{command.usage}  {command.help}" for command in context.registry.for_role(context.person.role)]
    return Reply("\n".join([*lines, "Anything without a slash is a question: why did you buy?"]))


def _about(command: ChatCommand) -> Iterator[str]:
    """Everything that there is to know of one command."""
    yield command.usage
    needs = f"Needs the role {command.role.word}." if command.role else "Anybody may use it."
    yield f"{command.help} {needs}"
    if command.aliases:
        yield f"Also: {', '.join(f'/{alias}' for alias in command.aliases)}."
    if command.confirm is not Confirm.NONE:
        yield f"Confirmed by {command.confirm}{f' ({command.confirmed})' if command.confirmed else ''}."
    if command.examples:
        yield f"For example: {', '.join(command.examples)}"


COMMANDS = (
    ChatCommand("help", Role.VIEWER, "/help [command]", "What you may use, and how.", _help),
    ChatCommand("start", Role.VIEWER, "/start", "The desk's state, and where to go from here.", _start),
)

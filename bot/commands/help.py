"""/help: what this person may use here."""

from bot.command import ChatCommand, Context, Reply
from bot.people import Role


async def _help(context: Context, arguments: str) -> Reply:
    assert context.registry is not None, "dispatch gives the registry"
    wanted = arguments.lstrip("/")
    if wanted:
        command = context.registry.commands.get(wanted)
        if command is None:
            return Reply(f"There is no command /{wanted[:32]}.", ok=False)
        return Reply(f"{command.usage}\n{command.help} Needs the role {command.role.word}.")
    lines = [f"{command.usage}  {command.help}" for command in context.registry.for_role(context.person.role)]
    return Reply("\n".join([*lines, "Anything without a slash is a question: why did you buy?"]))


COMMANDS = (ChatCommand("help", Role.VIEWER, "/help [command]", "What you may use, and how.", _help),)

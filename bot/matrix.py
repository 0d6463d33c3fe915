"""The permission matrix as a page of the handbook, made from the registry: it says what the code does."""

from collections.abc import Iterator

from bot.command import ChatCommand, Confirm, Registry

HEAD = """# Commands

Made from the registry (`bot/commands`) by `python -m tests.unit.bot.page`; a test holds it against the code. How
people, roles and confirmations work: [chat](chat.md).

Each role may do what the ones before it may: viewer, trader, admin, owner. A message that is older than its limit when
it comes is refused; what makes the desk safer is done within ten minutes, and said to be late. Free text is a question
and changes nothing. At the desk's own terminal nothing is asked twice.

| command | also | role | confirmed by | at most | what it does |
|---|---|---|---|---|---|
"""


def page(registry: Registry) -> str:
    """The page, whole."""
    return (
        HEAD + "\n".join(_row(command) for command in registry.commands.values()) + "\n" + _examples(registry)
    )


def _row(command: ChatCommand) -> str:
    cells = (
        _code(command.usage),
        ", ".join(_code(f"/{alias}") for alias in command.aliases),
        command.role.word if command.role else "anybody",
        _confirmation(command),
        "" if command.stale_s is None else f"{command.stale_s:g} s",
        command.help,
    )
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _confirmation(command: ChatCommand) -> str:
    if command.confirm is Confirm.NONE:
        return ""
    return f"{command.confirm}, {command.confirmed}" if command.confirmed else command.confirm.value


def _code(text: str) -> str:
    return f"`{text}`"


def _examples(registry: Registry) -> str:
    return "\n## Examples\n\n" + "\n".join(_example(registry)) + "\n"


def _example(registry: Registry) -> Iterator[str]:
    for command in registry.commands.values():
        if command.examples:
            yield f"- {', '.join(_code(example) for example in command.examples)}"

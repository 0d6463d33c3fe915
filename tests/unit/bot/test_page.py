"""The handbook's page of commands is what the registry makes."""

from bot.commands import REGISTRY
from bot.matrix import page
from tests.unit.bot.page import PAGE


def test_the_page_of_commands_is_the_registrys() -> None:
    assert PAGE.read_text() == page(REGISTRY), "python -m tests.unit.bot.page writes it"


def test_the_page_names_every_command_alias_and_role_and_is_a_table() -> None:
    rows = [line for line in page(REGISTRY).splitlines() if line.startswith("| `/")]

    assert len(rows) == len(REGISTRY.commands)
    for command, row in zip(REGISTRY.commands.values(), rows, strict=True):
        assert row.replace("\\|", "").count("|") == 7
        assert f"/{command.name}" in row
        assert all(f"`/{alias}`" in row for alias in command.aliases)
        assert f"| {command.role.word if command.role else 'anybody'} |" in row

"""Write the handbook's page of commands again: `python -m tests.unit.bot.page`, then read the difference."""

from pathlib import Path

from bot.commands import REGISTRY
from bot.matrix import page

PAGE = Path(__file__).parents[3] / "knowledge" / "handbook" / "commands.md"

if __name__ == "__main__":
    PAGE.write_text(page(REGISTRY))

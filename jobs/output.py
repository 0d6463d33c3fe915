"""What a command prints: one JSON object on stdout, or lines for people. Everything else goes to stderr."""

import sys
from collections.abc import Iterable
from typing import Any

import msgspec


def show(as_json: bool, value: Any, lines: Iterable[str]) -> None:
    """Print `value` as one JSON object, or the lines."""
    if as_json:
        sys.stdout.write(msgspec.json.encode(value).decode() + "\n")
    else:
        for line in lines:
            sys.stdout.write(line + "\n")
    sys.stdout.flush()


def say(text: str) -> None:
    """A line for people that is no result."""
    sys.stderr.write(text + "\n")

"""The project's own source as syntax trees, for tests that look at how it is written."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple, TypeVar

Node = TypeVar("Node", bound=ast.AST)

ROOT = Path(__file__).resolve().parents[2]
FLOORS = ("jobs", "bot", "explain", "knowledge", "engine", "configs")


class Source(NamedTuple):
    """One file of Python: `path` is relative to the repository, with forward slashes."""

    path: str
    tree: ast.Module


@cache
def sources(*folders: str) -> tuple[Source, ...]:
    """Every Python file below `folders`."""
    paths = sorted(path for folder in folders for path in (ROOT / folder).rglob("*.py"))
    return tuple(
        Source(path.relative_to(ROOT).as_posix(), ast.parse(path.read_bytes(), filename=str(path)))
        for path in paths
    )


def find(kind: type[Node], *folders: str) -> Iterator[tuple[str, Node]]:
    """Every node of one kind below `folders`, each with its place as `path:line`."""
    for path, tree in sources(*folders):
        for node in ast.walk(tree):
            if isinstance(node, kind):
                yield f"{path}:{getattr(node, 'lineno', 1)}", node


def dotted(node: ast.expr) -> str:
    """`a.b.c` for a name or a chain of attributes, else an empty string.

    >>> dotted(ast.parse("time.sleep(1)", mode="eval").body.func)
    'time.sleep'
    """
    match node:
        case ast.Name(id=name):
            return name
        case ast.Attribute(value=value, attr=attr):
            owner = dotted(value)
            return f"{owner}.{attr}" if owner else ""
        case _:
            return ""

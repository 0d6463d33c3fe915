"""A long text as several that a platform takes. What is a table, and where a text may be cut.

Lines between two lines of ``` are a table. A text is cut between lines; a table is closed at the end of a part and
opened again in the next, under its first line, so that each part can be read alone. Only a line that is too long for
any part is cut, between two words if it has some.
"""

from collections.abc import Iterator
from typing import NamedTuple

FENCE = "```"
LEAST = 16
"""Units below which a part would have no room for a table."""
_ROUND = 2 * (len(FENCE) + 1)
"""What the two lines round a table take."""


class Block(NamedTuple):
    """Lines that belong together. Those of a table keep their columns; its lines of ``` are not among them."""

    lines: tuple[str, ...]
    table: bool = False


def units(text: str) -> int:
    """Length in UTF-16 code units, in which Telegram counts; never less than the number of characters.

    >>> units("BTC"), units("\N{ROCKET}")
    (3, 2)
    """
    return len(text) + sum(character > "\uffff" for character in text)


def blocks(text: str) -> tuple[Block, ...]:
    """The text as tables and what is between them. A table that is not closed ends with the text.

    >>> blocks("Open:\\n```\\nBTC 1\\n```")
    (Block(lines=('Open:',), table=False), Block(lines=('BTC 1',), table=True))
    """
    found: list[Block] = []
    lines: list[str] = []
    table = False
    for line in [*text.replace("\r\n", "\n").replace("\r", "\n").split("\n"), None]:
        if line is not None and line.strip() != FENCE:
            lines.append(line)
            continue
        if any(each.strip() for each in lines):
            found.append(Block(tuple(lines), table))
        lines, table = [], not table
    return tuple(found)


def split(text: str, most: int) -> list[str]:
    """Parts of at most `most` UTF-16 units, none of them blank, in order. Nothing but blank lines is left out.

    >>> split("one\\ntwo\\nthree", 16)
    ['one\\ntwo\\nthree']
    >>> split("```\\nasset  size\\nBTC    1\\nETH    2\\n```", 30)
    ['```\\nasset  size\\nBTC    1\\n```', '```\\nasset  size\\nETH    2\\n```']
    """
    if most < LEAST:
        raise ValueError(f"a part needs room for at least {LEAST} units, was {most}")
    pages = _Pages(most)
    for block in blocks(text):
        if block.table:
            _table(pages, block.lines, most)
        else:
            for line in block.lines:
                for piece in _pieces(line, most):
                    pages.add(piece)
    return pages.finished()


def _table(pages: "_Pages", rows: tuple[str, ...], most: int) -> None:
    """Begins a new part where the table fits into one but not into what is left of this one."""
    room = most - _ROUND
    pieces = [piece for row in rows for piece in _pieces(row, room)]
    whole = _size(pieces)
    if pages.left < _ROUND + 1 + min(whole, _size(pieces[:2])) or pages.left - _ROUND - 1 < whole <= room:
        pages.turn()
    held: list[str] = []
    used = 0
    for piece in pieces:
        if held and used + units(piece) > pages.left - _ROUND - pages.begun:
            _closed(pages, held)
            pages.turn()
            held = [pieces[0]] if _size([pieces[0], piece]) <= room else []
            used = sum(units(each) + 1 for each in held)
        held.append(piece)
        used += units(piece) + 1
    _closed(pages, held)


def _closed(pages: "_Pages", rows: list[str]) -> None:
    if any(row.strip() for row in rows):
        pages.add("\n".join([FENCE, *rows, FENCE]))


def _size(lines: list[str]) -> int:
    return sum(units(line) for line in lines) + max(0, len(lines) - 1)


def _pieces(line: str, most: int) -> Iterator[str]:
    """The line, or what it must be cut into."""
    while units(line) > most:
        end = _fitting(line, most)
        space = line.rfind(" ", 1, end + 1)
        cut = space if line[: max(space, 0)].strip() else end
        yield line[:cut]
        line = line[cut:].lstrip(" ")
    yield line


def _fitting(line: str, most: int) -> int:
    """How many characters of it fit."""
    used = 0
    for number, character in enumerate(line):
        used += units(character)
        if used > most:
            return number
    return len(line)


class _Pages:
    """Parts, the last of which is being filled."""

    def __init__(self, most: int) -> None:
        self._most = most
        self._done: list[str] = []
        self._lines: list[str] = []
        self._used = 0

    @property
    def begun(self) -> bool:
        """Whether something is in the last part, so that what comes next needs a line break."""
        return bool(self._lines)

    @property
    def left(self) -> int:
        """Units left in the last part."""
        return self._most - self._used

    def add(self, lines: str) -> None:
        """Put them into the last part, or begin another."""
        if units(lines) + self.begun > self.left:
            self.turn()
        if lines.strip() or self.begun:
            self._used += units(lines) + self.begun
            self._lines.append(lines)

    def turn(self) -> None:
        """Begin another part."""
        text = "\n".join(self._lines).rstrip()
        if text:
            self._done.append(text)
        self._lines, self._used = [], 0

    def finished(self) -> list[str]:
        """All of them."""
        self.turn()
        return self._done

"""Plain text as Discord shows it: nothing in it is markup or a mention, tables keep their columns, parts fit.

Written apart from the connection, so that all of it can be tried on text alone.
"""

import re
from typing import NamedTuple

from bot.pages import FENCE, blocks, split, units

CONTENT, EMBED = 2000, 4096
"""Characters of a message and of an embed's description. An embed with nothing else keeps below the 6000 of all."""
LINE = 900
"""Longest line of prose before it is escaped, which at most doubles it: so it is never cut inside an escape."""
_GAP = "\u200b"
_MARKUP = re.compile(
    r"[\\*_~|`\[\]<>]|^(?=[^\S\n]*[#+-])([^\S\n]*)(?=[#+-])|^([^\S\n]*\d+)(?=[.)])", re.MULTILINE
)
_PINGS = re.compile(r"@(?=everyone|here|[!&]?\d)")


class Part(NamedTuple):
    """One message: what stands in it, and what stands in its embed; empty for none."""

    content: str
    embed: str = ""


def escaped(text: str) -> str:
    r"""Text that Discord shows letter by letter and that calls nobody.

    The library's own escape leaves what is inside of a link in brackets as it was, and lists and `<...>` too.

    >>> print(escaped("*a* <@1> [x](y)\n# 1"))
    \*a\* \<@\u200b1\> \[x\](y)
    \# 1
    """
    return _PINGS.sub("@" + _GAP, _MARKUP.sub(_escape, text))


def _escape(found: "re.Match[str]") -> str:
    if found.group(1) is not None:
        return found.group(1) + "\\"
    if found.group(2) is not None:
        return found.group(2) + "\\"
    return "\\" + found.group()


def markdown(text: str) -> str:
    """The text as Discord's markup: lines between two lines of ``` become a block of code, the rest is escaped."""
    written: list[str] = []
    for block in blocks(text):
        if block.table:
            written += [FENCE, *(row.replace("`", "`" + _GAP) for row in block.lines), FENCE]
        else:
            written += [escaped(piece) for line in block.lines for piece in _pieces(line)]
    return "\n".join(written)


def parts(text: str, *, headed: bool = False) -> list[Part]:
    """The messages that say it. `headed` keeps the first line outside of an embed that holds the rest.

    The first line of an alert stands in the message itself, since that is what a phone shows of it.
    """
    if not headed:
        return [Part(part) for part in split(markdown(text), CONTENT)]
    head, _, rest = text.strip().partition("\n")
    if head.strip() == FENCE or units(head) > LINE:
        head, rest = "", text
    told = split(markdown(rest), EMBED)
    first = Part(escaped(head), told[0] if told else "")
    return [part for part in (first, *(Part("", each) for each in told[1:])) if any(part)]


def _pieces(line: str) -> list[str]:
    if units(line) <= LINE:
        return [line]
    return split(line, LINE)

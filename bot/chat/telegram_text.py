"""What the bot says, as Telegram takes it: HTML, in parts that are short enough.

Telegram counts UTF-16 units after it has read the HTML, so parts are cut before it is made: a tag is never torn. Every
value passes `escape`, and there is no other way in.
"""

import html
import re
import unicodedata
from collections.abc import Sequence
from typing import NamedTuple

from telegram import InlineKeyboardButton, InlineKeyboardMarkup

from bot.chat.port import Button, Said
from bot.pages import blocks, split

MOST_TEXT, MOST_CAPTION = 4096, 1024
MOST_DATA = 64
"""Bytes that a button may carry."""
MOST_LABEL, MOST_IN_ROW, MOST_ROWS = 64, 8, 12
_CITED = re.compile(r"\[([\w:.-]{1,40})\]")


class Parts(NamedTuple):
    """Texts to be sent one after another; with a picture, the first of them stands under it."""

    texts: tuple[str, ...]
    picture: bytes
    buttons: InlineKeyboardMarkup | None


def parts(said: Sequence[Said]) -> Parts:
    """Several things said at once are one message: their texts, and the buttons and the picture of the last of them."""
    text = "\n\n".join(clean(each.text) for each in said)
    last = said[-1]
    if not last.picture:
        return Parts(tuple(split(text, MOST_TEXT)), b"", keyboard(last.buttons))
    under, *rest = split(text, MOST_CAPTION) or [""]
    return Parts((under, *split("\n".join(rest), MOST_TEXT)), last.picture, keyboard(last.buttons))


def whole(text: str) -> str:
    """Half characters, which JSON can carry and nothing can write down, are question marks."""
    return text.encode(errors="replace").decode()


def clean(text: str) -> str:
    """Without what cannot be sent or would turn the order of what is read: half characters, controls, overrides.

    >>> clean("1\\x00\\u202e2\\ud800")
    '12?'
    """
    return "".join(character for character in whole(text) if character in "\n\t\r" or not _unseen(character))


def _unseen(character: str) -> bool:
    """Control characters, and those that make a line run the other way."""
    return unicodedata.category(character) == "Cc" or unicodedata.bidirectional(character) in {
        "LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI",
    }  # fmt: skip


def escape(text: str) -> str:
    """The text as HTML in which nothing is a tag.

    >>> escape("P&L < 0 <b>")
    'P&amp;L &lt; 0 &lt;b&gt;'
    """
    return html.escape(text, quote=False)


def rendered(part: str) -> str:
    """One part as HTML.

    >>> rendered("Open:\\n```\\nBTC <1\\n```")
    'Open:\\n<pre>BTC &lt;1</pre>'
    """
    return "\n".join(
        f"<pre>{escape(lines)}</pre>" if table else escape(lines) for lines, table in _joined(part)
    )


def plain(part: str) -> str:
    """The same without any markup.

    >>> plain("Open:\\n```\\nBTC <1\\n```")
    'Open:\\nBTC <1'
    """
    return "\n".join(lines for lines, _ in _joined(part))


def _joined(part: str) -> list[tuple[str, bool]]:
    return [("\n".join(block.lines), block.table) for block in blocks(part)]


def notice(part: str) -> str:
    """What stands for a part that cannot be shown: what it was about, if it says so.

    >>> notice("Bought 1 BTC [c-4f2a]")
    'A message could not be shown here. It was about c-4f2a.'
    """
    cited = _CITED.search(part)
    return "A message could not be shown here." + (f" It was about {cited.group(1)}." if cited else "")


def keyboard(rows: Sequence[Sequence[Button]]) -> InlineKeyboardMarkup | None:
    """The buttons that Telegram can carry; None without any."""
    keys = [[_key(button) for button in row[:MOST_IN_ROW] if _carried(button)] for row in rows[:MOST_ROWS]]
    kept = [row for row in keys if row]
    return InlineKeyboardMarkup(kept) if kept else None


def _key(button: Button) -> InlineKeyboardButton:
    return InlineKeyboardButton(clean(button.label)[:MOST_LABEL], callback_data=button.data)


def _carried(button: Button) -> bool:
    return bool(clean(button.label).strip()) and 0 < len(button.data.encode(errors="replace")) <= MOST_DATA

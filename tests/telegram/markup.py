"""Telegram's HTML, read as strictly as Telegram reads it, and in one point more so."""

import html
import re

TAGS = {
    "b",
    "strong",
    "i",
    "em",
    "u",
    "ins",
    "s",
    "strike",
    "del",
    "code",
    "pre",
    "a",
    "tg-spoiler",
    "blockquote",
}
_TAG = re.compile(r"<(/?)([a-zA-Z-]*)([^<>]*)(>?)")
_ENTITY = re.compile(r"&(lt|gt|amp|quot|#\d+|#x[0-9a-fA-F]+);")


class CannotParse(Exception):
    """What is wrong with it, in Telegram's words."""


def units(text: str) -> int:
    """Length in UTF-16 code units."""
    return len(text.encode("utf-16-le", "surrogatepass")) // 2


def read(text: str) -> str:
    """The text that people will see. A bare & is refused here, though Telegram would show it: it was not escaped."""
    seen: list[str] = []
    open_tags: list[str] = []
    at = 0
    while at < len(text):
        if text[at] == "&":
            found = _ENTITY.match(text, at)
            if found is None:
                raise CannotParse(f'Unescaped "&" at byte offset {_offset(text, at)}')
            seen.append(html.unescape(found.group()))
            at = found.end()
        elif text[at] == "<":
            found = _TAG.match(text, at)
            assert found is not None
            _tag(found, open_tags, _offset(text, at))
            at = found.end()
        else:
            seen.append(text[at])
            at += 1
    if open_tags:
        raise CannotParse(f'Can\'t find end tag corresponding to start tag "{open_tags[-1]}"')
    return "".join(seen)


def _tag(found: re.Match[str], open_tags: list[str], offset: int) -> None:
    closes, name, rest, end = found.groups()
    if not end:
        raise CannotParse(f"Unclosed {'end' if closes else 'start'} tag at byte offset {offset}")
    if not closes:
        if name.lower() not in TAGS or (rest and name.lower() != "a"):
            raise CannotParse(f'Unsupported start tag "{name.lower()}" at byte offset {offset}')
        open_tags.append(name.lower())
    elif not open_tags:
        raise CannotParse(f"Unexpected end tag at byte offset {offset}")
    elif (last := open_tags.pop()) != name.lower():
        raise CannotParse(
            f'Unmatched end tag at byte offset {offset}, expected "</{last}>", found "</{name}>"'
        )


def _offset(text: str, at: int) -> int:
    return len(text[:at].encode(errors="replace"))

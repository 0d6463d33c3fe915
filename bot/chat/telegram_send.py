"""What the bot says, on its way to Telegram. Each part goes down a ladder until a rung of it holds."""

import hashlib
import logging
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from typing import Any, NamedTuple

import msgspec
from telegram import InlineKeyboardMarkup, InputMediaPhoto, LinkPreviewOptions, ReplyParameters
from telegram.constants import ParseMode
from telegram.error import BadRequest, ChatMigrated, Forbidden, RetryAfter, TelegramError

from bot.chat.port import Button, Place, Said
from bot.chat.telegram_read import name_of, place_of
from bot.chat.telegram_text import Parts, notice, parts, plain, rendered, whole
from bot.chat.telegram_wire import UNREADABLE, Line
from bot.outbox import Moved, Refused, Room, TooFast, Unreachable

log = logging.getLogger(__name__)

PICTURE = "p"
"""Stands before the number of a message that has a picture: its text is a caption, and edited as one."""
OF = ":"
"""Stands between the number of a bot and the names of messages that are its own."""
_NO_PREVIEW = LinkPreviewOptions(is_disabled=True)
_UNCHANGED = "message is not modified"
_NO_TOPIC = ("thread not found", "topic_closed", "topic_deleted")
_NOT_THE_TEXT = (
    _UNCHANGED, "to edit not found", "can't be edited", "message_id_invalid", "chat not found", "user not found",
    "peer_id_invalid", "not enough rights", "have no rights", "write_forbidden", *_NO_TOPIC,
)  # fmt: skip
"""Refusals, in Telegram's words, that no other text would change."""
PRIVATE, GROUP = Room(burst=10.0, per_s=1.0), Room(burst=8.0, per_s=0.2)
"""What a chat takes: one message a second with some to spare, and twenty a minute, which nothing here exceeds."""
_HALF_SAID = 100
"""Messages of which some parts are there and some are not, that are kept in mind."""


class Spoken(msgspec.Struct, frozen=True):
    """The body of a parcel. `to` is the number of the message that it answers, 0 for none."""

    said: Said
    to: int = 0


class _Part(NamedTuple):
    """What becomes one message."""

    place: Place
    text: str
    picture: bytes
    buttons: InlineKeyboardMarkup | None
    to: int


def packed(said: Said, to: int = 0) -> bytes:
    """As a parcel carries it."""
    buttons = tuple(
        tuple(Button(whole(each.label), whole(each.data)) for each in row) for row in said.buttons
    )
    kept = said._replace(
        text=whole(said.text), buttons=buttons, thread=whole(said.thread), update=whole(said.update)
    )
    return msgspec.json.encode(Spoken(kept, to))


class TelegramSender:
    """The sender of Telegram's outbox. `moved` is told, once, the old and the new number of a group."""

    def __init__(self, line: Line, moved: Callable[[int, int], None]) -> None:
        self._bot = line.bot
        self._sign = f"{line.bot.token.partition(':')[0]}{OF}"
        self._tell = moved
        self._secret = line.secret
        self._moved: dict[int, int] = {}
        self._there: OrderedDict[str, list[str]] = OrderedDict()

    def room(self, place: str) -> Room:
        """What the place takes. People have positive numbers."""
        return PRIVATE if place_of(place).chat > 0 else GROUP

    def noted(self, body: bytes, note: str) -> bytes:
        """The body with a note in front of its text."""
        try:
            spoken = msgspec.json.decode(body, type=Spoken)
        except msgspec.DecodeError:
            return body
        return packed(spoken.said._replace(text=f"{note} {spoken.said.text}"), spoken.to)

    def has_moved(self, old: int, new: int) -> None:
        """From now on, what goes to the old group goes to the new one."""
        if self._moved.get(old) != new:
            self._moved[old] = new
            self._tell(old, new)

    def now_at(self, place: Place) -> Place:
        """Where the place is now."""
        return place._replace(chat=self._moved.get(place.chat, place.chat))

    async def send(self, place: str, bodies: Sequence[bytes], after: str, replace: str) -> str:
        """Say it: as a reply to the message `after`, or in place of the message `replace`, where one is named.

        TooFast, Unreachable and Moved ask for another try; what has arrived of it by then is not sent again. Refused
        is for good.
        """
        try:
            spoken = [msgspec.json.decode(body, type=Spoken) for body in bodies]
        except msgspec.DecodeError as error:
            raise Refused(f"a parcel that cannot be read: {error}") from None
        said = parts([each.said for each in spoken])
        after, replace = self._own(after), self._own(replace)
        key = hashlib.sha256(b"\0".join([place.encode(), *bodies])).hexdigest()
        try:
            names = await self._all(
                self.now_at(place_of(place)), said, _first(after) or spoken[-1].to, replace, self._begun(key)
            )
        except RetryAfter as error:
            raise TooFast(seconds(error)) from None
        except ChatMigrated as error:
            self.has_moved(place_of(place).chat, error.new_chat_id)
            raise Moved(name_of(self.now_at(place_of(place)))) from None
        except (Forbidden, BadRequest) as error:
            self._there.pop(key, None)
            raise Refused(self._words(error)) from None
        except TelegramError as error:
            raise Unreachable(self._words(error)) from None
        except UNREADABLE as error:
            raise Unreachable(f"the answer cannot be read ({type(error).__name__})") from None
        self._there.pop(key, None)
        return self._sign + " ".join(names)

    def _own(self, name: str) -> str:
        """The messages of that name; none where another bot has said them, whose numbers mean others of ours."""
        return name.removeprefix(self._sign) if name.startswith(self._sign) or OF not in name else ""

    def _begun(self, key: str) -> list[str]:
        """The names of the parts that are there already."""
        there = self._there.setdefault(key, [])
        while len(self._there) > _HALF_SAID:
            self._there.popitem(last=False)
        return there

    def _words(self, error: TelegramError) -> str:
        return self._secret.redact(str(error))

    async def _all(self, place: Place, said: Parts, to: int, replace: str, there: list[str]) -> list[str]:
        texts = said.texts or (notice(""),)
        old = replace.split()
        for number in range(len(there), len(texts)):
            picture = said.picture if number == 0 else b""
            buttons = said.buttons if number == len(texts) - 1 else None
            part = _Part(place, texts[number], picture, buttons, to)
            name = await self._edit(part, old[number]) if number < len(old) else ""
            there.append(name or await self._new(part))
        for surplus in old:
            if surplus not in there:
                await self._remove(place, _first(surplus))
        return list(there)

    async def _edit(self, part: _Part, name: str) -> str:
        """The name of the message if it could be changed; empty when it must be said anew."""
        if name.startswith(PICTURE) != bool(part.picture):
            return ""
        try:
            await self._down_the_ladder(part, lambda *rung: self._change(part, _first(name), *rung))
        except BadRequest as error:
            return name if _UNCHANGED in error.message.lower() else ""
        return name

    async def _new(self, part: _Part) -> str:
        """A picture that is refused must not keep its text from arriving."""
        if part.picture:
            try:
                return PICTURE + await self._down_the_ladder(part, lambda *rung: self._show(part, *rung))
            except BadRequest as error:
                log.warning("a picture was refused, its text goes without it: %s", self._words(error))
        return await self._down_the_ladder(part, lambda *rung: self._say(part, *rung))

    async def _down_the_ladder(self, part: _Part, said: Callable[[str, str | None], Awaitable[str]]) -> str:
        """Marked up, else as it is, else that there was something. BadRequest when not even that is taken."""
        for text, mode in ((rendered(part.text), ParseMode.HTML), (plain(part.text), None)):
            try:
                return await said(text, mode)
            except BadRequest as error:
                if any(words in error.message.lower() for words in _NOT_THE_TEXT):
                    raise
                log.warning("not taken as %s: %s", mode or "plain text", self._words(error))
        return await said(notice(part.text), None)

    async def _say(self, part: _Part, text: str, mode: str | None) -> str:
        async def send(**where: Any) -> int:
            message = await self._bot.send_message(
                text=text, parse_mode=mode, link_preview_options=_NO_PREVIEW, **where
            )
            return message.message_id

        return await self._in_the_topic(part, send)

    async def _show(self, part: _Part, text: str, mode: str | None) -> str:
        async def send(**where: Any) -> int:
            message = await self._bot.send_photo(
                photo=part.picture, caption=text or None, parse_mode=mode, **where
            )
            return message.message_id

        return await self._in_the_topic(part, send)

    async def _in_the_topic(self, part: _Part, send: Callable[..., Awaitable[int]]) -> str:
        """A topic that is gone or closed must not swallow an alert: then it goes to the group itself."""
        reply = ReplyParameters(part.to, allow_sending_without_reply=True) if part.to else None
        where = {"chat_id": part.place.chat, "reply_markup": part.buttons, "reply_parameters": reply}
        try:
            return str(await send(message_thread_id=part.place.topic or None, **where))
        except BadRequest as error:
            if not part.place.topic or not any(words in error.message.lower() for words in _NO_TOPIC):
                raise
            return str(await send(**where))

    async def _change(self, part: _Part, number: int, text: str, mode: str | None) -> str:
        where: dict[str, Any] = {
            "chat_id": part.place.chat,
            "message_id": number,
            "reply_markup": part.buttons,
        }
        if part.picture:
            await self._bot.edit_message_media(
                InputMediaPhoto(part.picture, caption=text, parse_mode=mode), **where
            )
        else:
            await self._bot.edit_message_text(
                text, parse_mode=mode, link_preview_options=_NO_PREVIEW, **where
            )
        return str(number)

    async def _remove(self, place: Place, number: int) -> None:
        """What is left of a longer message. Where it may not be removed, it stays."""
        try:
            await self._bot.delete_message(place.chat, number)
        except BadRequest as error:
            log.info("a part of an older message stays: %s", self._words(error))


def _first(name: str) -> int:
    """The number of the first of the messages that a name names, 0 for none."""
    first = name.split()[0].removeprefix(PICTURE) if name.strip() else "0"
    return int(first)


def seconds(error: RetryAfter) -> float:
    """How long Telegram wants to be left alone."""
    wait = error.retry_after
    return wait.total_seconds() if isinstance(wait, timedelta) else float(wait)

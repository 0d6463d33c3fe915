"""What goes out to Discord: messages, follow-ups, edits, threads, and what a failure to send one means."""

import asyncio
import contextlib
import hashlib
import io
import logging
import secrets
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, NamedTuple

import discord
import msgspec

from bot.chat.discord_client import PRIVATE, SURFACE, DeskClient, view
from bot.chat.discord_text import Part, parts
from bot.chat.port import How, Lane, Message, Place, Said
from bot.outbox import Refused, Room, TooFast, Unreachable
from bot.pages import FENCE

log = logging.getLogger(__name__)

SENT_S = 60.0
"""How long one message may take, with the library's own waits and tries; then it is tried again later."""
MOST_OPEN = 1000
"""Interactions whose answer is kept in mind; the oldest is answered by a plain message."""
MOST_NAME = 100
MOST_BEGUN = 100
"""Posts that were interrupted and are kept in mind."""
COLOURS = {Lane.URGENT: 0xD64545, Lane.NOTICE: 0xE0A030, Lane.INFO: 0x6B7A8F}
HIDDEN = "…"
SAW_NOTHING = (
    "The answer for {} is for them alone, and could not be shown to them only. Ask again, with a / command."
)
_UNKNOWN_MESSAGE, _NO_DIRECT_MESSAGES, _THREAD_IS_THERE = 10008, 50007, 160004
_TOKEN_ENDED = frozenset({10015, 10062, 50027})
_NOT_SO = (400, 403, 404)
"""Answers after which the same may still be said in a plainer way: this edit, thread or attachment was not taken."""


class Outgoing(NamedTuple):
    """What a post holds: what is said, how urgently, and the message that it answers, if one."""

    said: Said
    lane: Lane = Lane.NOTICE
    answers: Message | None = None
    note: str = ""

    @property
    def text(self) -> str:
        """What is said, with the note of the outbox in front."""
        between = "\n" if self.said.text.startswith(FENCE) else " "
        return f"{self.note}{between}{self.said.text}" if self.note else self.said.text


class Waiting:
    """An interaction that was acknowledged and waits for its answer. `hidden` is whether only who asked will see it."""

    def __init__(self, interaction: discord.Interaction, *, hidden: bool) -> None:
        self.interaction = interaction
        self.hidden = hidden
        self.blank = interaction.type is discord.InteractionType.application_command
        """Whether a place for the answer stands there still, with nothing in it."""


class Open:
    """Interactions that this process may still answer: Discord takes the answer for a quarter of an hour."""

    def __init__(self) -> None:
        self._waiting: OrderedDict[str, Waiting] = OrderedDict()

    def keep(self, key: str, waiting: Waiting) -> None:
        """Remember it, and forget the oldest where there are too many."""
        self._waiting[key] = waiting
        while len(self._waiting) > MOST_OPEN:
            self._waiting.popitem(last=False)

    def of(self, key: str) -> Waiting | None:
        """What waits for the answer to this message; None where nothing does any more."""
        waiting = self._waiting.get(key)
        if waiting is not None and waiting.interaction.is_expired():
            self.forget(key)
            return None
        return waiting

    def forget(self, key: str) -> None:
        """Its token takes nothing any more."""
        self._waiting.pop(key, None)

    def clear(self) -> None:
        """The connection was made anew."""
        self._waiting.clear()


class Post(NamedTuple):
    """What is to stand in one place: the parts, and `old` names of messages that they take the place of."""

    said: Said
    written: Sequence[Part]
    colour: int | None = None
    old: Sequence[str] = ()
    reference: discord.MessageReference | None = None


class Begun(NamedTuple):
    """A post of which some parts may be there: their names, and what tells Discord that a part comes again."""

    nonce: str
    names: list[str]


class DiscordSender:
    """Says posts at Discord. A message is called channel/number; one in several parts has as many names."""

    def __init__(self, client: DeskClient, guild: int, waiting: Open) -> None:
        self._client = client
        self._guild = guild
        self._open = waiting
        self._begun: OrderedDict[str, Begun] = OrderedDict()

    def room(self, place: str) -> Room:
        """Five messages in five seconds: what Discord lets into a channel, as its answers say it."""
        return Room(5.0, 1.0)

    def noted(self, body: bytes, note: str) -> bytes:
        """The body with a note in front of its text; as it is where it cannot be read, which sending will say."""
        try:
            told = msgspec.json.decode(body, type=Outgoing)
        except msgspec.DecodeError:
            return body
        return msgspec.json.encode(told._replace(note=f"{note} {told.note}".rstrip()))

    async def send(self, place: str, bodies: Sequence[bytes], after: str = "", replace: str = "") -> str:
        """Send it; TooFast, Unreachable or Refused when it cannot be said now, or never.

        Several bodies become one message. `after` names the message under which it belongs, `replace` the one that it
        takes the place of. A post that comes again goes on where it was interrupted, and Discord tells a part that it
        has already, for some minutes, by its nonce.
        """
        try:
            told = [msgspec.json.decode(body, type=Outgoing) for body in bodies]
            where = read_place(place)
        except (msgspec.DecodeError, ValueError) as error:
            raise Refused(f"a post to {place} cannot be read: {error}") from error
        if not self._client.is_ready():
            raise Unreachable("not connected to Discord", unknown=False)
        plain = [msgspec.json.encode(each._replace(note="")) for each in told]
        key = hashlib.sha256(b"\0".join([place.encode(), replace.encode(), *plain])).hexdigest()
        try:
            async with asyncio.timeout(SENT_S):
                names = await self._all(where, told, after, replace.split(), self._progress(key))
        except Exception as error:
            meant = failure(error)
            if isinstance(meant, Refused):
                self._begun.pop(key, None)
            raise meant from error
        self._begun.pop(key, None)
        return " ".join(names)

    def _progress(self, key: str) -> Begun:
        begun = self._begun.setdefault(key, Begun(secrets.token_hex(8), []))
        while len(self._begun) > MOST_BEGUN:
            self._begun.popitem(last=False)
        return begun

    async def _all(
        self, where: Place, told: Sequence[Outgoing], after: str, old: Sequence[str], begun: Begun
    ) -> list[str]:
        """Alerts together; answers, of which the outbox makes one post each, one after the other."""
        alerts = [each for each in told if each.answers is None]
        for each in told:
            if each.answers is not None:
                await self._answer(where, each, each.answers, old, begun)
        if alerts:
            await self._tell(where, _one(alerts), after, old, begun)
        return begun.names

    async def _tell(self, where: Place, told: Outgoing, after: str, old: Sequence[str], begun: Begun) -> None:
        written = parts(told.text, headed=self._shows_embeds(where))
        post = Post(told.said, written, COLOURS[told.lane], old)
        channel = self._channel(where)
        if not after or old:
            await self._post(channel, post, begun)
            return
        thread, reference = await self._under(channel, after.split()[0], told.said.thread or told.text)
        try:
            await self._post(thread, post._replace(reference=reference), begun)
        except discord.HTTPException as error:
            if thread is channel or error.status not in _NOT_SO:
                raise
            await self._post(channel, post, begun)

    async def _answer(
        self, where: Place, told: Outgoing, message: Message, old: Sequence[str], begun: Begun
    ) -> None:
        in_server = not message.key.startswith(PRIVATE)
        alone = in_server and (told.said.only or message.private)
        waiting = self._open.of(message.key)
        if waiting is not None:
            try:
                await self._follow(waiting, told, old, begun, alone=alone)
                return
            except discord.HTTPException as error:
                if error.code not in _TOKEN_ENDED:
                    raise
                self._open.forget(message.key)
        if alone:
            await self._aside(where, told, message, begun)
            return
        called = in_server and not old and (message.how is How.PRESSED or message.text.startswith("/"))
        text = f"For {message.who.shown}:\n{told.text}" if called else told.text
        reference = _reply(where.topic or where.chat, int(message.key.rpartition(".")[2]))
        await self._post(self._channel(where), Post(told.said, parts(text), None, old, reference), begun)

    async def _follow(
        self, waiting: Waiting, told: Outgoing, old: Sequence[str], begun: Begun, *, alone: bool
    ) -> None:
        """Answer with the interaction's own token, which can show it to one person only."""
        interaction = waiting.interaction
        written = parts(told.text) or [Part("-")]
        if interaction.message is not None and len(written) == len(old) == 1:
            fields = _fields(told.said, written[0], None, last=True, edit=True)
            if _ends(old[0]) == interaction.message.id:
                await _sent(interaction.edit_original_response, fields)
                begun.names.append(old[0])
                return
            if not alone and await self._edited(old[0], fields):
                begun.names.append(old[0])
                return
        if waiting.blank and alone and not waiting.hidden:
            await self._cleared(waiting)
        for number in range(len(begun.names), len(written)):
            first, last = number == 0, number == len(written) - 1
            sent: discord.Message | None = None
            if waiting.blank:
                fields = _fields(told.said, written[number], None, first=first, last=last, edit=True)
                sent = await self._filled(waiting, fields)
            if sent is None:
                fields = _fields(told.said, written[number], None, first=first, last=last)
                sent = await _sent(interaction.followup.send, fields | {"ephemeral": alone, "wait": True})
            begun.names.append(f"{interaction.channel_id}/{sent.id}")

    async def _filled(self, waiting: Waiting, fields: dict[str, Any]) -> discord.Message | None:
        """The place that was kept for the answer, with the answer in it; None when somebody has removed it."""
        try:
            sent = await _sent(waiting.interaction.edit_original_response, fields)
        except discord.NotFound as error:
            if error.code != _UNKNOWN_MESSAGE:
                raise
            sent = None
        waiting.blank = False
        return sent

    async def _cleared(self, waiting: Waiting) -> None:
        """Take away the place that was kept for all to see. While it is blank, whatever is said next fills it."""
        if await self._filled(waiting, {"content": HIDDEN}) is not None:
            with contextlib.suppress(discord.NotFound):
                await waiting.interaction.delete_original_response()

    async def _aside(self, where: Place, told: Outgoing, message: Message, begun: Begun) -> None:
        """What only one person may read, where nothing in the server can hide it any more: in their own messages."""
        private = await self._client.create_dm(discord.Object(message.who.number))
        try:
            await self._post(private, Post(told.said, parts(told.text)), begun)
        except discord.Forbidden as error:
            if error.code != _NO_DIRECT_MESSAGES:
                raise
            said = Said(SAW_NOTHING.format(message.who.shown))
            await self._post(self._channel(where), Post(said, parts(said.text)), begun)

    async def _post(self, channel: Any, post: Post, begun: Begun) -> None:
        """All parts that are not there yet, each in the place of the old one if there is one."""
        written = post.written or [Part("-")]
        for number in range(len(begun.names), len(written)):
            how = {"first": number == 0, "last": number == len(written) - 1}
            if number < len(post.old):
                fields = _fields(post.said, written[number], post.colour, **how, edit=True)
                if await self._edited(post.old[number], fields):
                    begun.names.append(post.old[number])
                    continue
            fields = _fields(post.said, written[number], post.colour, **how)
            fields["nonce"] = f"{begun.nonce}-{number}"
            if post.reference is not None and number == 0:
                fields["reference"] = post.reference
            sent = await _sent(channel.send, fields)
            begun.names.append(f"{channel.id}/{sent.id}")
        for surplus in post.old:
            if surplus not in begun.names:
                await self._removed(surplus)

    async def _edited(self, name: str, fields: dict[str, Any]) -> bool:
        """Whether the message of that name says this now; it may be gone, or locked away."""
        try:
            await self._message(name).edit(**fields)
        except discord.HTTPException as error:
            if error.status not in _NOT_SO:
                raise
            return False
        return True

    async def _removed(self, name: str) -> None:
        """What is left of what was said before. Where it may not be removed, it stays."""
        try:
            await self._message(name).delete()
        except discord.HTTPException as error:
            if error.status not in _NOT_SO:
                raise
            log.info("an older message stays: %s", error)

    def _message(self, name: str) -> discord.PartialMessage:
        channel, _, number = name.partition("/")
        return self._part_of(int(channel)).get_partial_message(int(number))

    async def _under(
        self, channel: Any, after: str, name: str
    ) -> tuple[Any, discord.MessageReference | None]:
        """The thread below a message, made where there is none; a reply where there can be none.

        A thread has the number of the message it hangs on. One that sleeps wakes up when something is sent into it.
        """
        place, _, number = after.partition("/")
        if int(place) != channel.id:
            return self._part_of(int(place)), None
        thread = self._part_of(int(number))
        if self._client.get_channel(thread.id) is not None:
            return thread, None
        try:
            root = channel.get_partial_message(thread.id)
            await root.create_thread(name=thread_name(name), auto_archive_duration=1440)
        except discord.HTTPException as error:
            if error.code == _THREAD_IS_THERE:
                return thread, None
            if error.status not in _NOT_SO:
                raise
            return channel, _reply(channel.id, thread.id)
        return thread, None

    def _shows_embeds(self, where: Place) -> bool:
        """Without leave to, what stands in one is not refused but left out, so that it must be known before."""
        channel = self._client.get_channel(where.chat)
        user = self._client.user
        if user is None or not isinstance(channel, discord.abc.GuildChannel):
            return False
        ours = channel.guild.get_member(user.id)
        return ours is not None and channel.permissions_for(ours).embed_links

    def _channel(self, where: Place) -> Any:
        return self._part_of(where.topic or where.chat)

    def _part_of(self, number: int) -> discord.PartialMessageable:
        return self._client.get_partial_messageable(number, guild_id=self._guild)


def write_place(place: Place) -> str:
    """A place as the outbox keeps it.

    >>> write_place(Place("discord", 12, 34)), write_place(Place("discord", 12))
    ('12/34', '12')
    """
    return f"{place.chat}/{place.topic}" if place.topic else str(place.chat)


def read_place(text: str) -> Place:
    """The place that was written so; ValueError where none was."""
    chat, _, topic = text.partition("/")
    return Place(SURFACE, int(chat), int(topic or 0))


def thread_name(text: str) -> str:
    """The name of a thread: one line, of at most 100 characters."""
    line = " ".join(text.split()) or "-"
    return line if len(line) <= MOST_NAME else line[: MOST_NAME - 1] + "…"


def failure(error: Exception) -> Exception:
    """What it means for a post that Discord, or the way there, answered so.

    The library has waited and tried again before it raises. A token that is not taken is no fault of the post.
    """
    match error:
        case TooFast() | Unreachable() | Refused():
            return error
        case discord.RateLimited():
            return TooFast(error.retry_after)
        case discord.HTTPException(status=429):
            told = error.response.headers.get("Retry-After", "")
            return TooFast(float(told) if told.replace(".", "", 1).isdigit() else 30.0)
        case discord.HTTPException() if error.status >= 500 or error.status == 401:
            return Unreachable(f"Discord answered {error.status}")
        case discord.HTTPException():
            return Refused(f"Discord refused it: {error.status} {error.text} ({error.code})")
        case OSError() | TimeoutError() | RuntimeError() | discord.DiscordException():
            return Unreachable(f"Discord cannot be reached: {type(error).__name__} {error}".rstrip())
        case _ if type(error).__module__.startswith("aiohttp"):
            return Unreachable(f"Discord cannot be reached: {type(error).__name__} {error}".rstrip())
        case _:
            return Refused(f"it cannot be said at Discord: {type(error).__name__} {error}".rstrip())


async def _sent(send: Callable[..., Awaitable[Any]], fields: dict[str, Any]) -> discord.Message:
    """The text comes first: where Discord does not take it with all that hangs on it, it is sent without."""
    more = fields.keys() & {"files", "attachments", "view", "reference"}
    try:
        sent: discord.Message = await send(**fields)
    except discord.HTTPException as error:
        if not more or error.status not in (400, 413):
            raise
        log.warning("Discord did not take a message with its %s: %s", " and ".join(sorted(more)), error)
        sent = await send(**{name: value for name, value in fields.items() if name not in more})
    return sent


def _fields(
    said: Said, part: Part, colour: int | None, *, first: bool = True, last: bool = False, edit: bool = False
) -> dict[str, Any]:
    """What the library's send and edit take for one part: buttons under the last one, the picture at the first."""
    fields: dict[str, Any] = {"content": part.content or None}
    if part.embed:
        fields["embed"] = discord.Embed(description=part.embed, colour=colour)
    elif edit:
        fields["embed"] = None
    shown = view(said.buttons) if last else None
    if shown is not None or edit:
        fields["view"] = shown
    if first and said.picture:
        name = "attachments" if edit else "files"
        fields[name] = [discord.File(io.BytesIO(said.picture), "chart.png")]
    return fields


def _one(told: Sequence[Outgoing]) -> Outgoing:
    """Several posts as one: their texts in order, the rest from the last, and the most urgent lane of all."""
    last = told[-1]
    if len(told) == 1:
        return last
    text = "\n".join(each.text for each in told)
    lane = Lane(min(each.lane for each in told))
    return last._replace(said=last.said._replace(text=text), lane=lane, note="")


def _reply(channel: int, message: int) -> discord.MessageReference:
    """To a message that may be gone by now."""
    return discord.MessageReference(message_id=message, channel_id=channel, fail_if_not_exists=False)


def _ends(name: str) -> int:
    return int(name.rpartition("/")[2] or 0)

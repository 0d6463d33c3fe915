"""Discord as a chat: slash commands, mentions and private messages in, answers and alerts out by way of the outbox.

What is asked is durable before it is passed on, under the number that Discord gave it. The store is spoken to on a
thread of its own, one call after another: while it stalls, interactions are acknowledged all the same, and what is
asked is passed on after a moment without it.
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from enum import Enum, auto
from typing import Any, NamedTuple, TypeVar

import discord
import msgspec

from bot.chat.discord_client import SURFACE, DeskClient, Offer, Slash
from bot.chat.discord_send import DiscordSender, Open, Outgoing, Waiting, write_place
from bot.chat.port import How, Lane, Message, Place, Said
from bot.outbox import UPDATE, Refused, TooFast, Unreachable
from bot.people import Who
from configs.schema.chat import DiscordSettings
from engine.core.domain.errors import BadSettings, StoreFailed
from engine.ports import Letter, Mail, Post

log = logging.getLogger(__name__)

OWN, WAITING = 100, 1000
"""Messages of one account that may wait to be passed on; and of all accounts, after which each may have one."""
TOO_MUCH = Said("Too much of what you said still waits here. Say it again later.", only=True)
STORE_S = 0.5
"""How long a message waits for the store before it is passed on without; what waits is given to the store together."""
REMEMBERED = 1000
"""Keys of messages that were passed on, for the case that the store cannot say which are new."""
SOON_S, LATEST_S = 2.0, 300.0
"""The first pause before connecting again, and the longest; each is twice the one before."""
_NOT_AUTHENTICATED = 4004
NO_TOKEN = "Discord does not take the bot's token: nothing is heard or said there until it is replaced"  # noqa: S105
_Value = TypeVar("_Value")

Connect = Callable[[discord.Client, str], Awaitable[None]]
Pause = Callable[[float], Awaitable[None]]


class DiscordChat:
    """One server and one channel for alerts.

    `commands` are offered to whoever types; `offer` completes what follows one; the answers of `private` ones are shown
    to who asked only. `sender` is what the outbox sends through, `posted` is called when there is something to send.
    """

    source = SURFACE

    def __init__(
        self,
        token: str,
        settings: DiscordSettings,
        mail: Mail,
        now: Callable[[], datetime],
        *,
        commands: Sequence[Slash] = (),
        offer: Offer | None = None,
        private: frozenset[str] = frozenset(),
        posted: Callable[[], None] | None = None,
        connect: Connect | None = None,
        pause: Pause = asyncio.sleep,
    ) -> None:
        if not settings.guild:
            raise BadSettings(
                "chat.discord.guild is 0: expected the number of the server that the desk talks in"
            )
        self._token = token
        self._settings = settings
        self._mail = mail
        self._now = now
        self.posted = posted or _nobody_waits
        self._connect = connect or _start
        self._pause = pause
        self._why = "not connected yet"
        self._was_ready = False
        self._heard: asyncio.Queue[Message | None] = asyncio.Queue()
        self._waiting: Counter[int] = Counter()
        """Messages that wait to be passed on, by account."""
        self._looked_back = False
        self._fresh: set[str] = set()
        """Keys of what came before it was known what had not been answered."""
        self._arrived: asyncio.Queue[_Arrived] = asyncio.Queue(WAITING)
        self._passed: deque[str] = deque(maxlen=REMEMBERED)
        self._unkept: set[str] = set()
        """Keys of messages that were passed on before the store had them, until they are answered."""
        self._open = Open()
        self._post_office = ThreadPoolExecutor(1, "discord-mail")
        self.client = DeskClient(settings.guild, commands, offer or _nothing, private, self._hear)
        self.sender = DiscordSender(self.client, settings.guild, self._open)

    async def messages(self) -> AsyncIterator[Message]:
        """What was not answered before, then what people write, until the token is refused.

        A connection that is lost, or cannot be made, is made again for as long as it takes.
        """
        work = (self._stay_connected(), self._bring_back(), self._keep_what_arrives())
        beside = [asyncio.create_task(each) for each in work]
        try:
            while (heard := await self._heard.get()) is not None:
                self._waiting -= Counter({heard.who.number: 1})
                yield heard
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
            await self.close()

    async def close(self) -> None:
        """Let go of the connection. What waits to be sent waits for the next start."""
        await self.client.close()

    @property
    def trouble(self) -> str:
        """Why nothing is heard or said now; empty while all is well."""
        return "" if self.client.is_ready() else self._why

    async def answer(self, message: Message, said: Said) -> None:
        """Say it where the message was written, as soon as the outbox comes to it: people wait for answers."""
        told = Outgoing(said, Lane.URGENT, message)
        posts = (self._post(message.place, told),) if said.text or said.picture else ()
        late = [_letter(message)] if message.key in self._unkept else []
        self._unkept.discard(message.key)
        try:
            await self._in_turn(self._put_away, message.key, posts, late)
        except StoreFailed as error:
            await self._send_now(posts, error)
        else:
            self.posted()

    def _put_away(self, key: str, posts: Sequence[Post], late: Sequence[Letter]) -> None:
        """Answered. What the store did not have when it was passed on is kept first: only what is there is answered."""
        if late:
            self._mail.receive(late)
        self._mail.answered(self.source, key, posts)

    async def tell(self, said: Said, lane: Lane) -> None:
        """Say it in the channel for alerts; nothing where there is none."""
        if not self._settings.channel:
            return
        posts = (self._post(Place(SURFACE, self._settings.channel), Outgoing(said, lane)),)
        try:
            await self._in_turn(self._mail.post, posts)
        except StoreFailed as error:
            await self._send_now(posts, error)
        else:
            self.posted()

    async def _send_now(self, posts: Sequence[Post], why: StoreFailed) -> None:
        """A full disk must not keep anybody from hearing of it: one try, past the outbox."""
        log.warning("what is said goes out without a record: %s", why)
        for post in posts:
            try:
                await self.sender.send(post.place, (post.body,))
            except (TooFast, Unreachable, Refused) as error:
                log.warning("it did not arrive at %s: %s", post.place, error)

    def _post(self, place: Place, told: Outgoing) -> Post:
        group = f"{UPDATE}{told.said.update}" if told.said.update else told.said.thread
        body = msgspec.json.encode(told)
        return Post(self.source, write_place(place), told.lane, self._now(), body, group)

    async def _hear(self, message: Message, interaction: discord.Interaction | None) -> None:
        """Durable, then passed on. What the store does not take, or not soon, is passed on too: it may be a kill.

        Nothing is lost by that but its coming again after a crash, and the desk itself does nothing that it cannot
        write down. Whoever says more than the desk takes is told so, and takes the room of nobody else.
        """
        if interaction is not None:
            hidden = message.private and message.how is How.TYPED
            self._open.keep(message.key, Waiting(interaction, hidden=hidden))
        if not self._looked_back:
            self._fresh.add(message.key)
        kept = await self._kept(message)
        if kept is _Kept.BEFORE or message.key in self._passed:
            return
        if kept is _Kept.NOT:
            log.warning("message %s is not durable", message.key)
            self._unkept.add(message.key)
        self._passed.append(message.key)
        if self._waiting[message.who.number] < (OWN if self._heard.qsize() < WAITING else 1):
            self._pass_on(message)
        else:
            await self.answer(message, TOO_MUCH)

    async def _kept(self, message: Message) -> "_Kept":
        """Whether the store has it, as far as it says so in time."""
        arrived = _Arrived(_letter(message), asyncio.get_running_loop().create_future())
        try:
            self._arrived.put_nowait(arrived)
        except asyncio.QueueFull:
            return _Kept.NOT
        enough = asyncio.ensure_future(self._pause(STORE_S))
        either: set[asyncio.Future[Any]] = {arrived.kept, enough}
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
        finally:
            enough.cancel()
        return arrived.kept.result() if arrived.kept.done() else _Kept.NOT

    async def _keep_what_arrives(self) -> None:
        while True:
            batch = [await self._arrived.get()]
            batch += [self._arrived.get_nowait() for _ in range(self._arrived.qsize())]
            kept = await self._received([each.letter for each in batch])
            for each in batch:
                each.kept.set_result(kept.get(each.letter.key, _Kept.BEFORE))

    async def _received(self, letters: Sequence[Letter]) -> dict[str, "_Kept"]:
        """What the store makes of them. Whatever fails in it, what was said is passed on."""
        try:
            new = await self._in_turn(self._mail.receive, letters)
        except Exception as error:
            log.warning("%d messages could not be kept: %s", len(letters), error, exc_info=True)
            return dict.fromkeys((letter.key for letter in letters), _Kept.NOT)
        return {letter.key: _Kept.NOW for letter in new}

    def _pass_on(self, message: Message) -> None:
        self._waiting[message.who.number] += 1
        self._heard.put_nowait(message)

    async def _bring_back(self) -> None:
        """What was not answered before, as soon as the store tells it; what is heard meanwhile need not wait for that.

        A letter that no version of this code can read is put away.
        """
        letters: tuple[Letter, ...] | None = None
        while letters is None:
            try:
                letters = await self._in_turn(self._mail.unanswered, self.source)
            except StoreFailed as error:
                log.warning("what was not answered before has to wait: %s", error)
                await self._pause(SOON_S)
        for letter in letters:
            if letter.key in self._fresh:
                continue
            try:
                self._pass_on(msgspec.json.decode(letter.body, type=Message))
            except msgspec.DecodeError as error:
                log.error("letter %s of %s cannot be read: %s", letter.key, letter.at, error)
                await self._in_turn(self._mail.answered, self.source, letter.key, ())
        self._looked_back = True
        self._fresh.clear()

    async def _in_turn(self, call: Callable[..., _Value], *arguments: object) -> _Value:
        """One call of the mail after another, off the loop."""
        return await asyncio.get_running_loop().run_in_executor(self._post_office, call, *arguments)

    async def _stay_connected(self) -> None:
        pause = SOON_S
        while (why := await self._connected()) != NO_TOKEN:
            pause = SOON_S if self._was_ready else pause
            self._why = why
            log.warning("Discord: %s; trying again in %.0f s", why, pause)
            await self._pause(pause)
            pause = min(2 * pause, LATEST_S)
        self._why = NO_TOKEN
        log.error("%s", NO_TOKEN)
        self._heard.put_nowait(None)

    async def _connected(self) -> str:
        """Stay connected for as long as the library can; why that ended."""
        try:
            await self._connect(self.client, self._token)
        except discord.LoginFailure:
            why = NO_TOKEN
        except discord.ConnectionClosed as error:
            why = (
                NO_TOKEN if error.code == _NOT_AUTHENTICATED else f"the connection was closed ({error.code})"
            )
        except Exception as error:  # what it was is returned: no failure here may end the desk
            log.debug("the connection to Discord failed", exc_info=True)
            return await self._begun_anew(f"{type(error).__name__} {error}".rstrip())
        else:
            why = "the connection ended"
        return await self._begun_anew(why)

    async def _begun_anew(self, why: str) -> str:
        """The client can be opened again; the library would go on with the transport that was closed with it."""
        self._was_ready = self.client.is_ready()
        await self.client.close()
        self.client.clear()
        self.client.http.connector = discord.utils.MISSING
        self._open.clear()
        return why


class _Kept(Enum):
    """What the store says of a letter."""

    NOW = auto()
    BEFORE = auto()
    NOT = auto()


class _Arrived(NamedTuple):
    """A letter that waits for the store, and what will be known of it."""

    letter: Letter
    kept: "asyncio.Future[_Kept]"


def _letter(message: Message) -> Letter:
    return Letter(SURFACE, message.key, message.at, msgspec.json.encode(message))


async def _start(client: discord.Client, token: str) -> None:
    """Until the connection is lost for good; a client that was closed can be started so once more."""
    async with client:
        await client.start(token)


def _nothing(_command: str, _typed: str, _who: Who) -> Sequence[str]:
    return ()


def _nobody_waits() -> None:
    """The outbox looks by itself from time to time."""

"""The bot's two halves: messages in, alerts out. Neither can delay the engine, and no chat can delay another."""

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from bot.alerts import Level, alert, may_alert
from bot.chat.port import Chat, How, Lane, Message, Said
from bot.command import Context, Denied, Effect, Registry, Reply, clean
from bot.commands import REGISTRY
from bot.commands.roles import who_is
from bot.confirm import Confirmations
from bot.people import TERMINAL, Pace, People, Person, aside
from configs.schema.chat import ChatSettings
from engine.core.domain.errors import StoreFailed, WhydeskError
from engine.core.domain.events import Recorded
from engine.core.domain.ids import record_id
from engine.core.domain.records import AnswerRecord, Record
from engine.ports import Asks, Desk, Journal

log = logging.getLogger(__name__)

HASTY = ("kill", "pause")
"""What goes before all that waits."""
ASKED = 1000
"""Messages of a chat that may wait for an answer."""
STORE_S = 0.5
"""So long a kill or a pause waits for the store to say who it is of."""
OF_ONE, OF_A_STRANGER, OF_STRANGERS = 20, 5, 100
"""So many of them may be one account's, one's that the profile does not name, and all those accounts' together."""
TURNED_AWAY = 100
"""So many may be told at once that they do not wait; what comes on top is dropped, and comes again after a restart."""
HOUR, TEN_MINUTES = timedelta(hours=1), timedelta(minutes=10)
STRANGERS = 20
"""So many unknown accounts are told to the owners within an hour."""
TRIES = 5
"""So many refused tries of one account within ten minutes are told to the owners, once."""
WRITTEN = 10
"""So many refused wishes of one account within ten minutes are written down, each; those on top are counted."""
SILENCE = Reply("", ok=False)
"""To strangers, for the rest of the hour."""
TOO_MUCH = Reply("Nothing was done: too much of yours waits for an answer. Say it again later.", ok=False)

WAITING = 1000
"""Records that may wait to be told; what comes on top is counted, and said when there is room again."""


class Asked(NamedTuple):
    """A message that waits for its answer, and how many hasty ones had come until then, itself included."""

    message: Message
    hasty: int
    stranger: bool = False


class Line:
    """The messages of one chat that wait for an answer: bounded, by account too, so that nobody fills it for others."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Asked] = asyncio.Queue(ASKED)
        self._waiting: Counter[tuple[str, int]] = Counter()

    async def wait(self, asked: Asked) -> None:
        """Take it as soon as there is room."""
        await self._queue.put(asked)

    def takes(self, asked: Asked, *, stranger: bool) -> bool:
        """Take it if there is room now."""
        account = _account(asked.message)
        full = self._waiting[account] >= (OF_A_STRANGER if stranger else OF_ONE) or (
            stranger and self._waiting[_STRANGERS] >= OF_STRANGERS
        )
        if full or self._queue.full():
            return False
        self._queue.put_nowait(asked._replace(stranger=stranger))
        self._waiting.update((account, _STRANGERS) if stranger else (account,))
        return True

    async def next(self) -> Asked:
        """The one that has waited longest."""
        asked = await self._queue.get()
        self._waiting -= Counter(
            (_account(asked.message), _STRANGERS) if asked.stranger else (_account(asked.message),)
        )
        return asked

    def answered(self) -> None:
        """The newest that was taken out has its answer."""
        self._queue.task_done()

    async def empty(self) -> None:
        """Until each has its answer."""
        await self._queue.join()


_STRANGERS = ("", 0)


def _account(message: Message) -> tuple[str, int]:
    return message.who.surface, message.who.number


class Bot:
    """Some chats and one desk: alerts go to every chat, a message is answered where it came from.

    `report` gives the text of a day's report. `remember` writes a record into the journal, where that may be done.
    `settings` name the people; `asks` keeps what was said of them since, and the questions that wait for a yes: without
    it only the desk's own terminal can change anything. `wall` is the time by people's clocks, which is not the desk's
    where it replays.
    """

    def __init__(
        self,
        chats: Sequence[Chat],
        desk: Desk,
        journal: Journal,
        report: Callable[[str], Awaitable[str]],
        now: Callable[[], datetime],
        *,
        remember: Callable[[Record], Awaitable[object]] | None = None,
        registry: Registry = REGISTRY,
        quietest: Level = Level.NOTICE,
        settings: ChatSettings = ChatSettings(),
        asks: Asks | None = None,
        wall: Callable[[], datetime] | None = None,
        picture: Callable[..., Awaitable[bytes]] | None = None,
    ) -> None:
        self._chats = tuple(chats)
        self._desk = desk
        self._journal = journal
        self._report = report
        self._now = now
        self._remember = remember
        self._picture = picture
        self._registry = registry
        self._quietest = quietest
        self._wall = wall or now
        self._people = People(settings, asks)
        self._questions = (
            Confirmations(asks, self._people, settings, self._tell_people, self._wall) if asks else None
        )
        self._answered = Pace(1, HOUR)
        self._identified = Pace(3, HOUR)
        self._announced = Pace(STRANGERS, HOUR)
        self._tries = Pace(TRIES, TEN_MINUTES)
        self._written = Pace(WRITTEN, TEN_MINUTES)
        self._unwritten: Counter[tuple[str, int]] = Counter()
        self._warned = Pace(1, TEN_MINUTES)
        self._warnings = Pace(STRANGERS, HOUR)
        self._news: asyncio.Queue[Record] = asyncio.Queue(WAITING)
        self._missed = 0
        self._hasty: set[asyncio.Task[None]] = set()
        self._came = 0
        self._hurried = 0
        self._turned_away: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Answer messages and tell alerts until every chat has ended, then tell the alerts that still wait.

        The messages of a chat are answered in their order, one after another; only a kill and a pause wait for none,
        of whichever chat. A chat that fails ends for itself.
        """
        self._desk.listen(self.hear)
        telling = asyncio.create_task(self._tell())
        talking = [asyncio.create_task(self._talk(chat)) for chat in self._chats]
        try:
            await asyncio.gather(*talking)
            await asyncio.gather(*self._hasty, *self._turned_away)
        finally:
            beside = (telling, *talking, *self._hasty, *self._turned_away)
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)
        await self.tell_waiting()

    async def _talk(self, chat: Chat) -> None:
        """One chat to its end; what it brought is answered all the same when it breaks off."""
        line = Line()
        serving = asyncio.create_task(self._serve(chat, line))
        try:
            await self._listen(chat, line)
            await asyncio.gather(*self._hasty)
            await line.empty()
        finally:
            serving.cancel()
            await asyncio.gather(serving, return_exceptions=True)

    async def _listen(self, chat: Chat, line: Line) -> None:
        try:
            async for message in chat.messages():
                await self._receive(chat, message, line)
        except Exception:
            log.exception("the chat %s ended by an error; the others go on", chat.source)

    async def _receive(self, chat: Chat, message: Message, line: Line) -> None:
        """Nothing that somebody says may keep the next message from being read. Only the terminal, which is one's own,
        waits for itself.
        """
        if not self._may_hurry(message):
            await self._line_up(chat, Asked(message, self._came), line)
            return
        self._came += 1
        hasty = asyncio.create_task(self._hurry(chat, Asked(message, self._came), line))
        self._hasty.add(hasty)
        hasty.add_done_callback(self._hasty.discard)

    def _may_hurry(self, message: Message) -> bool:
        """A kill or a pause: any number of those whom the profile lets; of others, who are looked up, not too many."""
        if self._registry.named(message.text) not in HASTY:
            return False
        return len(self._hasty) < OF_STRANGERS or self._may(message, self._people.by_profile(message.who))

    def _may(self, message: Message, person: Person | None) -> bool:
        command = self._registry.called(self._registry.named(message.text))
        role = command.role if command else None
        return person is not None and role is not None and person.role >= role

    async def _hurry(self, chat: Chat, asked: Asked, line: Line) -> None:
        """A kill or a pause of somebody who may: nobody else gets past those who wait."""
        try:
            person = await self._person(asked.message)
        except Exception:
            log.exception("who said %s could not be looked up", asked.message.key)
            person = None
        if not self._may(asked.message, person):
            await self._line_up(chat, asked, line)
            return
        self._hurried = max(self._hurried, asked.hasty)
        await self._answer_to(chat, asked.message, asked.hasty, person)

    async def _line_up(self, chat: Chat, asked: Asked, line: Line) -> None:
        if asked.message.who.surface == TERMINAL.surface:
            await line.wait(asked)
            return
        stranger = self._people.by_profile(asked.message.who) is None
        if not line.takes(asked, stranger=stranger):
            self._turn_away(chat, asked.message, SILENCE if stranger else TOO_MUCH)

    def _turn_away(self, chat: Chat, message: Message, reply: Reply) -> None:
        if len(self._turned_away) >= TURNED_AWAY:
            return
        telling = asyncio.create_task(self._say(chat, message, reply))
        self._turned_away.add(telling)
        telling.add_done_callback(self._turned_away.discard)

    async def _serve(self, chat: Chat, line: Line) -> None:
        while True:
            message, hurried, _ = await line.next()
            await asyncio.gather(*self._hasty)
            await self._answer_to(chat, message, hurried)
            line.answered()

    async def _answer_to(
        self, chat: Chat, message: Message, hurried: int, person: Person | None = None
    ) -> None:
        await self._say(chat, message, await self.answer(message, chat.source, hurried, person))

    async def _say(self, chat: Chat, message: Message, reply: Reply) -> None:
        """A chat that takes no answer may still bring the next message, and that may be a kill."""
        try:
            await chat.answer(message, reply.said())
        except Exception:
            log.exception("the answer to %s could not be told", message.key)

    def hear(self, event: Recorded) -> None:
        """Called by the engine for every durable record: takes note of what may be worth telling, and returns."""
        if not may_alert(event.record):
            return
        try:
            self._news.put_nowait(event.record)
        except asyncio.QueueFull:
            self._missed += 1

    async def answer(
        self, message: Message, source: str, hurried: int | None = None, person: Person | None = None
    ) -> Reply:
        """The reply to one message, also when something inside fails.

        `hurried` is how many hasty messages had come when it came; as many as by now if not given.
        `person` is whose it is, where that was looked up.
        """
        before = self._came if hurried is None else hurried
        try:
            person = person or await self._person(message)
            if person is None:
                return await self._to_a_stranger(message, source)
            context = self._context(message, source, person, lambda: self._hurried > before)
            reply = await self._reply(message, context)
            if reply.denied is not None:
                await self._denied(message, source, person.name, reply)
        except WhydeskError as error:
            return Reply(str(error), ok=False)
        except Exception:
            log.exception("message %s failed", message.key)
            return Reply("That failed inside; the log has the details.", ok=False)
        return reply

    async def _person(self, message: Message) -> Person | None:
        """Whose message it is. What stops the desk waits for no store: there the profile's word is enough."""
        hasty = self._registry.named(message.text) in HASTY
        try:
            async with asyncio.timeout(STORE_S if hasty else None):
                return await aside(self._people.of, message.who)
        except (StoreFailed, TimeoutError):
            person = self._people.by_profile(message.who)
            if person is not None and not hasty:
                raise
            return person

    def _context(
        self, message: Message, source: str, person: Person, overtaken: Callable[[], bool]
    ) -> Context:
        now, terminal = self._wall(), message.who.surface == TERMINAL.surface
        # A platform's clock may be ahead of ours; nothing lies between us and the terminal.
        sent = now if terminal else min(message.at, now)
        return Context(
            desk=self._desk,
            journal=self._journal,
            person=person,
            source=source,
            key=message.key,
            report=self._report,
            now=self._now,
            remember=self._remember,
            registry=self._registry,
            who=message.who,
            place=message.place,
            private=message.private,
            people=self._people,
            questions=self._questions,
            age_s=(now - sent).total_seconds(),
            sent=sent,
            sure=terminal,
            overtaken=overtaken,
            picture=self._picture,
        )

    async def _reply(self, message: Message, context: Context) -> Reply:
        """A button of a card, the digits of one, or a command; all else is a question."""
        if self._questions is not None and message.how is How.PRESSED and not message.text.startswith("/"):
            return await self._questions.pressed(message.text, context)
        if self._questions is not None and _is_code(message.text):
            nonce = await self._questions.awaiting_code(context)
            if nonce:
                code = message.text.strip()
                return await self._questions.answer(context, nonce, code, yes=True, pressed=False)
        return await self._registry.dispatch(message.text, context)

    async def _to_a_stranger(self, message: Message, source: str) -> Reply:
        """Their own number, at most once an hour; the owners hear of them. Nothing else is said to nobody."""
        who, now = message.who, self._wall()
        account = (who.surface, who.number)
        if self._registry.named(message.text) == "whoami":
            allowed = self._identified.allows(account, now)
            return Reply(who_is(who, "nobody here."), ok=False, only=True) if allowed else SILENCE
        await self._denied(
            message, source, f"{who.surface} {who.number}", Reply("no role", denied=Denied.ROLE)
        )
        if not self._answered.allows(account, now):
            return SILENCE
        asked = await self._ask_access(message)
        said = "nobody here yet. Access was asked for." if asked else "nobody here."
        return Reply(who_is(who, said), ok=False, only=True)

    async def _ask_access(self, message: Message) -> bool:
        """Ask the owners about an account, unless it was spoken of: who was denied or revoked is not asked about."""
        who = message.who
        try:
            if self._questions is None:
                return False
            if await aside(self._people.name_of, who):
                return False
            if not self._announced.allows("strangers", self._wall()):
                return False
            await self._questions.ask_access(who, message.place)
        except StoreFailed as error:  # which is nothing to tell a stranger
            log.warning("nobody could be asked about %s %s: %s", who.surface, who.number, error)
            return False
        return True

    async def _denied(self, message: Message, source: str, name: str, reply: Reply) -> None:
        """Refused wishes to change something are written down, and whoever keeps trying is told to the owners."""
        now, account = self._wall(), (message.who.surface, message.who.number)
        named = self._registry.called(self._registry.named(message.text))
        changes = message.how is How.PRESSED or (named is not None and named.effect is not Effect.NOTHING)
        if changes:
            await self._write_down(message, source, name, reply.text)
        if reply.denied is not Denied.ROLE or self._tries.count(account, now) < TRIES:
            return
        if self._warned.allows(account, now) and self._warnings.allows("all", now):
            text = f"{name} ({account[0]} {account[1]}) was refused {TRIES} times within ten minutes. Last: "
            await self._tell_people(Said(f"{text}“{clean(message.text)[:100]}”."), Lane.URGENT)

    async def _write_down(self, message: Message, source: str, name: str, why: str) -> None:
        """Each of the first; then one that says so, and how many there were with the next one that is written."""
        at, account = self._now(), _account(message)
        before = self._unwritten[account]
        if self._written.allows(account, self._wall()):
            del self._unwritten[account]
            more = f" Before it {before} more were refused and not written down." if before else ""
        else:
            self._unwritten[account] = before + 1
            more = " Further ones are counted and not written down."
            if len(self._unwritten) > Pace.MOST_KEYS:
                del self._unwritten[next(iter(self._unwritten))]
            if before:
                return
        if self._remember is None:
            return
        key = record_id("a", at, source, message.key, "denied")
        asked = clean(message.text)[:200]
        record = AnswerRecord(key, at, name, asked, f"refused: {why}{more}", True, ())
        try:
            await self._remember(record)
        except StoreFailed as error:  # a refusal stands also where it cannot be written down
            log.warning("a refused wish of %s could not be written down: %s", name, error)

    async def tell_waiting(self) -> None:
        """Tell every alert that waits now."""
        while not self._news.empty():
            await self._tell_one(self._news.get_nowait())

    async def _tell(self) -> None:
        while True:
            await self._tell_one(await self._news.get())

    async def _tell_one(self, record: Record) -> None:
        """A record that cannot be told must not silence those after it."""
        try:
            found = alert(record, self._journal)
        except Exception:
            log.exception("record %s could not be read for an alert", record.id)
            found = None
        if found is not None and found.level <= self._quietest:
            await self._tell_all(found.said, found.lane, f"record {record.id}")
        if self._missed and self._news.empty():
            missed, self._missed = self._missed, 0
            text = f"{missed:,} records went by untold; /trades and /status show where we are."
            await self._tell_all(Said(text), Lane.NOTICE, "what was missed")

    async def _tell_people(self, said: Said, lane: Lane) -> None:
        await self._tell_all(said, lane, "what a person should see")

    async def _tell_all(self, said: Said, lane: Lane, what: str) -> None:
        """In every chat; one that takes nothing silences no other."""
        for chat in self._chats:
            try:
                await chat.tell(said, lane)
            except Exception:
                log.exception("%s could not be told in the chat %s", what, chat.source)


def _is_code(text: str) -> bool:
    """Four digits and nothing else, which no question is."""
    plain = text.strip()
    return len(plain) == 4 and plain.isascii() and plain.isdigit()

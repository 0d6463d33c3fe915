"""Telegram as a chat. What a person sends is durable here before Telegram may forget it.

The library's own loop tells Telegram that an update has arrived as soon as it is in memory, and a crash after that
loses a command. So this is our own loop: ask, keep, and confirm only by asking for the next ones. What was waiting
while the desk was down is heard, not dropped: whether a command is too old is decided by whoever carries it out.
"""

import asyncio
import logging
import math
from collections import deque
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from datetime import datetime
from typing import Any, NamedTuple

import msgspec
from telegram import BotCommand, BotCommandScopeChat, BotCommandScopeDefault, Update
from telegram.error import Conflict, InvalidToken, RetryAfter, TelegramError

from bot.chat.port import How, Lane, Message, Place, Said
from bot.chat.telegram_read import SOURCE, WANTED, Myself, heard, moved, name_of
from bot.chat.telegram_send import TelegramSender, packed, seconds
from bot.chat.telegram_wire import UNREADABLE, line
from bot.outbox import UPDATE, Moved, Refused, TooFast, Unreachable
from configs.schema.chat import TelegramSettings
from engine.core.domain.errors import StoreFailed
from engine.ports import Letter, Mail, Post

log = logging.getLogger(__name__)

MOST_COMMANDS, MOST_DESCRIPTION = 100, 256
MOST_UPDATES = 100
"""Updates of one answer; when there are so many, more may wait."""
HEAD_START_S = 0.5
"""What was left over from before is waited for, at most so long, before anything else is passed on."""
GAP_S = 1.0
"""Between two polls there is less, unless something went wrong."""
REMEMBERED = 1000
"""Keys of messages that were passed on, for the case that the store cannot say which are new."""
NO_TOKEN = "Telegram does not know this token: expected the one that @BotFather gave"  # noqa: S105
OTHERS = (
    "another program receives the messages of this bot: one token is for one desk. Nothing is received here until it"
    " stops."
)


class Patience(NamedTuple):
    """Seconds: between tries while Telegram is away, from `first` to `most`; `again` after another program's poll cut
    ours off; `alone` until a start may say that nobody else polls; `refused` between looks whether they still do;
    `kept` between tries while the store takes nothing, which never grows: what comes next may be a kill.
    """

    first: float = 0.5
    most: float = 30.0
    again: float = 0.5
    alone: float = 2.0
    refused: float = 30.0
    kept: float = 1.0


TOLERATED, TOLERATED_AT_START = 6, 2
"""Polls that may be cut off before this one gives way: within two looks of somebody who was refused; at a start."""


class TelegramChat:
    """One bot at Telegram, by the token that is its own.

    `menu` are names and descriptions that everybody is offered. `now` is the desk's clock. `has_moved` is told when a
    group gets another number. What is to be said is only posted here: `sender` carries it.
    """

    source = SOURCE

    def __init__(
        self,
        token: str,
        settings: TelegramSettings,
        mail: Mail,
        now: Callable[[], datetime],
        *,
        menu: Sequence[tuple[str, str]] = (),
        has_moved: Callable[[Place, Place], None] | None = None,
        patience: Patience = Patience(),
    ) -> None:
        self._line = line(token, settings.url)
        self._poll_s = settings.poll_s
        self._places = [Place(SOURCE, chat, settings.topic) for chat in settings.chats]
        self._mail = mail
        self._now = now
        self._menu = menu
        self._has_moved = has_moved
        self._patience = patience
        self.sender = TelegramSender(self._line, self._move)
        self.posted: Callable[[], None] = lambda: None
        """Called when something new waits to be sent: whoever sends it sets this."""
        self.trouble = ""
        """Why nothing is received now; empty while all is well."""
        self._me: Myself | None = None
        self._alone = False
        self._refused = False
        self._offset = 0
        self._failures = 0
        self._cut_off: deque[float] = deque(maxlen=TOLERATED + 1)
        self._emptied: tuple[float, datetime] | None = None
        """When nothing was waiting at Telegram any more: by a clock that only goes on, and by the desk's."""
        self._shown: dict[int, tuple[BotCommand, ...]] = {}
        self._beside: set[asyncio.Task[None]] = set()
        self._passed: deque[str] = deque(maxlen=REMEMBERED)
        self._unkept: set[str] = set()
        """Keys of messages that were passed on and will come again, to be kept."""
        self._let_go: set[str] = set()
        """Keys of messages that were passed on and never kept, until they are answered."""
        self._settled: deque[str] = deque(maxlen=REMEMBERED)
        self._owed: list[str] = []
        """Keys of letters that are kept now and were answered before: they are still to be put away."""

    async def messages(self) -> AsyncIterator[Message]:
        """What was heard and not answered before a crash, and what people write. Nothing ends it.

        What is older comes first, unless the store takes long to tell it.
        """
        left, turn = asyncio.create_task(self._left_over()), asyncio.create_task(self._turn())
        beside = {left, turn}
        try:
            await asyncio.wait({left}, timeout=HEAD_START_S)
            while True:
                done, _ = await asyncio.wait(beside, return_when=asyncio.FIRST_COMPLETED)
                beside -= done
                for task in (left, turn):
                    for message in task.result() if task in done else ():
                        yield message
                if turn in done:
                    turn = asyncio.create_task(self._turn())
                    beside.add(turn)
        finally:
            for task in beside:
                task.cancel()
            await asyncio.gather(*beside, return_exceptions=True)

    async def answer(self, message: Message, said: Said) -> None:
        """In one transaction: the message is answered, and the answer on its way."""
        to = 0 if message.private or message.how is How.PRESSED else int(message.key.rpartition(".")[2])
        posts = [self._post(message.place, said, Lane.URGENT, to)] if said.text or said.picture else []
        if message.key in self._unkept:
            self._settled.append(message.key)
            await self._send(posts)
            return
        if message.key in self._let_go:
            self._let_go.remove(message.key)
            await self._send(posts)
            return
        try:
            await asyncio.to_thread(self._mail.answered, SOURCE, message.key, posts)
        except StoreFailed as error:
            await self._send_now(posts, error)
        self.posted()

    async def tell(self, said: Said, lane: Lane) -> None:
        """Put it on its way to each chat of the settings."""
        await self._send([self._post(place, said, lane) for place in self._places])

    async def _send(self, posts: Sequence[Post]) -> None:
        try:
            if posts:
                await asyncio.to_thread(self._mail.post, posts)
        except StoreFailed as error:
            await self._send_now(posts, error)
        self.posted()

    def _post(self, place: Place, said: Said, lane: Lane, to: int = 0) -> Post:
        where = name_of(self.sender.now_at(place))
        group = f"{UPDATE}{said.update}" if said.update else said.thread
        return Post(SOURCE, where, lane, self._now(), packed(said, to), group)

    async def _send_now(self, posts: Sequence[Post], why: StoreFailed) -> None:
        """A full disk must not keep anybody from hearing of it: one try, past the outbox."""
        log.warning("what is said goes out without a record: %s", why)
        for post in posts:
            try:
                await self.sender.send(post.place, [post.body], "", "")
            except (TooFast, Unreachable, Refused, Moved) as error:
                log.warning("it did not arrive at %s: %s", post.place, error)

    async def close(self) -> None:
        """Let go of the connections. What waits to be sent waits for the next start."""
        for task in self._beside:
            task.cancel()
        await asyncio.gather(*self._beside, return_exceptions=True)
        await self._line.close()

    async def _left_over(self) -> list[Message]:
        """As soon as the store tells it; without what was heard meanwhile."""
        told = False
        while True:
            try:
                letters = await asyncio.to_thread(self._mail.unanswered, SOURCE)
                opened = [message for letter in letters if (message := await self._opened(letter))]
            except StoreFailed as error:
                if not told:
                    log.warning("what was not answered before has to wait: %s", error)
                told = True
                await asyncio.sleep(self._patience.kept)
            else:
                return self._pass([message for message in opened if message.key not in self._passed])

    async def _opened(self, letter: Letter) -> Message | None:
        """A letter of an older version that cannot be read any more is put away, once."""
        try:
            return msgspec.json.decode(letter.body, type=Message)
        except msgspec.DecodeError as error:
            log.error("letter %s of %s cannot be read: %s", letter.key, letter.at, error)
            await asyncio.to_thread(self._mail.answered, SOURCE, letter.key, [])
            return None

    async def _turn(self) -> list[Message]:
        """One poll, or one wait after something went wrong."""
        try:
            if self._me is None:
                await self._meet()
            if not self._alone:
                await self._look_for_others()
            found = await self._listen()
        except Conflict as error:
            await self._give_way(error)
        except RetryAfter as error:
            self.trouble = str(error)
            await asyncio.sleep(seconds(error))
        except InvalidToken:
            await self._refuse(NO_TOKEN)
        except TelegramError as error:
            await self._wait_after(f"Telegram does not answer: {self._words(error)}")
        except StoreFailed as error:
            await self._wait_for_the_store(error)
        except UNREADABLE as error:
            await self._wait_after(f"what Telegram answers cannot be read ({type(error).__name__})")
        else:
            self._well()
            return found
        return []

    async def _meet(self) -> None:
        """Who the bot is. A webhook that somebody set would take every message; what waits there stays."""
        bot = self._line.bot
        user = await bot.get_me()
        await bot.delete_webhook(drop_pending_updates=False)
        self._me = Myself(user.id, user.username or "")
        self._do_beside(self.show_menu(self._menu))

    async def _look_for_others(self) -> None:
        """Poll without taking anything: a program that polls already has our poll cut off, and then has the right.

        It polls again after a moment, so that its poll and ours meet within the time that is given here.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + self._patience.alone
        while (left := until - loop.time()) > 0:
            if await self._updates(left):
                await asyncio.sleep(min(left, self._patience.again))
            else:
                self._emptied = (loop.time(), self._now())
        self._alone = True
        self._cut_off.clear()

    async def _listen(self) -> list[Message]:
        """Poll once; what is new in it is durable before anybody sees it, and before the next poll confirms it.

        Where the store takes nothing, nothing is confirmed, so that it comes again; but for as many as one answer of
        Telegram holds, when all have been passed on: they would hide what was written after them.
        """
        began = asyncio.get_running_loop().time()
        updates = await self._updates(self._poll_s)
        messages = self._read(updates, self._earliest(began))
        letters = [Letter(SOURCE, each.key, each.at, msgspec.json.encode(each)) for each in messages]
        try:
            new = await asyncio.to_thread(self._mail.receive, letters) if letters else ()
        except StoreFailed as error:
            fresh = self._at_once(messages, error)
            if not fresh and len(updates) < MOST_UPDATES:
                raise
            if not fresh:
                gone = {message.key for message in messages} & self._unkept
                self._unkept -= gone
                self._let_go |= gone.difference(self._settled)
                self._go_beyond(updates)
            return fresh
        if len(updates) < MOST_UPDATES:
            self._emptied = (asyncio.get_running_loop().time(), self._now())
        self._go_beyond(updates)
        return self._first_heard([msgspec.json.decode(letter.body, type=Message) for letter in new])

    def _go_beyond(self, updates: Sequence[Update]) -> None:
        """The next poll confirms these, and brings those after them."""
        if updates:
            self._offset = max(update.update_id for update in updates) + 1
        for update in updates:
            if update.callback_query is not None:
                self._do_beside(self._acknowledge(update.callback_query.id))

    def _at_once(self, messages: Sequence[Message], error: StoreFailed) -> list[Message]:
        """What cannot be kept is passed on, once, for it may be a kill."""
        fresh = [message for message in messages if message.key not in self._passed]
        if not fresh:
            return []
        log.warning("%s messages are not durable: %s", len(fresh), error)
        self._unkept |= {message.key for message in fresh}
        return self._pass(fresh)

    def _first_heard(self, messages: Sequence[Message]) -> list[Message]:
        """Without those that were passed on before they could be kept. Some of them have even been answered."""
        known = self._unkept.union(self._passed)
        fresh = [message for message in messages if message.key not in known]
        late = {message.key for message in messages} & self._unkept
        self._unkept -= late
        self._owed += [key for key in late if key in self._settled]
        if self._owed:
            self._do_beside(self._put_away())
        return self._pass(fresh)

    async def _put_away(self) -> None:
        """What was answered before it could be kept does not come again. Where that fails, after the next poll."""
        owed, self._owed = self._owed, []
        for key in owed:
            try:
                await asyncio.to_thread(self._mail.answered, SOURCE, key, [])
            except StoreFailed as error:
                log.warning("letter %s is answered, and not yet put away: %s", key, error)
                self._owed.append(key)

    def _pass(self, messages: list[Message]) -> list[Message]:
        self._passed.extend(message.key for message in messages)
        return messages

    def _earliest(self, began: float) -> datetime | None:
        """When the oldest of what a poll that began then has brought can have happened; None if nobody knows.

        Polls that follow upon each other are answered as it happens. After a gap, it may be as old as the gap.
        """
        if self._emptied is None:
            return None
        emptied, at = self._emptied
        return self._now() if began - emptied < GAP_S else at

    async def _updates(self, wait_s: float) -> Sequence[Update]:
        """What Telegram has from the offset on, which confirms everything before it."""
        bot = self._line.bot
        try:
            return await bot.get_updates(
                self._offset or None, timeout=max(1, math.ceil(wait_s)), allowed_updates=WANTED
            )
        except UNREADABLE:
            # One update that the library cannot read must not hide all others for ever.
            address = f"{bot.base_url}/getUpdates?offset={self._offset}"
            told = await self._line.polling.post(address)
        return [self._made(each["update_id"], each) for each in msgspec.convert(told, list[dict[str, Any]])]

    def _made(self, number: int, told: dict[str, Any]) -> Update:
        try:
            return Update.de_json(told, self._line.bot)
        except UNREADABLE as error:
            log.error("update %s cannot be read (%s)", number, type(error).__name__)
            return Update(number)

    def _read(self, updates: Sequence[Update], earliest: datetime | None) -> list[Message]:
        found = []
        for update in updates:
            try:
                if gone := moved(update):
                    self.sender.has_moved(gone.old, gone.new)
                elif self._me and (message := heard(update, self._me, earliest)):
                    found.append(message)
            except UNREADABLE as error:
                log.error("update %s cannot be read (%s)", update.update_id, type(error).__name__)
        return found

    def _move(self, old: int, new: int) -> None:
        log.warning("the group %s has become the group %s", old, new)
        if self._has_moved is not None:
            self._has_moved(Place(SOURCE, old), Place(SOURCE, new))

    async def _acknowledge(self, query: str) -> None:
        """Until then the button shows that it waits. One that is too old needs none."""
        try:
            await self._line.bot.answer_callback_query(query)
        except (TelegramError, *UNREADABLE) as error:
            log.info("a press could not be acknowledged: %s", self._words(error))

    async def show_menu(self, commands: Sequence[tuple[str, str]], chat: int = 0) -> None:
        """Offer these commands, by name and description, in one chat or (0) in all others; set only if they differ."""
        wanted = tuple(
            BotCommand(name, description[:MOST_DESCRIPTION]) for name, description in commands[:MOST_COMMANDS]
        )
        if self._shown.get(chat, ()) == wanted:
            return
        scope = BotCommandScopeChat(chat) if chat else BotCommandScopeDefault()
        try:
            if await self._line.bot.get_my_commands(scope=scope) != wanted:
                await self._line.bot.set_my_commands(wanted, scope=scope)
        except (TelegramError, *UNREADABLE) as error:
            log.warning("the menu could not be shown: %s", self._words(error))
        else:
            self._shown[chat] = wanted

    async def _give_way(self, error: Conflict) -> None:
        """Cut off once, poll again at once: whoever came later gives up. Cut off again and again, give up too."""
        if "webhook" in error.message.lower():
            self._me = None
        self._cut_off.append(asyncio.get_running_loop().time())
        if not self._refused and not self._contested():
            await asyncio.sleep(self._patience.again)
            return
        await self._refuse(OTHERS)

    def _contested(self) -> bool:
        """Whether polls were cut off more often than by somebody who is on the way out."""
        if not self._alone:
            return len(self._cut_off) > TOLERATED_AT_START
        since = asyncio.get_running_loop().time() - 2 * self._patience.refused
        return sum(at > since for at in self._cut_off) > TOLERATED

    async def _refuse(self, why: str) -> None:
        """Receive nothing, say so once, and look again much later."""
        if self.trouble != why:
            log.error("%s", why)
        self.trouble, self._refused, self._alone = why, True, False
        self._cut_off.clear()
        await asyncio.sleep(self._patience.refused)

    async def _wait_after(self, why: str) -> None:
        """Longer after each failure in a row. Only the first is worth a line."""
        if not self._failures:
            log.warning("nothing is received: %s", why)
        self.trouble = why
        wait = min(self._patience.most, self._patience.first * 2 ** min(self._failures, 30))
        self._failures += 1
        await asyncio.sleep(wait)

    async def _wait_for_the_store(self, error: StoreFailed) -> None:
        """What arrives is heard meanwhile."""
        if not self.trouble:
            log.warning("nothing of what is received can be kept: %s", error)
        self.trouble = str(error)
        await asyncio.sleep(self._patience.kept)

    def _well(self) -> None:
        if self.trouble:
            log.warning("messages are received again")
        self.trouble, self._failures, self._refused = "", 0, False

    def _words(self, error: Exception) -> str:
        return self._line.secret.redact(str(error))

    def _do_beside(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.create_task(work)
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)

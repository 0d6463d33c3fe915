"""People in a chat over the whole desk: what they confirm is done once, wherever the process dies, and restarts forget
nothing. A message that was not answered when the process died comes again, as platforms and the mail see to it.
"""

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from bot.app import Bot
from bot.chat.port import How, Message, Place
from bot.command import Reply
from bot.people import Who
from configs.schema.chat import ChatSettings, PersonSettings
from engine.core.domain.records import CommandRecord
from engine.ports import Asked
from engine.store.asks import SqlAsks
from tests.life import BTC, Died, Life, life
from tests.unit.bot.talk import button

PEOPLE = ChatSettings(
    people=(
        PersonSettings("tom", "trader", telegram=2),
        PersonSettings("ada", "admin", telegram=4),
        PersonSettings("abe", "admin", telegram=5, discord=15),
    )
)
NUMBERS = {"tom": 2, "ada": 4, "abe": 5}


class MortalAsks(SqlAsks):
    """A store of questions at which the process may die, before or after it has written."""

    dies_at: tuple[str, str] = ("", "")
    dead = False

    def ask(self, asked: Asked) -> None:
        """As the store does, unless it is time to die."""
        self._perhaps("ask", "before")
        super().ask(asked)
        self._perhaps("ask", "after")

    def answer(self, nonce: str, answer: str, by: str, at: Any, key: str) -> bool:
        """The same."""
        self._perhaps("answer", "before")
        first = super().answer(nonce, answer, by, at, key)
        self._perhaps("answer", "after")
        return first

    def _perhaps(self, what: str, when: str) -> None:
        if self.dies_at == (what, when):
            self.dead = True
            raise Died(when)


class Room:
    """A chat of one desk, whose process dies and is started again."""

    def __init__(self, desk: Life) -> None:
        self.desk = desk
        self.deaths = 0
        self.open()

    def open(self) -> None:
        """A bot over the desk as it is now."""
        self.asks = MortalAsks(self.desk.home / "desk.sqlite3", self.desk.settings.desk.name)
        self.bot = Bot(
            (),
            self.desk.engine.desk,
            self.desk.journal,
            _report,
            self.desk.clock.now,
            remember=lambda record: self.desk.engine.writer.write([record]),
            settings=PEOPLE,
            asks=self.asks,
        )

    async def restart(self) -> None:
        """The process is gone; another one recovers."""
        self.asks.close()
        await self.desk.restart()
        self.open()

    async def say(
        self, name: str, text: str, key: str, how: How = How.TYPED, source: str = "telegram"
    ) -> Reply:
        """Said until it is answered: whenever the process dies on the way, it comes again."""
        at = self.desk.clock.now()
        number = 15 if source == "discord" else NUMBERS[name]
        message = Message(text, Who(source, number), key, Place(source, 1), at, how)
        for _ in range(3):
            reply = await self.bot.answer(message, source)
            if not self.asks.dead:
                return reply
            self.deaths += 1
            await self.restart()
        raise AssertionError(f"{text} is never answered")

    def dies(self, what: str, when: str) -> None:
        """Where the process ends, once."""
        if what in ("ask", "answer"):
            self.asks.dies_at = (what, when)
            return

        def now(told: str, of: Any) -> bool:
            fits = told == when and (
                _is_command(of) if what == "journal" else not isinstance(of, list | tuple)
            )
            if fits:
                self.desk.mortal(None)
                self.asks.dead = True
            return fits

        self.desk.mortal(now)


def _is_command(records: Any) -> bool:
    return isinstance(records, list | tuple) and any(isinstance(each, CommandRecord) for each in records)


async def _report(day: str) -> str:
    return day


@pytest.fixture
async def room(tmp_path: Path) -> AsyncIterator[Room]:
    async with life(tmp_path) as desk:
        made = Room(desk)
        yield made
        made.asks.close()


NEVER_LEFT = (("journal", "after"), ("venue", "before"))
POINTS = [(what, when) for what in ("ask", "answer", "journal", "venue") for when in ("before", "after")]


@pytest.mark.parametrize(("what", "when"), POINTS)
async def test_g3_what_was_confirmed_is_bought_once_wherever_the_process_dies(
    room: Room, what: str, when: str, record_property: Callable[[str, object], None]
) -> None:
    room.dies(what, when)

    card = await room.say("tom", f"/buy {BTC} 0.01", "m1")
    reply = await room.say("tom", button(card, "Yes").data, "p1", How.PRESSED)
    again = [await room.say("tom", button(card, "Yes").data, key, How.PRESSED) for key in ("p1", "p2")]
    await room.desk.tend_for(30)

    bought = [order for order in room.desk.sent() if order["side"] == "BUY"]
    assert room.deaths == 1
    assert reply.text and all(each.text for each in again)
    # An entry that may have left is looked up and never sent again: where it had not, it ends, and that is told.
    lost = (what, when) in NEVER_LEFT
    assert (len(bought), room.desk.said_of("e")[-1]) == ((0, "expired") if lost else (1, "accepted"))
    assert len(room.desk.written(CommandRecord)) == 1
    record_property(
        "sums", {"R1 points of death between a wish and its effect": 1, "R1 effects": len(bought)}
    )
    room.desk.judged()


async def test_a_kill_holds_over_a_restart_and_two_admins_on_two_platforms_end_it(room: Room) -> None:
    killed = await room.say("tom", "/kill the news", "m1")
    await room.restart()
    card = await room.say("ada", "/resume all is well", "m2")
    await room.restart()

    alone = await room.say("ada", button(card, "Yes").data, "p1", How.PRESSED)
    refused = await room.say("tom", button(card, "Yes").data, "p2", How.PRESSED)
    assert room.desk.engine.desk.status()["state"] == "halted"
    done = await room.say("abe", button(card, "Yes").data, "p3", How.PRESSED, "discord")

    assert killed.ok
    assert "Resume: from halted to reducing. The desk is halted since" in card.text
    assert "by tom: “the news”." in card.text
    assert [alone.ok, refused.ok, done.ok] == [False, False, True]
    tap = await room.say("ada", "/resume", "m3")
    assert (await room.say("ada", button(tap, "Yes").data, "p4", How.PRESSED)).ok
    assert room.desk.engine.desk.status()["state"] == "active"
    assert [(record.kind, record.by) for record in room.desk.written(CommandRecord)] == [
        ("kill", "tom"),
        ("resume", "ada, approved by abe"),
        ("resume", "ada"),
    ]


async def test_a_kill_that_flattens_sells_after_the_yes_at_a_real_venue(room: Room) -> None:
    await room.desk.buy()
    await room.desk.tend()

    card = await room.say("tom", "/kill flatten", "m1")
    assert room.desk.engine.desk.status()["state"] == "halted"
    assert len(room.desk.portfolio.positions) == 1
    await room.say("tom", button(card, "Yes").data, "p1", How.PRESSED)
    await room.desk.tend_for(4)

    assert room.desk.portfolio.positions == ()
    room.desk.judged()

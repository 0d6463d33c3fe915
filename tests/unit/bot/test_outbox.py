"""The pump against a platform with limits, in a time of its own: only waiting makes it pass."""

import asyncio
import contextlib
import random
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bot.outbox import KEPT, MANY, PERHAPS, Bucket, Moved, Outbox, Refused, Room, TooFast, Unreachable, chosen
from engine.core.domain.errors import StoreFailed
from engine.ports import Parcel, Post
from engine.store.mail import SqlMail

BEGIN = datetime(2026, 11, 24, tzinfo=UTC)
ROOM = Room(20, 1.0)
Note = Callable[[str, object], None]


class World:
    """A clock, and what happens by it."""

    def __init__(self) -> None:
        self.second = 0.0
        self._coming: list[tuple[float, Callable[[], object]]] = []
        self._ends = 0.0

    def now(self) -> datetime:
        return BEGIN + timedelta(seconds=self.second)

    def monotonic(self) -> float:
        return 1000.0 + self.second

    def at(self, second: float, happens: Callable[[], object]) -> None:
        self._coming.append((second, happens))
        self._coming.sort(key=lambda each: each[0])

    async def wait(self, news: asyncio.Event, seconds: float) -> None:
        """Time stands still while something is under way, and passes when the pump waits."""
        if any(task.get_name().startswith("tell ") for task in asyncio.all_tasks()):
            await news.wait()
        if news.is_set():
            return
        until = self.second + seconds
        if self._coming and self._coming[0][0] <= until:
            until, happens = self._coming.pop(0)
            self.second = max(self.second, until)
            happens()
        if until > self._ends:
            raise Over
        self.second = max(self.second, until)

    async def pump(self, outbox: Outbox, seconds: float) -> None:
        self._ends = self.second + seconds
        with pytest.raises(Over):
            await outbox.run()
        self.second = self._ends


class Over(Exception):
    """The time of the test is over."""


class Platform:
    """Takes a burst at each place, then so many a second; asks whoever comes sooner to wait."""

    def __init__(self, world: World, room: Room = ROOM) -> None:
        self._world = world
        self._room = room
        self._buckets: dict[str, Bucket] = {}
        self.told: list[tuple[float, str, str]] = []
        self.calls: list[tuple[str, str]] = []
        self.waits: list[tuple[float, float]] = []
        self.away = False
        self.refuses = ""
        self.moved: dict[str, str] = {}

    def room(self, place: str) -> Room:
        return self._room

    def noted(self, body: bytes, note: str) -> bytes:
        return note.encode() + b" " + body

    async def send(self, place: str, bodies: Sequence[bytes], after: str, replace: str) -> str:
        now = self._world.monotonic()
        if self.away:
            raise Unreachable("nobody answers")
        if place in self.moved:
            raise Moved(self.moved[place])
        if self.refuses and any(self.refuses.encode() in body for body in bodies):
            raise Refused("it is not text")
        bucket = self._buckets.setdefault(place, Bucket(self._room, now))
        wait = bucket.wait(0, now)
        if wait > 0:
            self.waits.append((self._world.second, wait))
            raise TooFast(wait)
        bucket.take(1, now)
        self.told.append((self._world.second, place, "\n".join(body.decode() for body in bodies)))
        self.calls.append((after, replace))
        return f"m{len(self.told)}"

    @property
    def text(self) -> str:
        return "\n".join(text for _, _, text in self.told)


@pytest.fixture
def mail(tmp_path: Path) -> Iterator[SqlMail]:
    with closing(SqlMail(tmp_path / "store.db", "desk")) as mail:
        yield mail


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def platform(world: World) -> Platform:
    return Platform(world)


def outbox_of(mail: Any, platform: Platform, world: World) -> Outbox:
    return Outbox(mail, platform, "telegram", world.now, world.monotonic, world.wait)


def posts(world: World, lane: int, *texts: str, place: str = "42", group: str = "") -> list[Post]:
    return [Post("telegram", place, lane, world.now(), text.encode(), group) for text in texts]


def posting(mail: SqlMail, world: World, lane: int, text: str, group: str = "") -> Callable[[], object]:
    """What posts it once its time has come."""
    return lambda: mail.post(posts(world, lane, text, group=group))


async def test_what_is_urgent_overtakes_all_that_waits(
    mail: SqlMail, platform: Platform, world: World
) -> None:
    mail.post(posts(world, 1, *(f"alert {n}" for n in range(100))))
    said: list[float] = []

    def kill() -> None:
        said.append(world.second)
        mail.post(posts(world, 0, f"halted {len(said)}"))

    for second in (5.0, 20.5, 33.3):
        world.at(second, kill)

    await world.pump(outbox_of(mail, platform, world), 200)

    for number, posted in enumerate(said, start=1):
        (told,) = (at for at, _, text in platform.told if text == f"halted {number}")
        assert told - posted <= 2
    assert platform.waits == [], "whoever keeps to what a place takes is never asked to wait"
    assert len(platform.told) == 103


async def test_g1_a_burst_of_500_alerts_loses_none(
    mail: SqlMail, platform: Platform, world: World, record_property: Note
) -> None:
    chance = random.Random(1)
    lanes = [chance.choice((0, *[1] * 9, *[2] * 20)) for _ in range(500)]
    for number, lane in enumerate(lanes):
        world.at(number / 50, posting(mail, world, lane, f"alert <{number}>"))

    await world.pump(outbox_of(mail, platform, world), 900)

    missing = [number for number in range(500) if f"alert <{number}>" not in platform.text]
    apart = [text for _, _, text in platform.told if "\n" not in text]
    assert missing == []
    assert all(f"alert <{n}>" in apart for n, lane in enumerate(lanes) if lane == 1)
    assert mail.waiting("telegram") == ()
    urgent = [
        at - n / 50
        for n, lane in enumerate(lanes)
        if lane == 0
        for at, _, t in platform.told
        if f"alert <{n}>" in t
    ]
    assert max(urgent) <= 2
    figures = {"alerts": 500, "messages": len(platform.told), "lost": len(missing)}
    record_property("sums", figures | {"latest urgent one, s": f"{max(urgent):.1f}"})


async def test_g1_a_platform_that_counts_otherwise_is_waited_for_as_long_as_it_says(
    mail: SqlMail, world: World
) -> None:
    platform = Platform(world, Room(3, 0.1))
    outbox = outbox_of(mail, platform, world)
    platform.room = lambda place: Room(20, 5.0)  # type: ignore[method-assign]
    mail.post(posts(world, 1, *(f"alert {n}" for n in range(12))))

    await world.pump(outbox, 300)

    assert len(platform.told) == 12
    for asked, wait in platform.waits:
        came = next(at for at, _, _ in platform.told if at > asked)
        assert wait <= came - asked <= wait * 1.1 + 0.01
    assert PERHAPS not in platform.text, "what was refused for now has certainly not arrived"


async def test_a_place_that_is_away_holds_up_no_other(
    mail: SqlMail, platform: Platform, world: World
) -> None:
    send = platform.send

    async def partly(place: str, *rest: Any) -> str:
        if place == "dead":
            raise Unreachable("it hangs")
        return await send(place, *rest)

    platform.send = partly  # type: ignore[method-assign, assignment]
    mail.post(posts(world, 0, "a", "b", place="dead") + posts(world, 1, "c", "d", place="alive"))

    await world.pump(outbox_of(mail, platform, world), 2)

    assert [text for _, _, text in platform.told] == ["c", "d"]


async def test_g7_after_an_outage_one_message_tells_all_of_it_and_what_is_urgent_by_itself(
    mail: SqlMail, platform: Platform, world: World
) -> None:
    platform.away = True
    for number in range(30):
        world.at(60.0 * number, posting(mail, world, 1 + number % 2, f"alert <{number}>"))
    world.at(1700.0, lambda: mail.post(posts(world, 0, "halted")))
    world.at(1800.0, lambda: setattr(platform, "away", False))

    await world.pump(outbox_of(mail, platform, world), 2000)

    assert all(f"alert <{number}>" in platform.text for number in range(30))
    assert any(text.endswith("halted") for _, _, text in platform.told)
    assert len(platform.told) <= 4
    assert platform.text.count(PERHAPS) <= 2, "only what was tried may have arrived"
    assert min(at for at, _, _ in platform.told) <= 1800 + 61


async def test_the_newest_of_a_group_of_updates_takes_the_place_of_the_one_before(
    mail: SqlMail, platform: Platform, world: World, record_property: Note
) -> None:
    for number in range(1000):
        world.at(3.6 * number, posting(mail, world, 1, f"price is stale <{number}>", group="=stale"))

    await world.pump(outbox_of(mail, platform, world), 3700)

    new = [call for call in platform.calls if not call[1]]
    assert len(new) == 1
    assert platform.told[-1][2] == "(1,000 times) price is stale <999>"
    record_property("sums", {"messages of one alert, 1,000 times in an hour": len(new)})


async def test_the_same_text_that_waits_many_times_is_told_once_and_counted(
    mail: SqlMail, platform: Platform, world: World
) -> None:
    mail.post(posts(world, 1, *["feed lost"] * 7, "another"))

    await world.pump(outbox_of(mail, platform, world), 10)

    assert [text for _, _, text in platform.told] == ["(7 times) feed lost", "another"]


async def test_what_belongs_together_is_told_below_its_first_message(
    mail: SqlMail, platform: Platform, world: World
) -> None:
    mail.post([*posts(world, 1, "bought", group="trade"), *posts(world, 1, "sold", group="trade")])

    await world.pump(outbox_of(mail, platform, world), 10)

    assert platform.calls == [("", ""), ("m1", "")]


async def test_what_is_refused_is_a_dead_letter_and_takes_no_other_with_it(
    mail: SqlMail, platform: Platform, world: World
) -> None:
    platform.refuses = "broken"
    mail.post(posts(world, 2, *(f"info {n}" for n in range(MANY)), "broken", "last"))
    outbox = outbox_of(mail, platform, world)

    await world.pump(outbox, 60)

    assert [(parcel.body, why) for parcel, why in mail.dead_letters()] == [(b"broken", "it is not text")]
    assert all(text in platform.text for text in [*(f"info {n}" for n in range(MANY)), "last"])
    assert PERHAPS not in platform.text
    assert outbox.figures[:3] == ((0, 0, 0), None, 1)


async def test_a_place_that_moved_is_told_where_it_is_now(
    mail: SqlMail, platform: Platform, world: World
) -> None:
    platform.moved["42"] = "-100"
    mail.post(posts(world, 1, "one", "two"))

    await world.pump(outbox_of(mail, platform, world), 10)

    assert [(place, text) for _, place, text in platform.told] == [("-100", "one"), ("-100", "two")]


async def test_a_store_that_fails_is_asked_again(mail: SqlMail, platform: Platform, world: World) -> None:
    waiting, failing = mail.waiting, [True, True]

    def ill(source: str) -> tuple[Parcel, ...]:
        if failing:
            failing.pop()
            raise StoreFailed("the disk is full")
        return waiting(source)

    mail.post(posts(world, 1, "one"))
    mail.waiting = ill  # type: ignore[method-assign]

    await world.pump(outbox_of(mail, platform, world), 10)

    assert platform.text == "one"


async def test_what_hangs_at_a_place_does_not_hold_up_what_is_urgent_there(
    mail: SqlMail, platform: Platform, world: World
) -> None:
    send, hangs, halted = platform.send, asyncio.Event(), asyncio.Event()

    async def slowly(place: str, bodies: Sequence[bytes], *rest: Any) -> str:
        if bodies == [b"fill"]:
            hangs.set()
            async with asyncio.timeout(5):
                await halted.wait()
        else:
            halted.set()
        return await send(place, bodies, *rest)

    platform.send = slowly  # type: ignore[method-assign, assignment]
    mail.post(posts(world, 1, "fill"))
    outbox = outbox_of(mail, platform, world)
    running = asyncio.create_task(world.pump(outbox, 5))
    await hangs.wait()
    mail.post(posts(world, 0, "halted"))
    outbox.wake()
    await running

    assert [text for _, _, text in platform.told] == ["halted", "fill"]


async def test_a_try_that_was_turned_away_does_not_make_an_earlier_one_without_an_answer_certain(
    mail: SqlMail, platform: Platform, world: World
) -> None:
    send, answers = platform.send, [Unreachable("the answer was lost"), TooFast(3)]

    async def first_not(*args: Any) -> str:
        if answers:
            raise answers.pop(0)
        return await send(*args)

    platform.send = first_not  # type: ignore[method-assign, assignment]
    mail.post(posts(world, 1, "fill"))

    await world.pump(outbox_of(mail, platform, world), 20)

    assert platform.text == f"{PERHAPS} fill"


async def test_a_message_over_which_something_fails_inside_keeps_no_other_from_being_told(
    mail: SqlMail, platform: Platform, world: World
) -> None:
    send = platform.send

    async def fails(place: str, bodies: Sequence[bytes], *rest: Any) -> str:
        if any(b"broken" in body for body in bodies):
            raise KeyError("a body of another version")
        return await send(place, bodies, *rest)

    platform.send = fails  # type: ignore[method-assign, assignment]
    mail.post(posts(world, 0, "broken", "halted") + posts(world, 1, "fill"))

    await world.pump(outbox_of(mail, platform, world), 20)

    assert sorted(text for _, _, text in platform.told) == ["fill", "halted"]
    assert [parcel.body for parcel in mail.waiting("telegram")] == [b"broken"], "it is not lost either"


async def test_what_was_told_is_not_told_again_because_the_store_was_busy(
    mail: SqlMail, platform: Platform, world: World
) -> None:
    delivered, busy = mail.delivered, [True, True, True]

    def busily(*args: Any) -> None:
        if busy:
            busy.pop()
            raise StoreFailed("another process writes")
        delivered(*args)

    mail.delivered = busily  # type: ignore[method-assign, assignment]
    mail.post(posts(world, 1, "fill"))

    await world.pump(outbox_of(mail, platform, world), 20)

    assert platform.text == "fill"
    assert mail.waiting("telegram") == ()


async def test_what_arrives_while_the_store_is_read_is_not_told_again(
    mail: SqlMail, platform: Platform, world: World
) -> None:
    outbox, arrived, waiting = outbox_of(mail, platform, world), threading.Event(), mail.waiting

    def slowly(source: str) -> tuple[Parcel, ...]:
        read = waiting(source)
        assert arrived.wait(10)
        return read

    mail.post(posts(world, 1, "fill"))
    await outbox.turn()
    (telling,) = (task for task in asyncio.all_tasks() if task.get_name().startswith("tell "))
    telling.add_done_callback(lambda _: arrived.set())
    mail.waiting = slowly  # type: ignore[method-assign]
    await outbox.turn()
    await world.pump(outbox, 20)

    assert platform.text == "fill"


class Died(BaseException):
    """The process was killed."""


class MortalMail:
    """Dies before or after one of its calls."""

    def __init__(self, mail: SqlMail, passages: int) -> None:
        self._mail = mail
        self._left = passages

    def passage(self) -> None:
        self._left -= 1
        if self._left <= 0:
            raise Died

    def __getattr__(self, name: str) -> Any:
        called = getattr(self._mail, name)

        def mortal(*args: Any, **named: Any) -> Any:
            self.passage()
            result = called(*args, **named)
            self.passage()
            return result

        return mortal


async def test_whenever_the_process_dies_each_alert_is_told_once_and_twice_only_with_a_note(
    mail: SqlMail, world: World, record_property: Note
) -> None:
    platform, chance, posted = Platform(world, Room(1000, 1000.0)), random.Random(7), 0
    send = platform.send
    lives = 300
    for _ in range(lives):
        mortal = MortalMail(mail, chance.randint(1, 25))

        async def dying(*args: Any, mortal: Any = mortal) -> str:
            mortal.passage()
            name = await send(*args)
            mortal.passage()
            return name

        platform.send = dying  # type: ignore[method-assign, assignment]
        fresh = chance.randint(0, 4)
        mail.post(posts(world, 1, *(f"alert <{posted + n}>" for n in range(fresh))))
        posted += fresh
        await _until_dead(outbox_of(mortal, platform, world), world)
    platform.send = send  # type: ignore[method-assign]
    await world.pump(outbox_of(mail, platform, world), 3600)

    often = {n: [text for _, _, text in platform.told if f"alert <{n}>" in text] for n in range(posted)}
    assert [number for number, texts in often.items() if not texts] == []
    unmarked = [texts for texts in often.values() if sum(PERHAPS not in text for text in texts) > 1]
    assert unmarked == []
    twice = sum(len(texts) > 1 for texts in often.values())
    record_property("sums", {"outbox deaths": lives, "alerts over them": posted, "told twice, marked": twice})


async def _until_dead(outbox: Outbox, world: World) -> None:
    """Run it until it dies, in whichever of its tasks, or has nothing more to do."""
    loop = asyncio.get_running_loop()
    loop.set_exception_handler(lambda *_: None)  # a dead process tells nobody
    with contextlib.suppress(Died):
        await world.pump(outbox, 5)
    loop.set_exception_handler(None)


# --- What is chosen, and buckets ---------------------------------------------------------------------


def parcel(number: int, lane: int, body: str = "", group: str = "") -> Parcel:
    text = (body or str(number)).encode()
    return Parcel(number, "telegram", "42", lane, BEGIN, group, text, 0, BEGIN, "")


due = st.lists(
    st.tuples(
        st.integers(0, 2), st.sampled_from(["", "", "trade", "=state"]), st.sampled_from(["a", "b", ""])
    ),
    min_size=1,
    max_size=80,
).map(
    lambda rows: sorted(
        (parcel(n, lane, body, group) for n, (lane, group, body) in enumerate(rows)),
        key=lambda p: (p.lane, p.number),
    )
)


@given(due, st.booleans(), st.sets(st.integers(0, 80)))
def test_the_next_message_holds_the_first_in_line_and_nothing_urgent_beside_it(
    waiting: list[Parcel], outage: bool, alone: set[int]
) -> None:
    together = chosen(waiting, alone, outage=outage)

    assert set(together) <= set(waiting)
    assert len(set(together)) == len(together)
    lanes = {each.lane for each in together}
    assert waiting[0] in together or (outage and len(together) == 50)
    if 0 in lanes or any(each.number in alone for each in together[:1]):
        assert len(together) == 1
    if len({each.body for each in together}) > 1 and not together[0].group.startswith("="):
        assert outage or (lanes == {2} and len(together) > MANY)


@given(
    st.floats(1, 50),
    st.floats(0.01, 50),
    st.lists(st.tuples(st.floats(0, 30), st.integers(0, 2)), max_size=60),
)
def test_a_bucket_never_gives_more_than_the_place_takes(
    burst: float, per_s: float, asked: list[tuple[float, int]]
) -> None:
    now, bucket = 0.0, Bucket(Room(burst, per_s), 0.0)
    for gone, (later, lane) in enumerate(asked, start=1):
        now += later
        wait = bucket.wait(lane, now)
        now += wait
        assert bucket.wait(lane, now) <= 1e-9
        bucket.take(1, now)
        assert gone <= burst + per_s * now + 1e-6


def test_a_bucket_keeps_room_for_what_is_urgent() -> None:
    bucket = Bucket(Room(20, 1.0), 0.0)
    gone = 0
    while not bucket.wait(1, 0.0):
        bucket.take(1, 0.0)
        gone += 1

    assert gone == 20 - KEPT
    assert bucket.wait(0, 0.0) == 0
    assert bucket.wait(1, 0.0) == 1.0

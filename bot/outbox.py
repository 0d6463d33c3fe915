"""What waits to be told, on its way: one pump a platform, urgent things first, nothing lost, nobody flooded.

A place (a chat, a channel) takes so much and no more: a token bucket for each says when the next message may go, and
keeps some room that only lane 0 may use. What piles up goes as one message. A platform that says "wait" is waited for,
one that is away is asked again ever later, and neither holds up another place. A parcel counts as told when the
platform has named it; what was under way when the process died is told again and says so.
"""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Container, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

from engine.core.domain.errors import StoreFailed
from engine.ports import Mail, Parcel

log = logging.getLogger(__name__)

KEPT = 3.0
"""Messages' worth of room that only lane 0 may use."""
LAST = 2
"""The lane that nobody waits for."""
MANY = 10
"""More of the last lane than that at one place go as one message."""
MOST_AT_ONCE = 50
"""Parcels of one message."""
SOON_S = 2.0
"""What is urgent is told within that time: if it cannot go by itself by then, it goes together."""
OUTAGE_S = 60.0
"""After a place was away for so long, all that waits for it but lane 0 goes as one message."""
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
IDLE_S = 30.0
"""So long until it looks by itself, though nobody has told it of anything new."""
ROUNDING = timedelta(milliseconds=10)
"""Two clocks do not agree to the last digit."""
PERHAPS = "(perhaps told before)"
UPDATE = "="
"""Begins the name of a group of which only the newest is shown, in place of the one before."""


class TooFast(Exception):
    """The platform wants to be left alone at this place, for so many seconds."""

    def __init__(self, retry_after: float) -> None:
        super().__init__(f"asked to wait {retry_after:g} s")
        self.retry_after = retry_after


class Unreachable(Exception):
    """Not now. `unknown` when nothing is known of what was sent: it may have arrived."""

    def __init__(self, why: str, *, unknown: bool = True) -> None:
        super().__init__(why)
        self.unknown = unknown


class Refused(Exception):
    """The platform will never take it."""


class Moved(Exception):
    """The place has another name now."""

    def __init__(self, place: str) -> None:
        super().__init__(f"moved to {place}")
        self.place = place


class Sender(Protocol):
    """How one platform is told."""

    async def send(self, place: str, bodies: Sequence[bytes], after: str, replace: str) -> str:
        """Say the bodies as one message: under the message `after`, or instead of the message `replace`.

        Returns the platform's names of it, parted by spaces. TooFast, Unreachable, Refused or Moved when it was not
        said.
        """

    def noted(self, body: bytes, note: str) -> bytes:
        """The body with a note in front of its text."""

    def room(self, place: str) -> "Room":
        """What the place takes."""


class Room(NamedTuple):
    """So many messages at once, and so many a second for ever."""

    burst: float
    per_s: float


class Bucket:
    """The tokens of one place."""

    def __init__(self, room: Room, now: float) -> None:
        self._room = room
        self._tokens = room.burst
        self._at = now

    def wait(self, lane: int, now: float, messages: int = 1) -> float:
        """Seconds until so many messages of that lane may go, 0 for now."""
        self._fill(now)
        needed = messages + (KEPT if lane and self._room.burst > KEPT else 0.0)
        return max(0.0, (needed - self._tokens) / self._room.per_s)

    def take(self, messages: int, now: float) -> None:
        """They have gone. A message in many parts may leave a debt."""
        self._fill(now)
        self._tokens -= messages

    def empty(self, now: float) -> None:
        """The platform counts otherwise than we do: begin anew with nothing."""
        self._fill(now)
        self._tokens = min(self._tokens, 0.0)

    def _fill(self, now: float) -> None:
        self._tokens = min(self._room.burst, self._tokens + (now - self._at) * self._room.per_s)
        self._at = now


class _Place:
    """What is known of one place, by the monotonic clock."""

    def __init__(self, room: Room, now: float) -> None:
        self.bucket = Bucket(room, now)
        self.not_before = now
        self.failures = 0
        self.away_since: float | None = None
        self.outage = False
        self.tasks: dict[bool, asyncio.Task[None]] = {}
        """What is under way, by whether it is urgent: what hangs must not hold up a kill."""


class Figures(NamedTuple):
    """Of one platform: how many wait by lane, since when the oldest, and what was given up."""

    waiting: tuple[int, int, int]
    oldest: datetime | None
    dead: int
    trouble: str


class Outbox:
    """The pump of one platform. `now` is the desk's clock, `monotonic` one that only goes on."""

    def __init__(
        self,
        mail: Mail,
        sender: Sender,
        source: str,
        now: Callable[[], datetime],
        monotonic: Callable[[], float],
        wait: Callable[[asyncio.Event, float], Awaitable[object]] | None = None,
    ) -> None:
        self._mail = mail
        self._sender = sender
        self.source = source
        self._now = now
        self._monotonic = monotonic
        self._wait = wait or _wait
        self._news = asyncio.Event()
        self._quiet = asyncio.Event()
        self._places: dict[str, _Place] = {}
        self._alone: set[int] = set()
        self._flying: set[int] = set()
        self._failed: dict[int, int] = {}
        """How often something failed inside over each parcel."""
        self._unwritten: list[tuple[tuple[int, ...], str]] = []
        """Parcels that are there, and are not yet written down as that."""
        self._told: dict[tuple[str, str], int] = {}
        self._moved: dict[str, str] = {}
        self._trouble = ""
        self._dead = -1
        self.figures = Figures((0, 0, 0), None, 0, "")
        """How it stood when it last looked."""

    def wake(self) -> None:
        """Something new was posted."""
        self._quiet.clear()
        self._news.set()

    async def quiet(self) -> None:
        """Return once nothing waits that is to be told now."""
        await self._quiet.wait()

    async def run(self) -> None:
        """For ever. A store or a platform that fails is asked again, and so is what fails inside."""
        try:
            while True:
                self._news.clear()
                try:
                    wait = await self.turn()
                except Exception:
                    log.exception("what waits for %s could not be looked at", self.source)
                    wait = FIRST_WAIT_S
                await self._wait(self._news, wait)
        finally:
            tasks = [task for place in self._places.values() for task in place.tasks.values()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def turn(self) -> float:
        """Begin what may go now; the seconds until something else may."""
        try:
            await self._write_down()
            flying = set(self._flying)  # what arrives while the store is read still stands in what was read
            waiting = await asyncio.to_thread(self._mail.waiting, self.source)
            flying |= self._flying
            if self._dead < 0:
                letters = await asyncio.to_thread(self._mail.dead_letters)
                self._dead = sum(parcel.source == self.source for parcel, _ in letters)
        except StoreFailed as error:
            self._say_once(str(error))
            return FIRST_WAIT_S
        lanes = [sum(parcel.lane == lane for parcel in waiting) for lane in range(3)]
        oldest = min((parcel.at for parcel in waiting), default=None)
        self.figures = Figures((lanes[0], lanes[1], lanes[2]), oldest, self._dead, self._trouble)
        if not waiting and not self._news.is_set():
            self._quiet.set()
        soonest = IDLE_S
        by_place: dict[str, list[Parcel]] = {}
        for parcel in waiting:
            if parcel.number in flying:
                continue
            by_place.setdefault(self._moved.get(parcel.place, parcel.place), []).append(parcel)
        now, moment = self._monotonic(), self._now()
        for name, parcels in by_place.items():
            soonest = min(soonest, self._begin(name, self._place(name, now), parcels, now, moment))
        return max(soonest, 0.001)

    def _begin(
        self, name: str, place: _Place, parcels: Sequence[Parcel], now: float, moment: datetime
    ) -> float:
        """Begin what may go to one place now, what is urgent beside what is not; the seconds until more may."""
        soonest = IDLE_S
        for urgent in (True, False):
            mine = [parcel for parcel in parcels if (parcel.lane == 0) == urgent]
            if not mine or urgent in place.tasks or (place.failures and place.tasks):
                continue
            due = [parcel for parcel in mine if parcel.due <= moment + ROUNDING]
            if not due:
                soonest = min(soonest, *((parcel.due - moment).total_seconds() for parcel in mine))
                continue
            wait = max(place.not_before - now, place.bucket.wait(due[0].lane, now))
            if wait > 0:
                return min(soonest, wait)  # what is not urgent does not go before what is
            picked = due[:1]  # of a place that is away one is enough to see whether it is back
            if not place.failures:
                crowded = urgent and place.bucket.wait(0, now, len(due)) > SOON_S
                picked = chosen(due, self._alone, outage=place.outage, crowded=crowded)
            self._flying.update(parcel.number for parcel in picked)
            place.tasks[urgent] = asyncio.create_task(self._tell(name, place, picked), name=f"tell {name}")
        return soonest

    def _place(self, name: str, now: float) -> _Place:
        if name not in self._places:
            self._places[name] = _Place(self._sender.room(name), now)
        return self._places[name]

    async def _tell(self, name: str, place: _Place, parcels: Sequence[Parcel]) -> None:
        """One message. Whatever comes of it is written down before anything else goes to that place."""
        try:
            await self._told_or_not(name, place, parcels)
        except StoreFailed as error:
            self._say_once(str(error))
            place.not_before = self._monotonic() + FIRST_WAIT_S
        except Exception as error:
            log.exception("a message to %s failed inside", name)
            await self._set_aside(place, parcels, f"failed inside: {type(error).__name__}")
        finally:
            del place.tasks[parcels[0].lane == 0]
            self._flying.difference_update(parcel.number for parcel in parcels)
            self._news.set()

    async def _told_or_not(self, name: str, place: _Place, parcels: Sequence[Parcel]) -> None:
        numbers = [parcel.number for parcel in parcels]
        bodies, after, replace = await asyncio.to_thread(self._prepared, name, parcels)
        try:
            names = await self._sender.send(name, bodies, after, replace)
        except TooFast as error:
            place.bucket.empty(self._monotonic())
            place.not_before = self._monotonic() + error.retry_after
            await self._later(parcels, timedelta(seconds=error.retry_after), str(error))
        except Unreachable as error:
            await self._later(parcels, self._away(place, str(error)), str(error), unknown=error.unknown)
        except Moved as error:
            self._moved[name] = error.place
            await self._later(parcels, timedelta(0), str(error))
        except Refused as error:
            await self._give_up(parcels, str(error))
        else:
            now = self._monotonic()
            place.bucket.take(max(1, len(names.split())), now)
            place.failures, place.away_since, self._trouble = 0, None, ""
            if parcels[0].lane and len(parcels) < MOST_AT_ONCE:
                place.outage = False
            if parcels[0].lane and parcels[0].group.startswith(UPDATE):
                key = (name, parcels[0].group)
                self._told[key] = self._told.get(key, 0) + len(parcels)
            self._unwritten.append((tuple(numbers), names))
            await self._write_down()

    async def _write_down(self) -> None:
        """What was told is not told again because the store was busy: until that takes it, it is kept in mind."""
        while self._unwritten:
            numbers, names = self._unwritten[0]
            await asyncio.to_thread(self._mail.delivered, numbers, names, self._now())
            if self._unwritten and self._unwritten[0] == (numbers, names):
                del self._unwritten[0]
            self._alone.difference_update(numbers)
            for number in numbers:
                self._failed.pop(number, None)

    async def _set_aside(self, place: _Place, parcels: Sequence[Parcel], why: str) -> None:
        """Something failed that is neither the platform's doing nor the place's: each by itself, ever later."""
        times = max(self._failed.get(parcel.number, 0) for parcel in parcels)
        self._failed.update({parcel.number: times + 1 for parcel in parcels})
        self._alone.update(parcel.number for parcel in parcels)
        self._say_once(why)
        wait = timedelta(seconds=min(FIRST_WAIT_S * 2.0 ** min(times, 10), LONGEST_WAIT_S))
        try:
            await self._later(parcels, wait, why, unknown=True)
        except StoreFailed:
            place.not_before = self._monotonic() + FIRST_WAIT_S

    def _prepared(self, name: str, parcels: Sequence[Parcel]) -> tuple[list[bytes], str, str]:
        """What is said, below which message, instead of which. Runs on a thread, and writes down that it is tried."""
        self._mail.trying([parcel.number for parcel in parcels])
        first = parcels[0]
        after = replace = ""
        bodies = [self._body(parcel) for parcel in parcels]
        if first.group.startswith(UPDATE):
            last = self._mail.last_of(self.source, name, first.group)
            replace = last.sent_as if last else ""
            times = self._told.get((name, first.group), 0) + len(parcels) if first.lane else 1
            newest = self._body(parcels[-1])
            bodies = [self._sender.noted(newest, f"({times:,} times)") if times > 1 else newest]
        elif len({parcel.body for parcel in parcels}) == 1 and len(parcels) > 1:
            bodies = [self._sender.noted(bodies[0], f"({len(parcels):,} times)")]
        elif first.group and len(parcels) == 1:
            begun = self._mail.first_of(self.source, name, first.group)
            after = begun.sent_as if begun else ""
        return bodies, after, replace

    def _body(self, parcel: Parcel) -> bytes:
        """With a note where an earlier try has no known end: the process died, or nobody answered."""
        unknown = parcel.tries > 0
        return self._sender.noted(parcel.body, PERHAPS) if unknown else parcel.body

    def _away(self, place: _Place, why: str) -> timedelta:
        now = self._monotonic()
        place.failures += 1
        place.away_since = now if place.away_since is None else place.away_since
        place.outage = place.outage or now - place.away_since >= OUTAGE_S
        wait = min(FIRST_WAIT_S * 2.0 ** min(place.failures - 1, 10), LONGEST_WAIT_S)
        place.not_before = now + wait
        self._say_once(why)
        return timedelta(seconds=wait)

    async def _later(
        self, parcels: Sequence[Parcel], wait: timedelta, why: str, *, unknown: bool = False
    ) -> None:
        numbers = [parcel.number for parcel in parcels]
        await asyncio.to_thread(self._mail.delayed, numbers, self._now() + wait, why, unknown=unknown)

    async def _give_up(self, parcels: Sequence[Parcel], why: str) -> None:
        """One that is refused must not take others with it: they are tried one by one from now on."""
        if len(parcels) > 1:
            self._alone.update(parcel.number for parcel in parcels)
            await self._later(parcels, timedelta(0), why)
            return
        log.warning("a message was refused for good: %s", why)
        self._alone.discard(parcels[0].number)
        await asyncio.to_thread(self._mail.dead, parcels[0].number, why, self._now())
        self._dead += 1

    def _say_once(self, why: str) -> None:
        if why != self._trouble:
            self._trouble = why
            log.warning("%s: %s; what is to be told waits", self.source, why)


def chosen(
    due: Sequence[Parcel], alone: Container[int] = (), *, outage: bool = False, crowded: bool = False
) -> list[Parcel]:
    """Which of the parcels of one place become the next message; `due` is by lane and number.

    What is urgent goes by itself, unless there is more of it than can go soon (`crowded`). Of a group of updates only
    the newest is said, what is the same is counted, and what piled up goes together.
    """
    first = due[0]
    if first.number in alone:
        return [first]
    if first.lane == 0:
        if not crowded or first.group.startswith(UPDATE):
            return [first]
        urgent = [p for p in due if p.lane == 0 and p.number not in alone and not p.group.startswith(UPDATE)]
        return urgent[:MOST_AT_ONCE]
    if first.group.startswith(UPDATE):
        return [parcel for parcel in due if parcel.group == first.group]
    same = [parcel for parcel in due if (parcel.group, parcel.body) == (first.group, first.body)]
    if len(same) > 1:
        return same
    rest = [p for p in due if p.lane and p.number not in alone and not p.group.startswith(UPDATE)]
    if not outage:
        rest = [p for p in rest if p.lane == first.lane == LAST]
    if len(rest) > (1 if outage else MANY):
        return sorted(rest, key=lambda parcel: parcel.number)[:MOST_AT_ONCE]
    return [first]


async def _wait(news: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await news.wait()
    except TimeoutError:
        return

"""Candles by asking for them: shortly after each close, until every instrument has its bar, without end.

The venue's clock says when a candle is closed, for the desk's own may be off. A moment is told once, with all of its
bars; what comes after that for the same moment is late, and refused, for a decision has been made without it. After
an outage the missed moments come in order before the newest. What to do about old ones is the desk's affair.
"""

import asyncio
import logging
from collections import Counter, deque
from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from math import inf
from typing import NamedTuple

import numpy as np
from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt, stop_never
from tenacity.wait import wait_random_exponential

from configs.schema.desk import TIMEFRAME_MS
from configs.schema.settings import Settings
from engine.core.domain.errors import BadData, VenueDown
from engine.core.domain.ids import epoch_ms, from_epoch_ms
from engine.core.domain.market import Bar, BarArrays
from engine.ports import Clock
from engine.venues.ccxt.convert import candles, symbol_of
from engine.venues.ccxt.rest import KLINES, Rest

_log = logging.getLogger(__name__)

PAGE = 1000
AT_ONCE = 900
"""So many missed moments are fetched in one go; the rest in the next."""
MOST_BARS = 20_000
"""History that is kept of each instrument."""
LONGEST_WAIT_S = 30.0
LOAD_ATTEMPTS = 6
CLOCK_S = 60.0


class _NotYet(VenueDown):
    """Asked and answered, but a bar is still missing."""


class _Moments(NamedTuple):
    """Bars by instrument, and the moment up to which everything is now known."""

    bars: dict[str, dict[int, Bar]]
    until_ms: int


class CcxtFeed:
    """The Feed port by polling. `load` fetches the history once, before anyone asks for it."""

    def __init__(self, settings: Settings, clock: Clock, rest: Rest) -> None:
        self._names = tuple(sorted(instrument.name for instrument in settings.desk.instruments))
        self._timeframe = settings.desk.timeframe
        self._step_ms = TIMEFRAME_MS[settings.desk.timeframe]
        self._poll_s = settings.venue.poll_s
        self._delay_ms = int(settings.venue.bar_delay_s * 1000)
        self._grace_s = settings.venue.bar_grace_s
        self._clock = clock
        self._rest = rest
        self._known: dict[str, deque[Bar]] = {name: deque(maxlen=MOST_BARS) for name in self._names}
        self._clock_tried = -inf
        self._noted: dict[str, Bar] = {}
        self.counts: Counter[str] = Counter()
        """How often a candle was refused, revised after it was told, or late, and how often asking failed."""

    # --- History ------------------------------------------------------------------------------------

    async def load(self, before: datetime, bars: int) -> dict[str, int]:
        """Fetch at most `bars` closed bars of each instrument that were known before `before`; how many there are.

        VenueDown when the venue cannot be asked for some minutes.
        """
        await self._patiently(LOAD_ATTEMPTS)(self._rest.measure_clock)
        # A candle that has only just closed is waited for, or it would be in neither the history nor the stream.
        await self._until(self._floor(min(epoch_ms(before) - 1, self._venue_ms())) + self._delay_ms)
        for name in self._names:
            found = await self._load(name, epoch_ms(before), min(bars, MOST_BARS))
            self._known[name] = deque(found, maxlen=MOST_BARS)
        return {name: len(self._known[name]) for name in self._names}

    def history(self, instrument: str, before: datetime, bars: int) -> BarArrays:
        """At most `bars` closed bars that were known before `before`, of what was loaded and has come since."""
        if instrument not in self._known:
            raise BadData(f"{instrument} is not fed here; fed are {', '.join(self._names) or 'none'}")
        known = [bar for bar in self._known[instrument] if bar.end < before][-bars:] if bars > 0 else []
        columns = [[float(getattr(bar, field)) for bar in known] for field in BarArrays._fields[1:]]
        ends = np.array([epoch_ms(bar.end) for bar in known], dtype=np.int64)
        return BarArrays(ends, *(np.array(column, dtype=np.float64) for column in columns))

    async def _load(self, name: str, before_ms: int, bars: int) -> list[Bar]:
        found: dict[int, Bar] = {}
        start = before_ms - 1 - (before_ms - 1) % self._step_ms - bars * self._step_ms
        while start + self._step_ms < before_ms:
            page: tuple[Bar, ...] = await self._patiently(LOAD_ATTEMPTS)(self._ask, name, start)
            found.update((epoch_ms(bar.end), bar) for bar in page if epoch_ms(bar.end) < before_ms)
            # The next page begins where this one could have reached: a pause in trading is not the end.
            start += PAGE * self._step_ms
        return [found[end] for end in sorted(found)][-bars:] if bars else []

    # --- What comes ---------------------------------------------------------------------------------

    async def stream(self, after: datetime | None) -> AsyncIterator[Sequence[Bar]]:
        """Closed bars that became known after `after`, moment by moment, each once, without end."""
        await self._patiently()(self._rest.measure_clock)
        cursor = self._floor(self._venue_ms() if after is None else epoch_ms(after))
        while True:
            await self._until(cursor + self._step_ms + self._delay_ms)
            moments = await self._collect(cursor)
            ends = sorted({end for bars in moments.bars.values() for end in bars})
            for end in ends:
                batch = [bars[end] for bars in moments.bars.values() if end in bars]
                self._remember(batch)
                yield tuple(batch)
            cursor = moments.until_ms

    async def _collect(self, cursor: int) -> _Moments:
        """Ask until every instrument has the newest closed bar, or the grace is over for those that have not."""
        found: dict[str, dict[int, Bar]] = {name: {} for name in self._names}
        since: float | None = None
        async for attempt in self._patiently():
            with attempt:
                await self._measure_clock_now_and_then()
                latest = self._floor(self._venue_ms() - self._delay_ms)
                target = min(latest, cursor + AT_ONCE * self._step_ms)
                lacking = [name for name in self._names if target not in found[name]]
                told = await asyncio.gather(*(self._after(name, cursor, target) for name in lacking))
                failed = [answer for answer in told if isinstance(answer, VenueDown)]
                found |= {
                    name: answer
                    for name, answer in zip(lacking, told, strict=True)
                    if isinstance(answer, dict)
                }
                if all(target in bars for bars in found.values()):
                    return _Moments(found, target)
                if any(found.values()):
                    since = self._clock.monotonic() if since is None else since
                    if self._clock.monotonic() - since >= self._grace_s:
                        self._log_missing(found, target)
                        newest = max(end for bars in found.values() for end in bars)
                        return _Moments(found, newest)
                elif target < latest and not failed:
                    return _Moments(found, target)  # a pause: nothing was traded all that time
                if failed and since is None:
                    raise failed[0]
                raise _NotYet("a bar is still missing")
        raise VenueDown("asking without end has ended")

    async def _after(self, name: str, cursor: int, target: int) -> dict[int, Bar] | VenueDown:
        """Bars after the cursor up to the target. The last one told is asked for again, to see that it is the same."""
        try:
            bars = await self._ask(name, cursor - self._step_ms)
        except VenueDown as error:
            return error
        self._look_back(name, cursor, bars)
        return {end: bar for bar in bars if cursor < (end := epoch_ms(bar.end)) <= target}

    async def _ask(self, name: str, start_ms: int) -> tuple[Bar, ...]:
        """One page of closed candles. What is malformed is counted and left out."""
        asked: dict[str, str | int] = {
            "symbol": symbol_of(name),
            "interval": self._timeframe,
            "startTime": max(start_ms, 0),
            "limit": PAGE,
        }
        await self._until_heard()
        now_ms = self._venue_ms()
        try:
            told = candles(await self._rest.ask(KLINES, asked), name, self._step_ms, now_ms, self._delay_ms)
        except BadData as error:
            self._count("refused", str(error))
            raise VenueDown(str(error)) from None
        for why in told.refused:
            self._count("refused", why)
        return told.bars

    def _look_back(self, name: str, cursor: int, bars: Sequence[Bar]) -> None:
        """A told bar that has changed since, or one that comes for a moment that has been told without it."""
        again = next((bar for bar in bars if epoch_ms(bar.end) == cursor), None)
        if again is None or again == self._noted.get(name):
            return
        self._noted[name] = again
        known = next((bar for bar in reversed(self._known[name]) if bar.end <= again.end), None)
        if known is None or known == again:
            return  # never told here, or the same
        if known.end == again.end:
            self._count("revised", f"{name}: the candle of {again.end} was told otherwise before")
        else:
            self._count("late", f"{name}: the candle of {again.end} came after its moment")

    def _remember(self, batch: Sequence[Bar]) -> None:
        for bar in batch:
            known = self._known[bar.instrument]
            if not known or known[-1].end < bar.end:
                known.append(bar)

    # --- Time ---------------------------------------------------------------------------------------

    def _venue_ms(self) -> int:
        return epoch_ms(self._rest.venue_now())

    def _floor(self, ms: int) -> int:
        """The newest close at or before."""
        return ms - ms % self._step_ms

    async def _until(self, ms: int) -> None:
        """Wait in short steps: a machine that slept, or a clock that was measured anew, changes how long."""
        while (left_ms := ms - self._venue_ms()) > 0:
            await self._measure_clock_now_and_then()
            await asyncio.sleep(min(left_ms / 1000, self._poll_s))

    async def _until_heard(self) -> None:
        """Wait while the venue demands silence."""
        budget = self._rest.budget
        while (until := budget.silent_until) is not None:  # noqa: ASYNC110 - it ends by the clock alone
            await asyncio.sleep(min(until - self._clock.monotonic(), self._poll_s))

    async def _measure_clock_now_and_then(self) -> None:
        """Seconds that nobody can set also stand still while a machine sleeps. A failure leaves what was known."""
        age_s = min(self._rest.clock_age_s(), self._clock.monotonic() - self._clock_tried)
        if age_s >= CLOCK_S and self._rest.budget.silent_until is None:
            self._clock_tried = self._clock.monotonic()
            try:
                await self._rest.measure_clock()
            except VenueDown as error:
                self._count("failed", str(error))

    # --- Patience -----------------------------------------------------------------------------------

    def _patiently(self, attempts: int = 0) -> AsyncRetrying:
        """Ask again after any failure, longer and longer apart, at random."""
        return AsyncRetrying(
            retry=retry_if_exception_type(VenueDown),
            stop=stop_after_attempt(attempts) if attempts else stop_never,
            wait=self._wait,
            reraise=True,
        )

    def _wait(self, state: RetryCallState) -> float:
        """Seconds until the next attempt."""
        error = state.outcome.exception() if state.outcome else None
        if isinstance(error, _NotYet):
            return self._poll_s
        self._count("failed", str(error), logging.DEBUG if state.attempt_number > 1 else logging.WARNING)
        longest = max(LONGEST_WAIT_S, self._poll_s)
        return wait_random_exponential(multiplier=self._poll_s, max=longest, min=self._poll_s / 2)(state)

    def _count(self, what: str, why: str, level: int = logging.WARNING) -> None:
        self.counts[what] += 1
        _log.log(level, "candles %s: %s", what, why)

    def _log_missing(self, found: dict[str, dict[int, Bar]], target: int) -> None:
        missing = [name for name, bars in found.items() if target not in bars]
        self._count("missing", f"{', '.join(missing)} at {from_epoch_ms(target)}")

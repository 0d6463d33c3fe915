"""Recorded bars told again, in the order in which they became known. No wall clock: pacing is the loop's affair."""

from collections.abc import AsyncIterator, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from heapq import merge
from itertools import groupby
from operator import attrgetter

from engine.core.domain.errors import BadData
from engine.core.domain.market import Bar, BarArrays

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_CHUNK = 1024  # bars of one instrument that are turned into Python numbers at a time
_end = attrgetter("end")


class ReplayFeed:
    """Bars of several instruments. All that became known at one moment come as one batch, by instrument name.

    Prices become decimals by the shortest way of writing the float: what the file said, with nothing added.
    """

    def __init__(self, series: Mapping[str, BarArrays]) -> None:
        """BadData when a series is not in strict time order: a replay may not guess what came first."""
        for name, bars in series.items():
            if bars.size > 1 and not (bars.end_ms[1:] > bars.end_ms[:-1]).all():
                raise BadData(f"{name}: bars must be in time order, each moment once")
        self._series = {name: series[name] for name in sorted(series)}

    def history(self, instrument: str, before: datetime, bars: int) -> BarArrays:
        """At most `bars` closed bars that were known before `before`, oldest first; BadData for an unknown name."""
        if instrument not in self._series:
            raise BadData(
                f"{instrument} is not in this replay, which holds {', '.join(self._series) or 'nothing'}"
            )
        known = self._series[instrument]
        stop = int(known.end_ms.searchsorted(milliseconds(before), side="left"))
        return known.slice(max(0, stop - bars), stop)

    async def stream(self, after: datetime | None) -> AsyncIterator[Sequence[Bar]]:
        """Batches of bars that became known after `after`, which is how a replay goes on where it stopped."""
        for batch in self.batches(after):
            yield batch

    def batches(self, after: datetime | None) -> Iterator[tuple[Bar, ...]]:
        """The same for callers that do not wait."""
        told = merge(*(_bars(name, bars, after) for name, bars in self._series.items()), key=_end)
        for _, batch in groupby(told, key=_end):
            yield tuple(batch)


def milliseconds(moment: datetime) -> int:
    """Whole milliseconds since 1970 UTC, rounded up, so that `end_ms < milliseconds(moment)` means before it.

    >>> milliseconds(datetime(1970, 1, 1, 0, 0, 1, 1, tzinfo=UTC))
    1001
    """
    return -((_EPOCH - moment) // timedelta(milliseconds=1))


def _bars(name: str, bars: BarArrays, after: datetime | None) -> Iterator[Bar]:
    first = 0
    if after is not None:
        first = int(bars.end_ms.searchsorted((after - _EPOCH) // timedelta(milliseconds=1), side="right"))
    for start in range(first, bars.size, _CHUNK):
        columns = [column.tolist() for column in bars.slice(start, start + _CHUNK)]
        for end_ms, *values in zip(*columns, strict=True):
            yield Bar(
                name, _EPOCH + timedelta(milliseconds=end_ms), *(Decimal(repr(value)) for value in values)
            )

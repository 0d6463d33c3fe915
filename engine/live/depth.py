"""What a venue offers to an entry that is about to leave: asked for beside the price, judged by `core/risk/depth`."""

import asyncio
from decimal import Decimal

from configs.schema.risk import RiskSettings
from configs.schema.settings import Settings
from engine.core.domain.errors import VenueDown
from engine.core.domain.ids import record_id
from engine.core.domain.order import OrderRequest
from engine.core.domain.records import IncidentRecord
from engine.core.domain.venue import Depth
from engine.core.risk.depth import Verdict, against_depth
from engine.ports import Clock, Venue

UNTOLD = "no order book"
"""The incident where a venue that should tell its book does not know the question."""


class Offers:
    """The order book of one venue, for entries. Exits never ask for it."""

    def __init__(self, venue: Venue, settings: Settings, clock: Clock) -> None:
        self._venue = venue
        self._settings = settings
        self._clock = clock
        self._untold = False
        self.news: list[IncidentRecord] = []
        """To be written down with the answer for the entry that it was found out by."""

    async def asked(self, entry: OrderRequest) -> Depth | str | None:
        """What is offered to it, or why that is not known, asked twice; None where there is nothing to ask for.

        A venue that does not know the question stops nobody: that is said once, and again after it has told a book.
        """
        if not self._venue.traits.tells_depth:
            return None
        told = await self._ask(entry)
        if isinstance(told, str):
            told = await self._ask(entry)
        if told is None and not self._untold:
            self.news.append(self._incident(entry))
        self._untold = told is None
        return told

    async def refusal(
        self, entry: OrderRequest, price: Decimal, told: Depth | str | None, limits: RiskSettings
    ) -> str:
        """Why the entry must not take what is offered; empty when it may. More of the book is asked for if need be."""
        verdict = self._judged(entry, price, told, limits)
        if verdict.final:
            return verdict.refusal
        more = await self._ask(entry, deep=True)
        return verdict.refusal if more is None else self._judged(entry, price, more, limits).refusal

    def _judged(
        self, entry: OrderRequest, price: Decimal, told: Depth | str | None, limits: RiskSettings
    ) -> Verdict:
        if told is None:
            return Verdict("")
        if isinstance(told, str):
            return Verdict(f"the venue does not tell what it offers: {told}")
        return against_depth(entry, price, told, limits, self._settings.desk.currency)

    async def _ask(self, entry: OrderRequest, *, deep: bool = False) -> Depth | str | None:
        allowed = self._settings.venue.answer_s
        try:
            async with asyncio.timeout(allowed):
                return await self._venue.depth(entry.instrument, entry.side, deep=deep)
        except VenueDown as error:
            return str(error)
        except TimeoutError:
            return f"no answer within {allowed:g} s"

    def _incident(self, entry: OrderRequest) -> IncidentRecord:
        at = self._clock.now()
        text = (
            "the venue does not know the question for its order book: entries are held against the volume of bars"
            " alone (risk.max_participation)"
        )
        return IncidentRecord(record_id("i", at, UNTOLD, entry.client_id), at, UNTOLD, text, {}, None)

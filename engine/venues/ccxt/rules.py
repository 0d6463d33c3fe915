"""The venue's own rules, kept fresh: a tick, a step or a minimum may change while the desk runs."""

import logging
from collections.abc import Sequence
from contextlib import suppress

import msgspec

from engine.core.domain.errors import BadData, VenueDown
from engine.ports import Clock
from engine.venues.ccxt.answer import Declined
from engine.venues.ccxt.convert import NO_SUCH_SYMBOL, Rules, rules, symbol_of
from engine.venues.ccxt.rest import EXCHANGE_INFO, Rest

_log = logging.getLogger(__name__)
FRESH_S = 900.0
"""Rules are never used for longer without being asked for again."""
PROBE_S = 30.0
"""How often a halted instrument, or rules that could not be read again, are asked for."""
STALE_S = 3600.0
"""Rules that could not be read again for so long after they should have been are good enough for exits only."""
FIRST_PROBE_S = 3.0
"""The same while there are no rules to go by at all."""


class RuleBook:
    """The rules of our instruments, all asked for at once."""

    def __init__(self, rest: Rest, clock: Clock, instruments: Sequence[str]) -> None:
        self._rest = rest
        self._clock = clock
        self._instruments = tuple(instruments)
        self._rules: dict[str, Rules] = {}
        self._read_at: float | None = None
        self._tried_at: float | None = None
        self._known_at: float | None = None
        self._failure = ""
        self._takes_lists = True

    def doubt(self) -> None:
        """Something did not fit: read them again before the next use."""
        self._read_at = self._tried_at = None

    async def all(self) -> dict[str, Rules]:
        """Every instrument that the venue knows. VenueDown only when there are none to go by."""
        if self._older(self._read_at, FRESH_S):
            await self._refresh()
        return self._rules

    async def look(self, instrument: str) -> None:
        """Ask for what is too old, or not there. A halt is looked at again after half a minute. Never raises."""
        found = self._rules.get(instrument)
        useless = found is None or not found.trading
        if self._older(self._read_at, PROBE_S if useless else FRESH_S):
            with suppress(VenueDown):  # `of` tells why there are none
                await self._refresh()

    def of(self, instrument: str, *, adds_risk: bool = False) -> Rules:
        """One instrument's as they are known; VenueDown when they are not. Nothing is asked for here.

        An order that adds risk does not go by rules that are far too old.
        """
        if adds_risk and self._rules and self._older(self._known_at, FRESH_S + STALE_S):
            raise VenueDown(
                f"no entries by rules of more than {FRESH_S + STALE_S:.0f} s ago: {self._failure}"
            )
        found = self._rules.get(instrument)
        if found is None:
            why = f"the venue tells no rules for {instrument}"
            raise VenueDown(why if self._rules or not self._failure else self._failure)
        return found

    def _older(self, moment: float | None, seconds: float) -> bool:
        return moment is None or self._clock.monotonic() - moment >= seconds

    async def _refresh(self) -> None:
        """Ask, but not in a storm: whatever failed a moment ago is not asked for again by every order."""
        if not self._older(self._tried_at, PROBE_S if self._rules else FIRST_PROBE_S):
            if not self._rules:
                raise VenueDown("the venue's rules are not known, and were asked for only just now")
            return
        self._tried_at = self._clock.monotonic()
        try:
            self._rules = await self._ask()
        except (VenueDown, BadData) as error:
            self._failure = f"the venue's rules are not known: {error}"
            if not self._rules:
                raise VenueDown(self._failure) from None
            if self._older(self._known_at, FRESH_S):
                _log.warning("the venue's rules could not be read again and old ones are used: %s", error)
            return
        self._failure = ""
        self._read_at = self._known_at = self._clock.monotonic()

    async def _ask(self) -> dict[str, Rules]:
        """All at once; where the venue does not take that, one by one; and where not even that, everything it has.

        One instrument that the venue does not know must not hide the rules of the others.
        """
        if self._takes_lists:
            symbols = msgspec.json.encode([symbol_of(name) for name in self._instruments]).decode()
            try:
                return rules(await self._rest.ask(EXCHANGE_INFO, {"symbols": symbols}), self._instruments)
            except Declined as declined:
                if not _about_the_question(declined):
                    raise
        try:
            return await self._one_by_one()
        except Declined as declined:
            if not _about_the_question(declined):
                raise
        found = rules(await self._rest.ask(EXCHANGE_INFO, {}), self._instruments)
        self._takes_lists = False
        return found

    async def _one_by_one(self) -> dict[str, Rules]:
        found: dict[str, Rules] = {}
        for name in self._instruments:
            try:
                told = await self._rest.ask(EXCHANGE_INFO, {"symbol": symbol_of(name)})
            except Declined as declined:
                if declined.code != NO_SUCH_SYMBOL:
                    raise
                _log.warning("the venue does not know %s", name)
                continue
            found |= rules(told, (name,))
        return found


def _about_the_question(declined: Declined) -> bool:
    """Whether the venue does not take what it was asked with, and might take another question."""
    return declined.status in (400, 404, 405, 501)

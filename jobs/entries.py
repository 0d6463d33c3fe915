"""Cancels at the venue what could add risk, for a desk that cannot do it itself: entries, never protection.

A process of its own (`python -m jobs.entries PROFILE`): what speaks to an exchange is large, and a venue that hangs
must not hold up whoever watches. It needs neither lease nor lock, and works beside a frozen engine.
"""

import asyncio
import os
import sys

from configs.load import SettingsError, load
from configs.schema.settings import Settings
from configs.secrets import load_keys
from engine.core.domain.errors import WhydeskError
from engine.core.domain.ids import is_entry_id
from engine.core.domain.order import OrderRequest, OrderStatus, OrderType
from engine.core.domain.venue import OpenOrder
from engine.venues.ccxt.broker import CcxtVenue
from jobs.clocks import WallClock


async def cancel_entries(settings: Settings) -> str:
    """Cancel them all and say what came of it, on one line. VenueDown or SettingsError when it cannot be tried."""
    clock = WallClock()
    venue = CcxtVenue(settings, clock, load_keys(settings.venue, os.environ))
    try:
        await venue.server_time_offset()
        resting = await venue.open_orders()
        entries = [each for each in resting if is_entry_id(each.client_id)]
        answers = [await venue.cancel(_request(each, clock)) for each in entries]
    finally:
        await venue.close()
    over = sum(answer.status is OrderStatus.CANCELLED for answer in answers)
    doubts = [answer.reason for answer in answers if answer.status is not OrderStatus.CANCELLED]
    said = f"{over} of {len(entries)} resting entries cancelled at the venue, {len(resting) - len(entries)} others left"
    return f"{said}; {doubts[0]}" if doubts else said


def _request(order: OpenOrder, clock: WallClock) -> OrderRequest:
    """As much of the order as is needed to end it."""
    return OrderRequest(
        order.client_id, "", order.instrument, order.side, order.quantity, OrderType.LIMIT, None, False, "e", "",
        clock.now(),
    )  # fmt: skip


def main() -> int:
    """One line on stdout, or on stderr why not."""
    try:
        said = asyncio.run(cancel_entries(load(sys.argv[1], os.environ)))
    except (WhydeskError, SettingsError, OSError) as error:
        sys.stderr.write(" ".join(f"{error}".split()) + "\n")
        return 1
    sys.stdout.write(said + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())

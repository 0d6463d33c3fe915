"""What trading costs and how simulated orders fill."""

from typing import Annotated

import msgspec
from msgspec import Meta

Bps = Annotated[float, Meta(ge=0, le=1000)]


class ExecutionSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Costs in basis points of the traded value; each side pays half the spread and its own slippage."""

    fee_bps: Bps = 10.0
    spread_bps: Bps = 2.0
    slippage_bps: Bps = 1.0
    impact_bps: Bps = 10.0
    """Extra slippage of an order that takes the whole permitted share of a bar's volume (square-root law)."""
    participation: Annotated[float, Meta(gt=0, le=1)] = 0.05
    """Largest share of a bar's volume that one order may take; the rest waits for the next bar."""
    entry_expires_s: Annotated[float, Meta(gt=0, le=3600)] = 60.0
    """An entry that has not left so many seconds after its bar closed is not sent any more."""
    entry_collar: Annotated[float, Meta(gt=0, le=1)] = 0.02
    """An entry does not leave when the price there is further than this share from the close it was reviewed at."""
    volume_is_known: bool = True
    """False for series without volume (most currency feeds): participation is then not applied."""

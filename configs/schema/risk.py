"""The limits of the three tiers. Shares are of the desk's equity; each key is named in the record of its check."""

from typing import Annotated

import msgspec
from msgspec import Meta

Count = Annotated[int, Meta(ge=0, le=1_000_000)]


class RiskSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Defaults are for a cautious desk; a profile may widen them, never switch a check off."""

    # tier 1: this order, this position
    max_order_value: Annotated[float, Meta(gt=0, le=3)] = 0.25
    max_position_value: Annotated[float, Meta(gt=0, le=3)] = 0.25
    max_trade_risk: Annotated[float, Meta(gt=0, le=0.5)] = 0.02
    max_participation: Annotated[float, Meta(gt=0, le=1)] = 0.01
    max_price_jump: Annotated[float, Meta(gt=0, le=1)] = 0.1
    """Largest move from one close to the next after which a position may be opened."""
    max_entries_per_instrument: Count = 3
    """Entries in one instrument within a day."""
    # tier 2: the day
    max_daily_loss: Annotated[float, Meta(gt=0, le=1)] = 0.02
    halt_daily_loss: Annotated[float, Meta(gt=0, le=1)] = 0.04
    max_daily_entries: Count = 20
    max_daily_turnover: Annotated[float, Meta(gt=0, le=100)] = 2.0
    max_consecutive_losses: Annotated[int, Meta(ge=1, le=1000)] = 6
    loss_pause_bars: Count = 5
    """Bars without a new entry after that many losses in a row."""
    # tier 3: the desk as a whole
    max_gross: Annotated[float, Meta(gt=0, le=10)] = 0.5
    max_drawdown: Annotated[float, Meta(gt=0, le=1)] = 0.1
    max_open_orders: Annotated[int, Meta(ge=1, le=10_000)] = 60
    """An entry counts as three: itself, its stop and its target."""
    max_unknown_orders: Count = 0
    max_positions: Annotated[int, Meta(ge=1, le=1000)] = 20
    max_instrument_volatility: Annotated[float, Meta(gt=0, le=100)] = 2.0
    """Yearly volatility above which nothing new is opened."""

    def __post_init__(self) -> None:
        if self.halt_daily_loss < self.max_daily_loss:
            raise ValueError(
                f"halt_daily_loss ({self.halt_daily_loss}) must not be below max_daily_loss ({self.max_daily_loss})"
            )

"""The limits of the three tiers. Shares are of the desk's equity; each key is named in the record of its check."""

from typing import Annotated

import msgspec
from msgspec import Meta

from configs.schema.desk import AssetClass, Name

Count = Annotated[int, Meta(ge=0, le=1_000_000)]


class RiskSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Defaults are for a cautious desk; a profile may widen them, never switch a check off."""

    # tier 1: this order, this position
    max_order_value: Annotated[float, Meta(gt=0, le=3)] = 0.25
    max_order_money: Annotated[float, Meta(gt=0, le=1e12)] = 1_000_000.0
    """The same in account currency: what a slip of a digit may cost at most."""
    max_position_value: Annotated[float, Meta(gt=0, le=3)] = 0.25
    max_crypto_position: Annotated[float, Meta(gt=0, le=3)] = 0.2
    max_stock_position: Annotated[float, Meta(gt=0, le=4)] = 0.25
    max_fx_position: Annotated[float, Meta(gt=0, le=30)] = 0.25
    """One position of that class (`desk.instruments.asset_class`), where it is less than `max_position_value`."""
    max_group_value: Annotated[float, Meta(gt=0, le=10)] = 0.35
    """All positions of one `desk.instruments.group` together."""
    max_trade_risk: Annotated[float, Meta(gt=0, le=0.5)] = 0.02
    max_participation: Annotated[float, Meta(gt=0, le=1)] = 0.01
    max_depth_share: Annotated[float, Meta(gt=0, le=1)] = 0.25
    """An entry's share of what is offered to it at the venue within `depth_band`, where the venue tells its book."""
    depth_band: Annotated[float, Meta(gt=0, le=0.1)] = 0.005
    """How far from the price, as a share of it, an offer still counts. A smaller one counts less, and is tighter."""
    max_price_jump: Annotated[float, Meta(gt=0, le=1)] = 0.1
    """Largest move from one close to the next after which a position may be opened."""
    max_price_shock: Annotated[float, Meta(gt=0, le=1)] = 0.1
    """Largest move within the newest quarter of an hour, on bars that are not longer, after which one may be opened."""
    restricted: tuple[Name, ...] = ()
    """Instruments of the desk that are watched and closed, never opened."""
    max_entries_per_instrument: Count = 3
    """Entries in one instrument within a day."""
    max_entries_at_once: Count = 3
    """Entries in one instrument and direction within `entries_within_min`; one more locks the instrument."""
    entries_within_min: Annotated[float, Meta(gt=0, le=1440)] = 15.0
    duplicate_s: Annotated[float, Meta(ge=0, le=3600)] = 5.0
    """An entry of the same size (within 1 %) and direction so soon after one is taken for a repetition."""
    # tier 1: no ladders and no grids
    pattern_bars: Annotated[int, Meta(ge=1, le=10_000)] = 20
    """How far back the next three look."""
    max_ladder: Annotated[int, Meta(ge=1, le=1_000_000)] = 3
    """Entries in a row in one direction, each at a worse price than the one before: averaging down."""
    max_flips: Count = 3
    """Changes of direction in one instrument: a grid that pays the spread."""
    max_size_after_loss: Annotated[float, Meta(gt=0, le=1_000_000)] = 2.0
    """An entry after a loss in the instrument, as a multiple of the one that lost: doubling up."""
    # tier 2: the day
    max_daily_loss: Annotated[float, Meta(gt=0, le=1)] = 0.02
    halt_daily_loss: Annotated[float, Meta(gt=0, le=1)] = 0.04
    max_daily_entries: Count = 20
    max_daily_turnover: Annotated[float, Meta(gt=0, le=100)] = 2.0
    max_consecutive_losses: Annotated[int, Meta(ge=1, le=1000)] = 6
    loss_pause_bars: Count = 5
    """Bars without a new entry after that many losses in a row, or after a bar beyond `max_bar_loss`; twice as many
    with each further loss. After the pause one entry at a time, until one has won."""
    max_bar_loss: Annotated[float, Meta(gt=0, le=1)] = 0.03
    """What the desk may lose from one look to the next: more is beyond what its sizes allow for."""
    halt_bar_losses: Annotated[int, Meta(ge=1, le=1_000_000)] = 3
    """So many such bars in a day halt the desk and close everything."""
    # tier 3: the desk as a whole
    max_gross: Annotated[float, Meta(gt=0, le=10)] = 0.5
    max_crypto_leverage: Annotated[float, Meta(gt=0, le=3)] = 1.0
    max_stock_leverage: Annotated[float, Meta(gt=0, le=4)] = 1.0
    max_fx_leverage: Annotated[float, Meta(gt=0, le=30)] = 1.0
    """All positions of one class together; 3, 4 and 30 are ceilings that nothing can raise."""
    max_drawdown: Annotated[float, Meta(gt=0, le=1)] = 0.05
    """Below its high-water mark by more than this the desk halts and closes everything."""
    max_open_orders: Annotated[int, Meta(ge=1, le=10_000)] = 60
    """An entry counts as three: itself, its stop and its target."""
    max_unknown_orders: Count = 0
    max_positions: Annotated[int, Meta(ge=1, le=1000)] = 20
    max_requests_per_second: Annotated[int, Meta(ge=1, le=1_000_000)] = 5
    max_requests_per_minute: Annotated[int, Meta(ge=1, le=1_000_000)] = 60
    max_requests_per_day: Annotated[int, Meta(ge=1, le=1_000_000)] = 500
    """Orders and cancels that leave for the venue. A fifth is kept for cancels and exits, which are always let go."""
    max_instrument_volatility: Annotated[float, Meta(gt=0, le=100)] = 2.0
    """Yearly volatility above which nothing new is opened."""

    def __post_init__(self) -> None:
        if self.halt_daily_loss < self.max_daily_loss:
            raise ValueError(
                f"halt_daily_loss ({self.halt_daily_loss}) must not be below max_daily_loss ({self.max_daily_loss})"
            )

    def position_limit(self, kind: AssetClass) -> tuple[float, str]:
        """The largest position of that class as a share of equity, and the setting that says so."""
        by_class = {
            "crypto": self.max_crypto_position,
            "stock": self.max_stock_position,
            "fx": self.max_fx_position,
        }[kind]
        if by_class < self.max_position_value:
            return by_class, f"risk.max_{kind}_position"
        return self.max_position_value, "risk.max_position_value"

    def leverage_limit(self, kind: AssetClass) -> tuple[float, str]:
        """The largest gross exposure in that class as a share of equity, and the setting that says so."""
        limits = {
            "crypto": self.max_crypto_leverage,
            "stock": self.max_stock_leverage,
            "fx": self.max_fx_leverage,
        }
        return limits[kind], f"risk.max_{kind}_leverage"

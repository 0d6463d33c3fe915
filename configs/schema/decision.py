"""How opinions are formed and joined, when the desk acts on them, and how it leaves."""

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

RegimeName = Literal[
    "strong_up", "weak_up", "strong_down", "weak_down", "quiet_range", "volatile_range", "crash"
]
AlphaName = Literal["momentum", "mean_reversion", "trend", "breakout", "predicted"]


class AlphaSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Which opinions are asked, and how quickly each saturates at full conviction."""

    enabled: tuple[AlphaName, ...] = ("momentum", "mean_reversion", "trend", "breakout", "predicted")
    momentum_full: Annotated[float, Meta(gt=0, le=20)] = 2.0
    """Risk-adjusted past return (in standard deviations) at which momentum is fully convinced."""
    reversion_full: Annotated[float, Meta(gt=0, le=20)] = 2.5
    """Distance from the 20-bar mean, in standard deviations, at which mean reversion is fully convinced."""
    trend_gain: Annotated[float, Meta(gt=0, le=1000)] = 40.0
    """The factor of `gain * (short - long) / long` for the moving-average trend."""
    breakout_full: Annotated[float, Meta(gt=0, le=20)] = 1.0
    """Average true ranges beyond the 20-bar channel at which breakout is fully convinced."""
    predicted_gain: Annotated[float, Meta(gt=0, le=100)] = 4.0
    """Score for each unit that the served probability lies above one half."""

    def __post_init__(self) -> None:
        twice = sorted({name for name in self.enabled if self.enabled.count(name) > 1})
        if twice:
            raise ValueError(f"enabled: {', '.join(twice)} is listed twice")


class EnsembleSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How votes are weighted: `equal`, `hedge` (with fixed share) or `bayes`."""

    method: Literal["equal", "hedge", "bayes"] = "hedge"
    learning_rate: Annotated[float, Meta(gt=0, le=10)] = 0.1
    share: Annotated[float, Meta(ge=0, le=0.5)] = 0.01
    """Fixed share (Herbster and Warmuth 1998): weight that flows back to all at each bar."""
    discount: Annotated[float, Meta(gt=0, le=1)] = 0.995
    """How much of yesterday's evidence the Bayesian posteriors keep."""
    edge_half_life: Annotated[float, Meta(gt=1, le=100_000)] = 250.0
    """Half-life in bars of the forecast's measured edge, which Kelly uses."""


class DecisionSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The confidence gate and the geometry of a trade, in average true ranges (ATR) and bars."""

    confidence: Annotated[float, Meta(ge=0.5, le=1)] = 0.65
    """Agreement of the weighted votes that is needed to act. It is not a win rate."""
    long_only: bool = True
    stop_atr: Annotated[float, Meta(gt=0, le=50)] = 3.0
    target_atr: Annotated[float, Meta(gt=0, le=100)] = 6.0
    trail_atr: Annotated[float, Meta(ge=0, le=50)] = 4.0
    """Distance of the trailing exit below the best price since entry; 0 switches it off."""
    max_bars: Annotated[int, Meta(ge=1, le=100_000)] = 40
    exit_confidence: Annotated[float, Meta(ge=0.5, le=1)] = 0.6
    """Confidence in the opposite direction that closes a position."""
    blocked_regimes: tuple[RegimeName, ...] = ("crash",)
    cooldown_bars: Annotated[int, Meta(ge=0, le=10_000)] = 1


class SizingSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How large. Shares are of the desk's equity."""

    kelly_fraction: Annotated[float, Meta(gt=0, le=1)] = 0.5
    target_volatility: Annotated[float, Meta(gt=0, le=2)] = 0.15
    """Yearly volatility that one position may bring to the desk."""
    risk_per_trade: Annotated[float, Meta(gt=0, le=0.2)] = 0.01
    """Share of equity lost when the protective stop fills at its price."""
    max_weight: Annotated[float, Meta(gt=0, le=3)] = 0.2
    var_limit: Annotated[float, Meta(gt=0, le=1)] = 0.02
    """Share of equity that the position may lose in one bar, at 95 %, by its own history."""
    es_limit: Annotated[float, Meta(gt=0, le=1)] = 0.03
    """Share of equity that the position loses on the mean of its worst bars, one in forty (expected shortfall)."""
    book_var_limit: Annotated[float, Meta(gt=0, le=1)] = 0.03
    """Share of equity that all positions together may lose in one bar, at 95 %, as their prices moved together."""
    drawdown_floor: Annotated[float, Meta(ge=0, le=1)] = 0.25
    """What is left of a size when the drawdown has come to `risk.max_drawdown`; in between on a straight line."""

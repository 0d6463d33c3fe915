"""The published regime rule: seven names, five conditions, no memory.

Every condition is a margin: how far a feature lies beyond its threshold, in units that are about the same for
all. A margin of zero or more means that the condition holds.

    strong trend   |trend_t_60| beyond `strong_t`, trend_t_20 beyond `confirm_t` the same way, adx_14 beyond
                   `strong_adx`
    trend          |trend_t_60| beyond `weak_t`, and trend_t_20 not beyond `confirm_t` the other way
    crash          ret_5 below -`crash_sigmas` times its usual size (vol_cc_60 * sqrt(5)), and drawdown_60 below
                   -`crash_depth` times the usual size of a 60-bar move (vol_cc_60 * sqrt(60))
    volatile       vol_rank_250 beyond `volatile_rank`

The first that holds names the regime: crash; strong_up, strong_down; weak_up, weak_down; volatile_range;
quiet_range. All conditions of one line must hold, so a line's margin is its smallest, and a regime's margin is
the smallest of its own line and of the negated margins of the lines before it. At most one regime has a margin
above zero: the scores, a softmax over the margins, are largest for exactly the regime that the rule names.
"""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from configs.schema.regime import RegimeSettings
from engine.core.domain.regime import REGIMES, RegimeEstimate
from engine.core.regime.persistence import UNKNOWN, confirm

Floats = NDArray[np.float64]
Labels = NDArray[np.int8]

INPUTS = ("trend_t_60", "trend_t_20", "adx_14", "vol_rank_250", "ret_5", "vol_cc_60", "drawdown_60")
"""The features that the rule reads."""
HISTORY = 4
"""How many of the newest rows `classify_last` needs: three that vote now, and three that voted a bar ago."""

# what counts as one step beyond a threshold
_T_STEP, _ADX_STEP, _RANK_STEP, _SIGMA_STEP, _DEPTH_STEP = 4.0, 8.0, 0.15, 0.5, 0.35


def classify_series(
    columns: Mapping[str, Floats], settings: RegimeSettings
) -> tuple[Labels, NDArray[np.float64]]:
    """Return for every bar the confirmed regime (its place in `REGIMES`, -1 while unknown) and seven scores.

    Scores are those of the bar alone and add up to 1; they are NaN while a feature is.
    """
    scores = _scores(columns, settings)
    return confirm(_largest(scores), scores), scores


def classify_last(rows: Sequence[Mapping[str, float]], settings: RegimeSettings) -> RegimeEstimate | None:
    """Return the regime of the newest of `rows` (oldest first), or None while it is unknown.

    With `HISTORY` rows the answer is that of `classify_series` on the whole past. The regime before is that of
    the row before, or the same one when there is none.
    """
    recent = rows[-HISTORY:]
    columns = {name: np.array([row[name] for row in recent], dtype=np.float64) for name in INPUTS}
    labels, scores = classify_series(columns, settings)
    if not recent or labels[-1] == UNKNOWN:
        return None
    before = labels[-2] if len(recent) > 1 and labels[-2] != UNKNOWN else labels[-1]
    return RegimeEstimate(
        REGIMES[labels[-1]], REGIMES[before], dict(zip(REGIMES, scores[-1].tolist(), strict=True))
    )


def _scores(columns: Mapping[str, Floats], settings: RegimeSettings) -> Floats:
    margins = _margins(columns, settings) / settings.softness
    with np.errstate(invalid="ignore"):
        weights = np.exp(margins - margins.max(axis=1, keepdims=True))
    scores: Floats = weights / weights.sum(axis=1, keepdims=True)
    return scores


def _margins(columns: Mapping[str, Floats], s: RegimeSettings) -> Floats:
    """One column for each of `REGIMES`."""
    trend, recent = columns["trend_t_60"], columns["trend_t_20"]
    strength = (columns["adx_14"] - s.strong_adx) / _ADX_STEP
    volatile = (columns["vol_rank_250"] - s.volatile_rank) / _RANK_STEP
    crash = _crash(columns, s)
    strong_up = np.minimum(_strong(trend, recent, s), strength)
    strong_down = np.minimum(_strong(-trend, -recent, s), strength)
    weak_up, weak_down = _weak(trend, recent, s), _weak(-trend, -recent, s)
    calm = -crash
    unsure = np.minimum(calm, -np.maximum(strong_up, strong_down))
    sideways = np.minimum(unsure, -np.maximum(weak_up, weak_down))
    by_name = {
        "strong_up": np.minimum(strong_up, calm),
        "strong_down": np.minimum(strong_down, calm),
        "weak_up": np.minimum(weak_up, unsure),
        "weak_down": np.minimum(weak_down, unsure),
        "quiet_range": np.minimum(sideways, -volatile),
        "volatile_range": np.minimum(sideways, volatile),
        "crash": crash,
    }
    # a missing feature makes the whole bar unknown, whichever conditions it would have decided
    missing = np.logical_or.reduce([np.isnan(columns[name]) for name in INPUTS])
    return np.where(missing[:, None], np.nan, np.stack([by_name[name] for name in REGIMES], axis=1))


def _strong(trend: Floats, recent: Floats, s: RegimeSettings) -> Floats:
    margin: Floats = np.minimum(trend - s.strong_t, recent - s.confirm_t) / _T_STEP
    return margin


def _weak(trend: Floats, recent: Floats, s: RegimeSettings) -> Floats:
    margin: Floats = np.minimum(trend - s.weak_t, recent + s.confirm_t) / _T_STEP
    return margin


def _crash(columns: Mapping[str, Floats], s: RegimeSettings) -> Floats:
    """A market that never moves cannot crash: without volatility both falls count as none."""
    usual = 100.0 * columns["vol_cc_60"]
    moves = usual > 0.0
    fall = np.divide(columns["ret_5"], -usual * np.sqrt(5.0), out=np.zeros_like(usual), where=moves)
    depth = np.divide(columns["drawdown_60"], -usual * np.sqrt(60.0), out=np.zeros_like(usual), where=moves)
    margin: Floats = np.minimum((fall - s.crash_sigmas) / _SIGMA_STEP, (depth - s.crash_depth) / _DEPTH_STEP)
    return margin


# exactly on a threshold two regimes have the same margin: the one that the rule tries first is named
_ORDER = np.array(
    [REGIMES.index(name) for name in ("crash", "strong_up", "strong_down", "weak_up", "weak_down")]
    + [REGIMES.index(name) for name in ("volatile_range", "quiet_range")]
)


def _largest(scores: Floats) -> Labels:
    known = ~np.isnan(scores[:, 0])  # a bar is known as a whole or not at all
    ranked = np.where(known[:, None], scores[:, _ORDER], 0.0)
    return np.where(known, _ORDER[np.argmax(ranked, axis=1)], UNKNOWN).astype(np.int8)

"""Opinions over many bars at once: signals, the ensemble's weights, the forecast and the gate.

None of it depends on what the desk owns, so a sweep works it out before it steps. The arithmetic is that of
`core/alpha` and `core/ensemble` to the last bit (a test holds them against each other): the same operations in
the same order, on columns where a bar does not need the one before, in one tight loop where it does. What is rare
(the first bar, a model that does not answer, weights that are not Hedge's) is asked of the core itself.
"""

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from configs.schema.decision import AlphaSettings
from configs.schema.settings import Settings
from engine.backtest.market import Stretch
from engine.core.alpha import predicted
from engine.core.alpha.momentum import SPANS
from engine.core.decision.gate import passes
from engine.core.domain.market import Floats
from engine.core.domain.records import EnsembleState, ModelEvidence
from engine.core.domain.signal import Prediction
from engine.core.ensemble.combine import combine, remember
from engine.core.ensemble.weights import learn
from engine.core.features.registry import NAMES
from engine.core.pipeline import ALPHAS

Directions = NDArray[np.int8]
Edge = tuple[float, float, float]
_VOLATILITY = NAMES.index("vol_cc_60")


class _Fast(NamedTuple):
    """What the tight loop knows after each of its rows, from which a whole state can be made."""

    first: int
    weights: list[list[float]]
    scores: list[list[float]]
    edges: list[Edge]


class Outlook:
    """The opinions of a stretch, row by row; rows before `ready` have none.

    `direction` is the forecast's, `gated` the one that passed the gate, `edge` and `edge_variance` what Kelly may
    rely on at that bar. `last` is what the ensemble knows after the stretch. States of Hedge count no right and
    wrong calls: nothing that is decided depends on them.
    """

    def __init__(self, stretch: Stretch, settings: Settings, state: EnsembleState) -> None:
        size = stretch.bars.size
        self.confidence = np.full(size, 0.5)
        self.direction: Directions = np.zeros(size, dtype=np.int8)
        self.gated: Directions = np.zeros(size, dtype=np.int8)
        self.edge, self.edge_variance = np.zeros(size), np.zeros(size)
        self._stretch, self._settings = stretch, settings
        self._closes: list[float] = stretch.bars.close.tolist()
        self._first = state
        self._whole: dict[int, EnsembleState] = {}
        self._parts: list[_Fast] = []
        self.last = self._look(state)

    def before(self, row: int) -> EnsembleState:
        """What the ensemble knew when the bar of a row closed."""
        if row <= self._stretch.ready:
            return self._first
        return self._whole.get(row - 1) or self._made(row - 1)

    def _look(self, state: EnsembleState) -> EnsembleState:
        stretch, row = self._stretch, self._stretch.ready
        names, scores = _scores(stretch, self._settings)
        quick = self._settings.ensemble.method == "hedge" and bool(names)
        silent = np.flatnonzero(np.isnan(scores).any(axis=1)) if names else np.zeros(0, dtype=np.int64)
        while row < stretch.bars.size:
            if quick and tuple(state.voters) == names and state.last_close is not None:
                later = silent[silent >= row]
                stop = int(later[0]) if later.size else stretch.bars.size
                if stop > row:
                    state = self._run(row, stop, scores[row:stop], state)
                    row = stop
                    continue
            state = self._ask(row, state)
            row += 1
        return state

    def _ask(self, row: int, state: EnsembleState) -> EnsembleState:
        """One bar by the core's own functions."""
        stretch, settings = self._stretch, self._settings
        features = dict(zip(NAMES, stretch.features[row].tolist(), strict=True))
        answers = {model: float(column[row]) for model, column in stretch.answers.items()}
        said = [Prediction(model, "", p if p == p else None) for model, p in answers.items()]
        heard = [
            ALPHAS[name](features, settings.alpha)
            if name in ALPHAS
            else predicted.signal(said, settings.alpha)
            for name in settings.alpha.enabled
        ]
        signals = [signal for signal in heard if signal is not None]
        close = self._closes[row]
        learned = learn(state, close, features["vol_cc_60"], settings.ensemble)
        forecast = combine(signals, learned, settings.ensemble)
        followed = passes(forecast, settings.decision)
        self.confidence[row], self.direction[row], self.gated[row] = (
            forecast.confidence,
            forecast.direction,
            followed,
        )
        self.edge[row], self.edge_variance[row] = forecast.edge, forecast.edge_variance
        self._whole[row] = remember(learned, signals, close, followed)
        return self._whole[row]

    def _run(self, start: int, stop: int, scores: Floats, state: EnsembleState) -> EnsembleState:
        """Rows at which everybody speaks, weighted by Hedge."""
        closes = self._closes
        assert state.last_close is not None
        before = [state.last_close, *closes[start : stop - 1]]
        moves = [math.log(close / last) for close, last in zip(closes[start:stop], before, strict=True)]
        last_scores = [voter.last_score for voter in state.voters.values()]
        spoken = scores.tolist()
        factors = self._factors(start, stop, np.array(moves), np.vstack((last_scores, scores[:-1])))
        weights, joined = _hedge(
            [voter.weight for voter in state.voters.values()], factors, spoken, self._settings.ensemble.share
        )
        score = np.array(joined)
        confidence = (1 + np.abs(score)) / 2
        direction = np.sign(score).astype(np.int8)
        gated = np.where(confidence < self._settings.decision.confidence, 0, direction).astype(np.int8)
        if self._settings.decision.long_only:
            gated = np.maximum(gated, 0).astype(np.int8)
        self.confidence[start:stop], self.direction[start:stop], self.gated[start:stop] = (
            confidence,
            direction,
            gated,
        )
        followed = [state.last_followed, *gated[:-1].tolist()]
        edges = self._edges(followed, moves, (state.edge, state.edge_square, state.edge_bars))
        columns = np.array(edges)
        self.edge[start:stop] = columns[:, 0]
        self.edge_variance[start:stop] = np.maximum(0.0, columns[:, 1] - columns[:, 0] ** 2)
        self._parts.append(_Fast(start, weights, spoken, edges))
        return self._made(stop - 1)

    def _factors(self, start: int, stop: int, moves: Floats, last_scores: Floats) -> list[list[float]]:
        """What each weight is multiplied with at each bar, by how the call of the bar before came out."""
        volatility = self._stretch.features[start:stop, _VOLATILITY]
        moving = volatility > 0
        share = np.divide(moves, 2 * volatility, out=np.zeros_like(moves), where=moving)
        surprise = np.maximum(-1.0, np.minimum(1.0, share))
        loss = (1 - last_scores * surprise[:, None]) / 2
        powers = (-self._settings.ensemble.learning_rate * loss).ravel().tolist()
        width = last_scores.shape[1]
        flat = list(map(math.exp, powers))  # numpy's own exp may differ in the last bit
        return [flat[at : at + width] for at in range(0, len(flat), width)]

    def _edges(self, followed: list[int], moves: list[float], edge: Edge) -> list[Edge]:
        decay = 0.5 ** (1 / self._settings.ensemble.edge_half_life)
        mean, square, bars = edge
        found: list[Edge] = []
        for direction, move in zip(followed, moves, strict=True):
            if direction:
                earned = direction * move
                bars = bars * decay + 1
                mean += (earned - mean) / bars
                square += (earned * earned - square) / bars
                edge = (mean, square, bars)
            found.append(edge)
        return found

    def _made(self, row: int) -> EnsembleState:
        part = next(part for part in reversed(self._parts) if part.first <= row)
        at = row - part.first
        voters = {
            name: ModelEvidence(weight, 0.0, 0.0, score)
            for name, weight, score in zip(
                _names(self._stretch, self._settings), part.weights[at], part.scores[at], strict=True
            )
        }
        return EnsembleState(voters, self._closes[row], int(self.gated[row]), *part.edges[at])


def _hedge(
    weights: list[float], factors: list[list[float]], scores: list[list[float]], share: float
) -> tuple[list[list[float]], list[float]]:
    """The weights after each bar and the joined scores: the one part that cannot be done in columns."""
    floor, rest = share / len(weights), 1 - share
    found, joined = [], []
    for factor, said in zip(factors, scores, strict=True):
        grown = [weight * by for weight, by in zip(weights, factor)]  # noqa: B905 - of one length, and this is the hot line
        kept = rest / sum(grown)
        weights = [weight * kept + floor for weight in grown]
        total = sum(weights)
        found.append(weights)
        joined.append(sum([weight / total * score for weight, score in zip(weights, said)]))  # noqa: B905
    return found, joined


def _names(stretch: Stretch, settings: Settings) -> tuple[str, ...]:
    """Who may be heard: without a served model nobody speaks for one."""
    return tuple(name for name in settings.alpha.enabled if name != "predicted" or stretch.answers)


def _scores(stretch: Stretch, settings: Settings) -> tuple[tuple[str, ...], Floats]:
    """The score of every voter at every bar, NaN where a model does not answer."""
    names = _names(stretch, settings)
    columns = [SCORES[name](stretch, settings.alpha) for name in names]
    return names, np.column_stack(columns) if columns else np.zeros((stretch.bars.size, 0))


def _column(stretch: Stretch, name: str) -> Floats:
    column: Floats = stretch.features[:, NAMES.index(name)]
    return column


def _clip(values: Floats) -> Floats:
    clipped: Floats = np.maximum(-1.0, np.minimum(1.0, values))
    return clipped


def _momentum(stretch: Stretch, alpha: AlphaSettings) -> Floats:
    volatility = _column(stretch, "vol_cc_60")
    moving = volatility > 0
    total = np.zeros(volatility.size)
    for span in SPANS:
        usual = 100 * volatility * math.sqrt(span)
        total += np.divide(_column(stretch, f"ret_{span}"), usual, out=np.zeros_like(usual), where=moving)
    return _clip(total / len(SPANS) / alpha.momentum_full)


def _mean_reversion(stretch: Stretch, alpha: AlphaSettings) -> Floats:
    return _clip(-_column(stretch, "zscore_20") / alpha.reversion_full)


def _trend(stretch: Stretch, alpha: AlphaSettings) -> Floats:
    return _clip(alpha.trend_gain * _column(stretch, "sma_ratio_20_50") / 100)


def _breakout(stretch: Stretch, alpha: AlphaSettings) -> Floats:
    return _clip(_column(stretch, "donchian_break_20") / alpha.breakout_full)


def _predicted(stretch: Stretch, alpha: AlphaSettings) -> Floats:
    columns = [column.tolist() for column in stretch.answers.values()]
    mean = np.array([sum(answers) / len(answers) for answers in zip(*columns, strict=True)])
    return _clip(alpha.predicted_gain * (mean - 0.5))


SCORES = {
    "momentum": _momentum,
    "mean_reversion": _mean_reversion,
    "trend": _trend,
    "breakout": _breakout,
    "predicted": _predicted,
}

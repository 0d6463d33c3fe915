"""What can be said about the market alone, worked out for thousands of bars at once.

Features, regimes and model answers do not depend on what the desk owns. They are computed over stretches of bars,
each with as much history before it as the live window holds, so that memory does not grow with the length of the
series and every bar is described as live would describe it: features agree to 1e-9, and so far to the last digit
in everything that is traded.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from heapq import merge
from itertools import groupby
from operator import attrgetter
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from configs.schema.desk import TIMEFRAME_MS
from configs.schema.settings import Settings
from engine.core.domain.errors import BadInput
from engine.core.domain.ids import epoch_ms, from_epoch_ms
from engine.core.domain.instrument import exact
from engine.core.domain.market import Bar, BarArrays, Floats, MarketWindow, QualityIssue
from engine.core.domain.records import Observation
from engine.core.domain.regime import REGIMES, RegimeEstimate
from engine.core.domain.signal import Answers, Prediction
from engine.core.features.build import build_matrix
from engine.core.features.registry import NAMES
from engine.core.market.others import BARS, Beside, beside, chosen
from engine.core.market.quality import check_bar, robust_sigma
from engine.core.market.tails import tails
from engine.core.market.window import BarWindow
from engine.core.maths.losses import Losses
from engine.core.pipeline import FEATURE_SET, NEED, observe
from engine.core.regime import classify
from engine.ports import Predictor

STRETCH = 8192
"""Bars that are worked out at once: enough that the history before them costs little, and 10 MB of features."""
_ROWS = 512  # bars of a stretch that are turned into Python numbers at a time
_UNKNOWN = -1

Issues = tuple[QualityIssue, ...]
_end = attrgetter("bar.end")


class BatchPredictor(Predictor, Protocol):
    """Served models that can also answer for many bars at once."""

    def predict_many(self, matrix: NDArray[np.float64]) -> dict[str, Answers]:
        """The answers for the rows of a feature matrix, by model; NaN where `predict` would be absent."""


class Look(NamedTuple):
    """One bar, and all that is known about it before anybody thinks of trading."""

    bar: Bar
    observation: Observation
    predictions: tuple[Prediction, ...]


class Stretch(NamedTuple):
    """Neighbouring bars of one instrument with all that is said of them, row by row.

    `have` is how many bars the live window would hold at the first. Rows before `ready` have no features: the
    window still warms up. `labels` are places in REGIMES, -1 while unknown; `before` those of the row before.
    `answers` are empty where no model is served, NaN where one does not answer; `raw` is what they were before
    calibration; `versions` are the models' hashes. `losses` begin `lead` rows earlier; `beside` are columns, by
    other instrument.
    """

    instrument: str
    bars: BarArrays
    previous_close: Floats
    have: int
    ready: int
    features: NDArray[np.float64]
    labels: NDArray[np.int8]
    before: NDArray[np.int8]
    scores: NDArray[np.float64]
    answers: dict[str, Floats]
    raw: dict[str, Floats]
    versions: dict[str, str]
    issues: dict[int, Issues]
    losses: Losses
    lead: int
    beside: dict[str, Beside]


class Series(NamedTuple):
    """The bars of one instrument: those from `first` on are told, those before are history."""

    instrument: str
    bars: BarArrays
    first: int

    @property
    def told(self) -> int:
        """How many bars the replay tells."""
        return self.bars.size - self.first


def cut(
    series: Mapping[str, BarArrays], settings: Settings, start: datetime | None, end: datetime | None
) -> tuple[Series, ...]:
    """The bars known from `start` up to but without `end`, by instrument name; earlier ones stay as history."""
    known = {instrument.name for instrument in settings.desk.instruments}
    if unknown := sorted(set(series) - known):
        raise BadInput(
            f"{', '.join(unknown)}: the desk does not trade it (desk.instruments has {sorted(known)})"
        )
    found = []
    for name in sorted(series):
        bars = series[name]
        if bars.size > 1 and not (bars.end_ms[1:] > bars.end_ms[:-1]).all():
            raise BadInput(f"{name}: bars must be in time order, each moment once")
        stop = bars.size if end is None else int(bars.end_ms.searchsorted(epoch_ms(end)))
        first = 0 if start is None else int(bars.end_ms.searchsorted(epoch_ms(start)))
        found.append(Series(name, bars.slice(0, stop), min(first, stop)))
    if not any(one.told for one in found):
        raise BadInput("there are no bars between start and end")
    return tuple(found)


def moments(told: list[Iterator[Look]]) -> Iterator[tuple[Look, ...]]:
    """What became known at one moment, by instrument name; moments in time order."""
    if len(told) == 1:
        yield from ((look,) for look in told[0])
        return
    for _, looks in groupby(merge(*told, key=_end), key=_end):
        yield tuple(looks)


# --- as live does it ------------------------------------------------------------------------------


def slide(
    series: Series, settings: Settings, predictor: Predictor, others: Sequence[Series] = ()
) -> Iterator[Look]:
    """Bar by bar, window by window: the slow way that the other one must agree with."""
    history = series.bars.slice(max(0, series.first - NEED), series.first)
    window = BarWindow(NEED, history if history.size else None)
    issues = find_issues(series, settings)
    for row in range(series.first, series.bars.size):
        bar = _bar(series.instrument, *(column[row].item() for column in series.bars))
        window.append(bar)
        market = MarketWindow(series.instrument, window.arrays(), bar, issues.get(row, ()))
        known = {other.instrument: _known(other.bars, bar.end) for other in others}
        observation = observe(market, settings, known)
        yield Look(bar, observation, predictor.predict(observation))


def _known(bars: BarArrays, at: datetime) -> BarArrays:
    """What a live window would hold at that moment."""
    stop = int(bars.end_ms.searchsorted(epoch_ms(at), side="right"))
    return bars.slice(max(0, stop - NEED), stop)


def find_issues(series: Series, settings: Settings) -> dict[int, Issues]:
    """What live would say against single bars, by row. Only bars that stand out at a glance are asked about."""
    bars, limits, step = series.bars, settings.data, TIMEFRAME_MS[settings.desk.timeframe]
    sigma = robust_sigma(bars.close[max(0, series.first - NEED) : series.first])
    odd = np.diff(bars.end_ms) != step
    if sigma > 0:
        odd |= np.abs(np.diff(np.log(bars.close))) > 0.999 * limits.spike_sigmas * sigma
    found: dict[int, Issues] = {}
    for row in (np.flatnonzero(odd) + 1).tolist():
        if row >= max(1, series.first):
            pair = [_bar(series.instrument, *(c[at].item() for c in bars)) for at in (row - 1, row)]
            if issues := check_bar(pair[0], pair[1], pair[1].end, step, limits, sigma):
                found[row] = issues
    return found


# --- many bars at once ----------------------------------------------------------------------------


def stretches(
    series: Series, settings: Settings, predictor: BatchPredictor | None, others: Sequence[Series] = ()
) -> Iterator[Stretch]:
    """All told bars, a stretch at a time."""
    issues = find_issues(series, settings)
    for start in range(series.first, series.bars.size, STRETCH):
        stop = min(start + STRETCH, series.bars.size)
        here = {row - start: issues[row] for row in issues if start <= row < stop}
        yield _stretch(series, start, stop, here, settings, predictor, others)


def _stretch(
    series: Series,
    start: int,
    stop: int,
    issues: dict[int, Issues],
    settings: Settings,
    predictor: BatchPredictor | None,
    others: Sequence[Series],
) -> Stretch:
    history = max(0, start - (NEED - 1))
    lead, size = start - history, stop - start
    known = series.bars.slice(history, stop)
    matrix = build_matrix(known)
    ready = min(size, max(0, NEED - 1 - start))
    columns = {name: matrix[:, NAMES.index(name)] for name in classify.INPUTS}
    labels, scores = classify.classify_series(columns, settings.regime)
    before = np.concatenate((labels[:1], labels[:-1]))
    before = np.where(before == _UNKNOWN, labels, before).astype(np.int8)
    features = matrix[lead:]
    said = _answers(features, ready, predictor)
    closes = series.bars.close[max(0, start - 1) : stop - 1]
    return Stretch(
        instrument=series.instrument,
        bars=series.bars.slice(start, stop),
        previous_close=closes if start else np.concatenate(([np.nan], closes)),
        have=start + 1,
        ready=ready,
        features=features,
        labels=_blind(labels[lead:], ready),
        before=before[lead:],
        scores=scores[lead:],
        answers={model: told.probability for model, told in said.items()},
        raw={model: told.raw for model, told in said.items()},
        versions=predictor.versions() if predictor else {},
        issues=issues,
        losses=Losses(known.close),
        lead=lead,
        beside=_beside(series.bars, start, stop, others),
    )


def _beside(bars: BarArrays, start: int, stop: int, others: Sequence[Series]) -> dict[str, Beside]:
    first = max(0, start - BARS)
    here = bars.slice(first, stop)
    found = {}
    for other in others:
        columns = beside(here, other.bars, NEED)
        found[other.instrument] = Beside(*(column[start - first :] for column in columns))
    return found


def _blind(labels: NDArray[np.int8], ready: int) -> NDArray[np.int8]:
    """Nothing is said while the window warms up, also where the rule could already be read."""
    return np.where(np.arange(labels.size) < ready, _UNKNOWN, labels).astype(np.int8)


def _answers(
    features: NDArray[np.float64], ready: int, predictor: BatchPredictor | None
) -> dict[str, Answers]:
    if predictor is None:
        return {}
    blank = np.full(ready, np.nan)
    found = predictor.predict_many(features[ready:])
    return {
        model: Answers(*(np.concatenate((blank, column)) for column in answers))
        for model, answers in found.items()
    }


def tell(
    series: Series, settings: Settings, predictor: BatchPredictor | None, others: Sequence[Series] = ()
) -> Iterator[Look]:
    """Every told bar, described from its stretch."""
    for stretch in stretches(series, settings, predictor, others):
        for start in range(0, stretch.bars.size, _ROWS):
            yield from looks(stretch, start, min(start + _ROWS, stretch.bars.size), predictor)


def looks(
    stretch: Stretch, start: int, stop: int, predictor: BatchPredictor | None, *, tail: bool = True
) -> Iterator[Look]:
    """Rows `start` up to but without `stop` of a stretch; `predictor` is asked why where it did not answer.

    Without `tail` it is left out, for looks at which nothing can be sized.
    """
    said = [
        (
            model,
            stretch.versions[model],
            answers[start:stop].tolist(),
            stretch.raw[model][start:stop].tolist(),
        )
        for model, answers in stretch.answers.items()
    ]
    bars = [column[start:stop].tolist() for column in stretch.bars]
    first = max(start, stretch.ready) if tail else stop
    worst = tails(stretch.losses, stretch.lead + first, stretch.lead + stop) if first < stop else []
    moves, spreads = _columns(stretch, start, stop, 0), _columns(stretch, start, stop, 1)
    table = zip(
        range(start, stop),
        zip(*bars, strict=True),
        stretch.previous_close[start:stop].tolist(),
        stretch.features[start:stop].tolist(),
        stretch.labels[start:stop].tolist(),
        stretch.before[start:stop].tolist(),
        stretch.scores[start:stop].tolist(),
        strict=True,
    )
    for row, values, previous, features, label, before, scores in table:
        bar = _bar(stretch.instrument, *values)
        ready = row >= stretch.ready
        observation = Observation(
            instrument=stretch.instrument,
            bar=bar,
            previous_close=exact(previous) if previous == previous else None,
            issues=stretch.issues.get(row, ()),
            have=min(NEED, stretch.have + row),
            need=NEED,
            feature_set=FEATURE_SET,
            features=dict(zip(NAMES, features, strict=True)) if ready else {},
            regime=_regime(label, before, scores) if ready else None,
            tail=worst[row - first] if row >= first else None,
            correlations=_told(moves, row - start) if ready and moves else {},
            volatilities=_told(spreads, row - start) if ready and moves else {},
        )
        answers = [
            (model, version, told[row - start], raw[row - start]) for model, version, told, raw in said
        ]
        whole = all(answer == answer for _, _, answer, _ in answers)
        if predictor is not None and not whole:
            yield Look(bar, observation, predictor.predict(observation))
        else:
            predictions = [
                Prediction(m, v, a if a == a else None, raw=r if r == r else None) for m, v, a, r in answers
            ]
            yield Look(bar, observation, tuple(predictions))


def _columns(stretch: Stretch, start: int, stop: int, place: int) -> list[tuple[str, list[float]]]:
    return [(name, columns[place][start:stop].tolist()) for name, columns in stretch.beside.items()]


def _told(columns: list[tuple[str, list[float]]], row: int) -> dict[str, float]:
    return {name: column[row] for name, column in columns if column[row] == column[row]}


def others_of(series: Series, cuts: Sequence[Series], settings: Settings) -> tuple[Series, ...]:
    """The other instruments of the run that this one is set beside, in the order of the desk's list."""
    by_name = {one.instrument: one for one in cuts}
    names = [instrument.name for instrument in settings.desk.instruments]
    return tuple([by_name[name] for name in chosen(series.instrument, names) if name in by_name])


def _regime(label: int, before: int, scores: list[float]) -> RegimeEstimate | None:
    if label == _UNKNOWN:
        return None
    return RegimeEstimate(REGIMES[label], REGIMES[before], dict(zip(REGIMES, scores, strict=True)))


def _bar(instrument: str, end_ms: int, *values: float) -> Bar:
    return Bar(instrument, from_epoch_ms(end_ms), *map(exact, values))

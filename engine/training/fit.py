"""Fit, and say honestly how well it would have done: purged walk-forward first, the model on all rows last.

Nothing is tuned and nothing is chosen here, so the out-of-sample rows are out of sample. The same walk-forward is
run once more on shuffled answers: if it finds skill there, the rows leak, and nothing may be published.

Trees are too sure of themselves, so what is served is their answer after a calibration that was learned from the
walk-forward answers, never from rows that the trees had seen. To judge that honestly, each fold is calibrated by the
answers of the folds before it that were known by then. The first fold has none: it teaches and is not judged.
"""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from configs.schema.models import ModelSettings
from engine.core.domain.errors import BadData, Refused
from engine.core.domain.market import BarArrays, Floats, Ints
from engine.core.features.registry import NAMES, feature_set_version
from engine.core.labels.weights import walk_forward
from engine.core.maths.calibration import Calibration, calibrate
from engine.training.boosting import SEED, fit, gains, probabilities
from engine.training.dataset import Counts, Dataset, assemble
from engine.training.export import Parity, export
from engine.training.scores import (
    Gain,
    ReliabilityBin,
    Scores,
    area_under_curve,
    auc_error,
    gain,
    reliability,
    score,
)

QUESTION = "probability that the upper barrier is reached before the lower one, given that one of them is"
EMBARGO_SHARE = 0.01  # of all bars (Lopez de Prado 2018, section 7.4.2)
MINIMUM_ROWS = 50  # that a fold may be learned from, judged by or calibrated with
CANARY_SIGMAS = 4.0
CANARY_FLOOR = 0.05


class FoldReport(msgspec.Struct, frozen=True):
    """One step of the walk forward: days are UTC, `purged` rows lay between training and test.

    `raw` is what the trees said; `calibration` was learned from earlier folds, and `scores` are after it. Both are
    None where too little was known by then.
    """

    train_rows: int
    purged: int
    train_last: str
    test_first: str
    test_last: str
    raw: Scores
    calibration: Calibration | None
    scores: Scores | None


class Canary(msgspec.Struct, frozen=True):
    """The walk forward on shuffled answers: `auc` must lie within `tolerance` of one half."""

    auc: float
    tolerance: float
    passed: bool


class TrainingReport(msgspec.Struct, frozen=True):
    """Everything that can be said of a model before it is served.

    `out_of_sample` joins the folds that were calibrated by earlier ones, `out_of_sample_raw` is of the same rows
    without calibration. `calibration` is what is served: learned from the answers of all folds.
    `better_than_base` asks for a gain of more than two standard errors.
    """

    question: str
    instruments: tuple[str, ...]
    first: str
    last: str
    feature_set: str
    settings: ModelSettings
    data_hash: str
    counts: Counts
    base_rate: float
    embargo_bars: int
    folds: tuple[FoldReport, ...]
    out_of_sample: Scores
    out_of_sample_raw: Scores
    gain: Gain
    better_than_base: bool
    calibration: Calibration
    reliability: tuple[ReliabilityBin, ...]
    reliability_raw: tuple[ReliabilityBin, ...]
    canary: Canary
    parity: Parity
    gains: dict[str, float]


class Trained(NamedTuple):
    """A model as ONNX, the order of its inputs, and what is known about it."""

    model: bytes
    features: tuple[str, ...]
    report: TrainingReport


def train(series: Mapping[str, BarArrays], settings: ModelSettings) -> Trained:
    """Judge, fit on all rows, export. The same bars and settings give the same bytes.

    BadData when there are too few rows; Refused when the canary sings or the export does not answer as the
    trees do.
    """
    data = assemble(series, settings)
    embargo = round(EMBARGO_SHARE * data.moments.size)
    walk = _walk(data, data.target, settings, embargo)
    judged = ~np.isnan(walk.calibrated)
    if not judged.any():
        raise _too_few(int(np.count_nonzero(walk.answered)), settings)
    canary = _canary(data, settings, embargo)
    if not canary.passed:
        raise Refused(
            f"the rows leak: on shuffled answers the walk-forward AUC is {canary.auc:.3f}, "
            f"further than {canary.tolerance:.3f} from 0.5"
        )
    heard = walk.answered
    served = calibrate(walk.raw[heard], data.target[heard], data.weight[heard])
    booster = fit(data.rows, data.target, data.weight, settings)
    model, parity = export(booster, data.rows, served)
    raw, said, base, target = (
        walk.raw[judged],
        walk.calibrated[judged],
        walk.base[judged],
        data.target[judged],
    )
    gained = gain(said, base, target, data.weight[judged])
    report = TrainingReport(
        question=QUESTION,
        instruments=data.instruments,
        first=_day(data, int(data.start[0])),
        last=_day(data, int(data.end.max())),
        feature_set=feature_set_version(),
        settings=settings,
        data_hash=data.data_hash,
        counts=data.counts,
        base_rate=round(float(np.average(data.target, weights=data.weight)), 6),
        embargo_bars=embargo,
        folds=walk.folds,
        out_of_sample=score(said, base, target),
        out_of_sample_raw=score(raw, base, target),
        gain=gained,
        better_than_base=gained.sure,
        calibration=served,
        reliability=reliability(said, target),
        reliability_raw=reliability(raw, target),
        canary=canary,
        parity=parity,
        gains=gains(booster, NAMES),
    )
    return Trained(model, NAMES, report)


class Walk(NamedTuple):
    """The folds, and for each row what the trees said of it, that after calibration, and what the base rate said.

    NaN where nothing was said.
    """

    folds: tuple[FoldReport, ...]
    raw: Floats
    calibrated: Floats
    base: Floats

    @property
    def answered(self) -> NDArray[np.bool_]:
        """The rows of all test blocks."""
        return ~np.isnan(self.raw)


def _walk(data: Dataset, target: NDArray[np.bool_], settings: ModelSettings, embargo: int) -> Walk:
    raw, calibrated, base = (np.full(target.size, np.nan) for _ in range(3))
    reports = []
    for fold in walk_forward(data.start, data.end, settings.folds, embargo):
        _enough(int(fold.train.sum()), int(fold.test.sum()), settings)
        booster = fit(data.rows[fold.train], target[fold.train], data.weight[fold.train], settings)
        heard = fold.train & ~np.isnan(raw)  # purged like the training rows: what came of them was known
        raw[fold.test] = probabilities(booster, data.rows[fold.test])
        base[fold.test] = np.average(target[fold.train], weights=data.weight[fold.train])
        learned = None
        if np.count_nonzero(heard) >= MINIMUM_ROWS:
            learned = calibrate(raw[heard], target[heard], data.weight[heard])
            calibrated[fold.test] = learned.probabilities(raw[fold.test])
        reports.append(
            FoldReport(
                train_rows=int(fold.train.sum()),
                purged=fold.purged,
                train_last=_day(data, int(data.end[fold.train].max())),
                test_first=_day(data, int(data.start[fold.test].min())),
                test_last=_day(data, int(data.start[fold.test].max())),
                raw=score(raw[fold.test], base[fold.test], target[fold.test]),
                calibration=learned,
                scores=score(calibrated[fold.test], base[fold.test], target[fold.test]) if learned else None,
            )
        )
    if not reports:
        raise _too_few(int(target.size), settings)
    return Walk(tuple(reports), raw, calibrated, base)


def _canary(data: Dataset, settings: ModelSettings, embargo: int) -> Canary:
    """Shuffle the answers, then do all the rest as before. The trees are what could leak: they are asked raw."""
    shuffled = np.random.default_rng(SEED).permutation(data.target)
    walk = _walk(data, shuffled, settings, embargo)
    answers = shuffled[walk.answered]
    auc = area_under_curve(walk.raw[walk.answered], answers)
    tolerance = max(CANARY_FLOOR, CANARY_SIGMAS * auc_error(answers))
    found = 0.5 if auc is None else auc
    return Canary(auc=found, tolerance=round(tolerance, 6), passed=abs(found - 0.5) <= tolerance)


def _enough(train_rows: int, test_rows: int, settings: ModelSettings) -> None:
    if min(train_rows, test_rows) < MINIMUM_ROWS:
        raise _too_few(min(train_rows, test_rows), settings)


def _too_few(rows: int, settings: ModelSettings) -> BadData:
    return BadData(
        f"too few bars to train on: {rows} usable rows in a fold, {MINIMUM_ROWS} are needed in each part of "
        f"{settings.folds} folds (a bar is usable once {len(NAMES)} features are warm and a barrier was reached)"
    )


def _day(data: Dataset, place: int) -> str:
    moments: Ints = data.moments
    return datetime.fromtimestamp(int(moments[place]) / 1000, UTC).strftime("%Y-%m-%d")

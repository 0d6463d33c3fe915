"""Fit the signal model on bars and put it, with its card, into the home's model folder."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import msgspec

from configs.schema.models import ModelSettings
from configs.schema.settings import Settings
from engine.core.domain.market import BarArrays
from engine.store.models import Label, Manifest, ModelFolder, TrainedOn
from engine.training.fit import TrainingReport, train
from jobs.clocks import WallClock
from jobs.home import Home
from jobs.output import show
from jobs.universe import moment, open_files


def train_and_publish(
    home: Home, name: str, series: Mapping[str, BarArrays], settings: ModelSettings, at: datetime
) -> tuple[Manifest, TrainingReport]:
    """Purged walk-forward, calibration, leak canary, final fit, parity check; then published and put to use."""
    trained = train(series, settings)
    report = trained.report
    metrics: dict[str, Any] = msgspec.to_builtins(report)
    manifest = ModelFolder(home.root).publish(
        trained.model,
        name=name,
        feature_set=report.feature_set,
        features=trained.features,
        trained_on=TrainedOn(
            instruments=report.instruments,
            first=report.first,
            last=report.last,
            rows=report.counts.used,
            data_hash=report.data_hash,
        ),
        label=Label(settings.horizon, settings.barrier_atr, settings.barrier_atr),
        params={"rounds": settings.rounds, "depth": settings.depth, "eta": settings.eta},
        metrics={
            key: metrics[key]
            for key in (
                "out_of_sample",
                "out_of_sample_raw",
                "gain",
                "better_than_base",
                "folds",
                "reliability",
                "reliability_raw",
                "canary",
                "gains",
                "base_rate",
            )
        },
        calibration=report.calibration,
        parity=report.parity.largest_difference,
        created_at=at,
    )
    return manifest, report


def main(
    root: Path,
    settings: Settings,
    paths: Sequence[Path],
    symbol: str,
    start: str,
    stop: str,
    name: str,
    *,
    as_json: bool,
) -> None:
    """`whydesk train`: fit on files of bars and publish."""
    at = WallClock().now()
    universe = open_files(
        paths,
        settings,
        at,
        symbol=symbol,
        start=moment(start) if start else None,
        stop=moment(stop) if stop else None,
    )
    manifest, report = train_and_publish(Home(root), name, universe.series, settings.models, at)
    value = {"model": manifest.name, "version": manifest.version, "sha256": manifest.sha256}
    show(as_json, value | msgspec.to_builtins(report), lines(manifest, report))


def lines(manifest: Manifest, report: TrainingReport) -> list[str]:
    """The card in a few lines, the honest one first."""
    scores, raw, counts = report.out_of_sample, report.out_of_sample_raw, report.counts
    judged = [fold for fold in report.folds if fold.scores is not None]
    return [
        f"{manifest.name} {manifest.version}: {report.question}",
        f"  {counts.used:,} rows of {', '.join(report.instruments)}, {report.first} to {report.last}",
        f"  out of sample: log loss {scores.log_loss:.4f} calibrated ({raw.log_loss:.4f} raw), always saying the base "
        f"rate {scores.log_loss_base:.4f}: {verdict(report)}",
        f"  judged on {scores.rows:,} rows in {len(judged)} of {len(report.folds)} folds, each calibrated by the folds "
        "before it; the first has none and only teaches",
        f"  accuracy {scores.accuracy:.1%} against {scores.majority:.1%} for the commoner answer, AUC "
        + ("none" if scores.auc is None else f"{scores.auc:.3f}"),
        f"  served through slope {report.calibration.slope:.3f} and intercept {report.calibration.intercept:+.3f} of "
        "the log odds (slope 1 is taken at its word, 0 not heard)",
        f"  shuffled answers give AUC {report.canary.auc:.3f} (a leak would show here)",
        f"  the exported file answers within {report.parity.largest_difference:.1e} of the trees",
    ]


def verdict(report: TrainingReport) -> str:
    """Whether the calibrated model knows anything, in words."""
    if report.better_than_base:
        return "better than not knowing"
    if report.gain.log_loss > 0:
        return (
            f"better than not knowing by {report.gain.log_loss:.4f}, NO more than chance may give "
            f"(standard error {report.gain.error:.4f})"
        )
    return "NO better than not knowing"

"""Fit the signal model on bars and put it, with its card, into the home's model folder."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

import msgspec

from configs.schema.models import ModelSettings
from engine.core.domain.market import BarArrays
from engine.store.models import Label, Manifest, ModelFolder, TrainedOn
from engine.training.fit import TrainingReport, train
from jobs.home import Home


def train_and_publish(
    home: Home, name: str, series: Mapping[str, BarArrays], settings: ModelSettings, at: datetime
) -> tuple[Manifest, TrainingReport]:
    """Purged walk-forward, leak canary, final fit, ONNX with a parity check; then published and put to use."""
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
                "better_than_base",
                "folds",
                "calibration",
                "canary",
                "gains",
                "base_rate",
            )
        },
        parity=report.parity.largest_difference,
        created_at=at,
    )
    return manifest, report

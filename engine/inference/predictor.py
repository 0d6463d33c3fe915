"""The served models, asked at every bar. A model that is late, fails or is warming up is absent, with the reason."""

import math
import time
from collections.abc import Callable, Iterable
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from engine.core.domain.errors import Refused
from engine.core.domain.records import Observation
from engine.core.domain.signal import Answers, Prediction
from engine.core.maths.calibration import Calibration
from engine.core.maths.rows import Rows, row_maker, rows32
from engine.inference.forest import forest_of
from engine.inference.session import Session


class ServedModel(NamedTuple):
    """A registered model: `version` is the hash of `model`, `features` the order of its inputs.

    `calibration` is what its answers are put through before anyone hears them.
    """

    name: str
    version: str
    feature_set: str
    features: tuple[str, ...]
    model: bytes
    calibration: Calibration


class NoPredictor:
    """For desks that serve no model: nobody is asked, so nobody is absent."""

    def versions(self) -> dict[str, str]:
        """Nothing answers."""
        return {}

    def predict(self, observation: Observation) -> tuple[Prediction, ...]:
        """Nothing is said."""
        return ()

    def predict_many(self, matrix: NDArray[np.float64]) -> dict[str, Answers]:
        """Nothing is said."""
        return {}


class OnnxPredictor:
    """Answers by ONNX models that were trained on the running feature set.

    `deadline_ms` None switches the deadline off: a replay must not depend on how busy the machine is.
    """

    def __init__(
        self,
        models: Iterable[ServedModel],
        feature_set: str,
        names: tuple[str, ...],
        deadline_ms: int | None,
        clock: Callable[[], float] = time.perf_counter,
    ) -> None:
        """Open all models; Refused when one of them was trained on other features than `names`."""
        self._names = names
        self._row = row_maker(names)
        self._deadline_s = math.inf if deadline_ms is None else deadline_ms / 1000
        self._clock = clock
        self._served: list[tuple[ServedModel, Session]] = []
        for model in models:
            if model.feature_set != feature_set or model.features != names:
                raise Refused(
                    f"model {model.name} ({model.version[:12]}) was trained on feature set {model.feature_set}, "
                    f"this desk runs {feature_set}: train it again with `whydesk train`"
                )
            self._served.append((model, Session(model.model, len(names))))
        self._forest = forest_of(
            [model.model for model, _ in self._served], [session for _, session in self._served], len(names)
        )

    def versions(self) -> dict[str, str]:
        """Served model names and the hashes of what answers for them."""
        return {model.name: model.version for model, _ in self._served}

    def predict(self, observation: Observation) -> tuple[Prediction, ...]:
        """One answer for each model. The deadline counts from the call, over all models in their order."""
        asked = self._clock()
        if not observation.features:
            return self._absent(f"warming up: {observation.have} of {observation.need} bars")
        try:
            row = self._row(observation.features)
        except KeyError as missing:
            return self._absent(f"feature {missing} is missing")
        if not np.isfinite(row).all():
            return self._absent(f"feature {self._names[int(np.argmin(np.isfinite(row[0])))]} is not finite")
        if self._forest is None:
            return tuple([self._ask(model, session, row, asked) for model, session in self._served])
        try:
            pairs = zip(self._served, self._forest.answers(row), strict=True)
        except Exception as error:  # noqa: BLE001 - whatever a runtime throws must not stop the desk
            return self._absent(_failed(error))
        return tuple([self._judge(model, answer, asked) for (model, _), answer in pairs])

    def predict_many(self, matrix: NDArray[np.float64]) -> dict[str, Answers]:
        """The answers for the rows of a feature matrix, by model; NaN where `predict` would be absent.

        Bit for bit what `predict` says of each row alone.
        """
        rows = rows32(matrix)
        whole = np.isfinite(rows).all(axis=1)
        found = {}
        for model, session in self._served:
            raw = np.full(len(rows), np.nan)
            raw[whole] = session.many(rows[whole])
            raw[~((raw >= 0) & (raw <= 1))] = np.nan
            found[model.name] = Answers(model.calibration.probabilities(raw), raw)
        return found

    def _ask(self, model: ServedModel, session: Session, row: Rows, asked: float) -> Prediction:
        try:
            answer = session.one(row)
        except Exception as error:  # noqa: BLE001 - whatever a runtime throws must not stop the desk
            return Prediction(model.name, model.version, None, _failed(error))
        return self._judge(model, answer, asked)

    def _judge(self, model: ServedModel, answer: float, asked: float) -> Prediction:
        late_s = self._clock() - asked
        if late_s > self._deadline_s:
            reason = f"late: {late_s * 1000:.0f} ms, the deadline is {self._deadline_s * 1000:.0f} ms"
            return Prediction(model.name, model.version, None, reason)
        if not 0 <= answer <= 1:
            return Prediction(model.name, model.version, None, f"answered {answer}, which is no probability")
        return Prediction(model.name, model.version, model.calibration.probability(answer), raw=answer)

    def _absent(self, reason: str) -> tuple[Prediction, ...]:
        return tuple(Prediction(model.name, model.version, None, reason) for model, _ in self._served)


def _failed(error: Exception) -> str:
    return f"failed: {(str(error).splitlines() or ['?'])[0]}"

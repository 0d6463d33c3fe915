"""One model file, ready to answer. The runtime is imported when the first model is opened, not before."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

from engine.core.domain.errors import BadInput
from engine.core.domain.market import Floats
from engine.core.maths.rows import Rows

_BATCH = 4096  # rows asked at once: bounds the memory of a long back-test
_TRIED = 67  # rows on which one at a time is held against all at once; odd, so that vector code has a rest


class Session:
    """An ONNX model with one float row in and one probability out, run in the calling thread.

    Trees are summed in the same order for one row and for many, so both agree bit for bit (seen for every batch
    size tried on x86). The sigmoid behind them is vector code of the processor at hand, so this is tried once when
    the model is opened; where it does not hold, many rows are asked one by one.
    """

    def __init__(self, model: bytes, features: int) -> None:
        """Open the model; BadInput when it cannot be read or does not take `features` numbers."""
        import onnxruntime

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.log_severity_level = 3
        try:
            session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
        except Exception as error:  # the runtime's own errors share no root below Exception
            raise BadInput(f"not a model that can be served: {_first_line(error)}") from error
        inputs, outputs = session.get_inputs(), session.get_outputs()
        if len(outputs) != 1 or [each.shape[1:] for each in inputs] != [[features]]:
            taken = " and ".join(str(each.shape[1:]) for each in inputs)
            raise BadInput(
                f"not a model that can be served: it takes {taken} numbers and gives "
                f"{len(outputs)} answers, expected [{features}] and 1"
            )
        self._input = inputs[0].name
        self._outputs = [outputs[0].name]
        self._session = session
        self._alike = self._agrees(features)

    def one(self, row: Rows) -> float:
        """The answer for a matrix of one row."""
        return float(self._run(row)[0, 0])

    def many(self, rows: Rows) -> Floats:
        """The answers for all rows, bit for bit those of `one`."""
        step = _BATCH if self._alike else 1
        answers = np.empty(len(rows), dtype=np.float64)
        for at in range(0, len(rows), step):
            answers[at : at + step] = self._run(rows[at : at + step])[:, 0]
        return answers

    def bound(self, rows: Rows, answers: Rows) -> Callable[[], None]:
        """What answers these `rows` into `answers`, as often as it is called: half of what `many` costs for a few.

        Both arrays must live as long as it does, and it is for one thread.
        """
        binding = self._session.io_binding()
        binding.bind_input(self._input, "cpu", 0, np.float32, rows.shape, rows.ctypes.data)
        binding.bind_output(self._outputs[0], "cpu", 0, np.float32, answers.shape, answers.ctypes.data)
        return partial(self._session.run_with_iobinding, binding)

    def _run(self, rows: Rows) -> Any:
        return self._session.run(self._outputs, {self._input: rows})[0]

    def _agrees(self, features: int) -> bool:
        rows = trying_rows(features)
        together = self._run(rows)[:, 0]
        return all(together[at] == self._run(rows[at : at + 1])[0, 0] for at in range(_TRIED))


def trying_rows(features: int) -> Rows:
    """Rows to try a model on, spread over where standardised features lie."""
    spread = np.linspace(-3.0, 3.0, _TRIED * features, dtype=np.float32)
    return np.ascontiguousarray(spread.reshape(features, _TRIED).T)


def _first_line(error: Exception) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0]

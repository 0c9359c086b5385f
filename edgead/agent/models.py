"""Models as the engine's groups use them: a package's network, and a window of rows for each group."""

import logging

import numpy as np

from edgead.errors import InvalidInput, ModelPackageError
from edgead.multivariate import Judgement, Scorer, interpretation
from edgead.multivariate.scoring import Scaled
from edgead.onnx import Session
from edgead.package import ModelPackage, self_test
from edgead.records import Contribution
from edgead.stream.group import GroupJudgement
from edgead.stream.join import JoinSettings

log = logging.getLogger("edgead")


class Model:
    """One verified package with its one session, shared by every group that uses it.

    Parameters
    ----------
    package : ModelPackage
        As read.

    Attributes
    ----------
    name : str
        Name and version.
    sha256 : str
        Of the package.
    session : Session
        Its network.
    failure : str
        Why the network failed on its last row; "" when it did not.

    Raises
    ------
    ModelPackageError
        If onnxruntime refuses it, or its self-test fails here.
    """

    def __init__(self, package: ModelPackage) -> None:
        session = Session(package.model)
        self_test(package, session)
        manifest = package.manifest
        self.name = f"{manifest.name}@{manifest.version}"
        self.sha256 = package.sha256
        self.spec = manifest
        self.failure = ""
        self.session = session
        self._scorer = Scorer(manifest, session)

    def scale(self, row: tuple[float, ...]) -> Scaled:
        """A row as the network reads it."""
        return self._scorer.scale(np.array(row))

    def judge(self, window: Scaled) -> Judgement | None:
        """Judge the last row of a window of scaled rows; None, told once, when the network fails on it."""
        try:
            judged = self._scorer.judge_scaled(window)
        except (ModelPackageError, InvalidInput) as error:
            if not self.failure:
                log.error("row not judged", extra={"fields": {"model": self.name, "reason": str(error)}})
            self.failure = str(error)
            return None
        self.failure = ""
        return judged


class Windowed:
    """A model with the last rows of one group: a ``stream.group.GroupModel``.

    Parameters
    ----------
    model : Model
    top : int, >= 1
        Contributors told at most.
    """

    def __init__(self, model: Model, *, top: int) -> None:
        spec = model.spec
        self.name, self.digest, self.variables = model.name, model.sha256, spec.names
        self.step_ns = round(spec.step_s * 1e9)
        self._model, self._top, self._rows = model, top, spec.window
        # twice the window: the rows move to the front once a window and are always one stretch of memory
        self._buffer = np.empty((2 * spec.window, len(spec.variables)), np.float32)
        self._end = 0
        self.nbytes = self._buffer.nbytes

    @property
    def needed(self) -> int:
        """Rows missing until rows are judged."""
        return max(self._rows - self._end, 0)

    def joining(self, max_gap_ns: int) -> JoinSettings:
        """How its rows are made."""
        align = self._model.spec.align
        return JoinSettings(
            variables=len(self.variables),
            step_ns=self.step_ns,
            mode=align.mode,
            fill=align.fill,
            padding_value=align.padding_value,
            max_gap_ns=max_gap_ns,
        )

    def judge(self, row: tuple[float, ...]) -> GroupJudgement | None:
        """Take the next row; None while the window is not full, or when the network failed."""
        if self._end == len(self._buffer):
            kept = self._rows - 1
            self._buffer[:kept] = self._buffer[-kept:]
            self._end = kept
        self._buffer[self._end] = self._model.scale(row)
        self._end += 1
        if self._end < self._rows:
            return None
        judged = self._model.judge(self._buffer[self._end - self._rows : self._end])
        if judged is None:
            return None
        top = interpretation(self.variables, judged.contributions, judged.correlation_change, self._top)
        contributions = tuple(Contribution(each.variable, each.contribution, each.changed) for each in top)
        return GroupJudgement(judged.score, judged.severity, contributions)

    def reset(self) -> None:
        """Forget the rows."""
        self._end = 0

    def dump(self) -> bytes:
        """The scaled rows of the window, float32."""
        return self._buffer[max(self._end - self._rows, 0) : self._end].astype("<f4").tobytes()

    def load(self, state: bytes) -> None:
        """Take the rows of a dump.

        Raises
        ------
        InvalidInput
            If they are not rows of this model.
        """
        width = 4 * len(self.variables)
        rows, rest = divmod(len(state), width)
        if rest or rows > self._rows:
            raise InvalidInput(f"window: {len(state)} bytes, expected at most {self._rows} rows of {width}")
        self._buffer[:rows] = np.frombuffer(state, "<f4").reshape(rows, len(self.variables))
        self._end = rows

"""A model of a group without a network: sums far from their mean of late are abnormal."""

import struct

from edgead.errors import InvalidInput
from edgead.records import Contribution
from edgead.stream.group import GroupJudgement
from edgead.stream.join import JoinSettings

S = 10**9


class ToyModel:
    """Judges the sum of a row against the mean sum of the window."""

    def __init__(self, variables: tuple[str, ...] = ("x", "y"), window: int = 8, digest: str = "toy") -> None:
        self.name, self.digest, self.variables, self.step_ns = "toy@1.0.0", digest, variables, S
        self.nbytes = 8 * window
        self._window = window
        self._sums: list[float] = []

    @property
    def needed(self) -> int:
        return self._window - len(self._sums)

    def joining(self, max_gap_ns: int) -> JoinSettings:
        return JoinSettings(variables=len(self.variables), step_ns=self.step_ns, max_gap_ns=max_gap_ns)

    def judge(self, row: tuple[float, ...]) -> GroupJudgement | None:
        self._sums = [*self._sums, sum(row)][-self._window :]
        if self.needed:
            return None
        score = abs(self._sums[-1] - sum(self._sums) / self._window) / 4.0
        top = tuple(Contribution(name, 1 / len(row)) for name in self.variables) if score >= 1.0 else ()
        return GroupJudgement(score, min(score / 10, 1.0) if top else 0.0, top)

    def reset(self) -> None:
        self._sums = []

    def dump(self) -> bytes:
        return struct.pack(f"<{len(self._sums)}d", *self._sums)

    def load(self, state: bytes) -> None:
        if len(state) > 8 * self._window:
            raise InvalidInput("window: too long")
        self._sums = list(struct.unpack(f"<{len(state) // 8}d", state))

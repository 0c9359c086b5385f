"""The streaming detector ``srcnn``: a network on the last rows of the C core, joined with what the core says itself.

A reading is judged in two steps, so that readings of many series can share one call of the network: `prepare` moves the
C state and the history on, which never depends on what the network says; `conclude` takes the network's answer, in
the order of the readings.  docs/algorithms.md says how both voices are joined.
"""

import struct
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgead.errors import InvalidInput
from edgead.native import ROWS_MAX_DAY, Fusion, RowHistory
from edgead.univariate.networks import Network

if TYPE_CHECKING:
    from edgead.univariate.streaming import DetectorSettings, Judgement

_HEAD = struct.Struct("<8s8sIII")
_MAGIC = b"EADCNN04"

#: Patches that a series remembers: with more of them nothing got better on the recordings.
PATCHES = 128
#: What `explain` says of the bound of the log-odds while there is none.
NO_BOUND = -7.0
#: Rows of the shortest day that has a profile.
LEAST_DAY = 24

#: What `prepare` leaves for `conclude`: what the core says of the reading, and the readings still missing after it.
Ticket = tuple[tuple[float, float, float, float, float, bool, float, float, float, bool], int]


def day_of(rows_per_day: int) -> int:
    """Rows of the daily profile: those of a day, or 0 where they are too few or too many for one."""
    return rows_per_day if LEAST_DAY <= rows_per_day <= ROWS_MAX_DAY else 0


def rows(values: NDArray[np.float64], window: int, rows_per_day: int = 0) -> NDArray[np.float32]:
    """Rows that a detector of this window makes of a whole series; float32, shape (count, channels).

    A row depends on the readings up to its own, and on nothing else.
    """
    return RowHistory(window, rows_per_day=day_of(rows_per_day), length=1).rows(values)


class SrcnnDetector:
    """See the module; a `BatchedDetector`.

    Parameters
    ----------
    settings : DetectorSettings
        Window, sensitivity, gates and the rows of a day.
    network : Network
        Shared with other series.
    """

    def __init__(self, settings: "DetectorSettings", network: Network) -> None:
        self.network = network
        self.model = network.name
        self._length, self._day = network.shape[1], day_of(settings.rows_per_day)
        self._rows = RowHistory(
            settings.window,
            rows_per_day=self._day,
            length=self._length,
            sensitivity=settings.sensitivity,
            min_abs=settings.min_abs,
            min_rel=settings.min_rel,
            direction=settings.direction,
        )
        self._fusion = Fusion(
            network.embedding,
            PATCHES,
            sensitivity=settings.sensitivity,
            min_abs=settings.min_abs,
            min_rel=settings.min_rel,
            direction=settings.direction,
        )
        self.needed = self._rows.needed

    @property
    def nbytes(self) -> int:
        """Memory of the state."""
        return self._rows.nbytes + self._fusion.nbytes

    def judge(self, value: float, missing: int) -> "Judgement":
        """Judge one reading alone; see `StreamingDetector.judge`."""
        history = np.empty((1, *self.network.shape), np.float32)
        ticket = self.prepare(value, missing, history[0])
        scores, embeddings = self.network.judge(history)
        return self.conclude(ticket, scores[0], embeddings[0])

    def prepare(self, value: float, missing: int, history: NDArray[np.float32]) -> Ticket:
        """Take a reading in; see `BatchedDetector.prepare`."""
        return self._rows.judge(value, missing, history), self._rows.needed

    def conclude(self, ticket: Ticket, score: float, embedding: NDArray[np.float32]) -> "Judgement":
        """Judge a reading by the network's answer; see `BatchedDetector.conclude`.

        Where the network failed the core's own verdict stands.
        """
        row, self.needed = ticket
        if score != score:  # NaN
            return row[:6]
        try:
            return self._fusion.judge(row, score, embedding)
        except InvalidInput as error:  # an embedding that is not finite
            self.network.failure = f"{self.model}: {error}"
            return row[:6]

    def prepare_many(
        self, values: NDArray[np.float64], missing: NDArray[np.int64], histories: NDArray[np.float32]
    ) -> NDArray[np.float64]:
        """Take readings in; see `BatchedDetector.prepare_many`."""
        return self._rows.judge_many(values, missing, histories)

    def conclude_many(
        self, rows: NDArray[np.float64], scores: NDArray[np.float32], embeddings: NDArray[np.float32]
    ) -> NDArray[np.float64]:
        """Judge readings by the network's answers; see `BatchedDetector.conclude_many`."""
        told, done = rows[:, :6].copy(), 0
        while done < len(rows):
            judged = self._fusion.judge_many(rows[done:], scores[done:], embeddings[done:])
            told[done : done + len(judged)] = judged
            done += len(judged)
            if done < len(rows):  # a number that is none
                *row, needed = rows[done].tolist()
                self.conclude((tuple(row), int(needed)), float(scores[done]), embeddings[done])
                done += 1
        self.needed = int(rows[-1, -1])
        return told

    def revise(self, age: int, value: float) -> None:
        """See `StreamingDetector.revise`."""
        self._rows.revise(age, value)

    def explain(self) -> dict[str, float | str]:
        """See `StreamingDetector.explain`."""
        return self._rows.explain() | self._fusion.explain()

    @property
    def heeded(self) -> bool:
        """See `BatchedDetector`: log-odds have no bound before enough of them are known."""
        return self._fusion.explain()["log_odds_bound"] > NO_BOUND

    def dump_told(self) -> bytes:
        """See `BatchedDetector.dump_told`."""
        return self._tongue + self._fusion.dump()

    def load_told(self, data: bytes) -> None:
        """See `BatchedDetector.load_told`."""
        if data[: len(self._tongue)] != self._tongue:
            raise InvalidInput(f"dump of srcnn: not of the network {self.model}")
        self._fusion.load(data[len(self._tongue) :])

    def dump(self) -> bytes:
        """See `StreamingDetector.dump`."""
        rows = self._rows.dump()
        head = _HEAD.pack(_MAGIC, self._tongue, self._length, self._day, len(rows))
        return head + rows + self._fusion.dump()

    @property
    def _tongue(self) -> bytes:
        """What the memory is told in: the embeddings of one network mean nothing to another."""
        return bytes.fromhex(self.network.sha256[:16])

    def load(self, data: bytes) -> None:
        """See `StreamingDetector.load`; of the state of another network, all but what that network told."""
        if len(data) < _HEAD.size:
            raise InvalidInput(f"dump of srcnn: {len(data)} bytes, expected at least {_HEAD.size}")
        magic, tongue, length, day, size = _HEAD.unpack_from(data)
        if (magic, length, day) != (_MAGIC, self._length, self._day):
            raise InvalidInput(
                f"dump of srcnn: expected version {_MAGIC!r} of {self._length} rows and days of {self._day}"
            )
        rows, fusion = data[_HEAD.size : _HEAD.size + size], data[_HEAD.size + size :]
        before = self._rows.dump()
        self._rows.load(rows)
        try:
            if tongue == self._tongue:
                self._fusion.load(fusion)
        except InvalidInput:
            self._rows.load(before)
            raise
        self.needed = self._rows.needed


def judge_series(
    values: NDArray[np.float64], detector: SrcnnDetector, *, together: int = 256
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Judge readings one after another, so many of them through one call of the network.

    Returns
    -------
    (ndarray of float64, ndarray of bool)
        Scores and flags, as `SrcnnDetector.judge` gives them, bit for bit.
    """
    histories = np.empty((together, *detector.network.shape), np.float32)
    scores, flags = np.zeros(len(values)), np.zeros(len(values), np.bool_)
    for first in range(0, len(values), together):
        part = values[first : first + together].tolist()
        tickets = [detector.prepare(value, 0, histories[at]) for at, value in enumerate(part)]
        told, embeddings = detector.network.judge(histories[: len(part)])
        for at, ticket in enumerate(tickets):
            judged = detector.conclude(ticket, told[at], embeddings[at])
            scores[first + at], flags[first + at] = judged[0], judged[5]
    return scores, flags

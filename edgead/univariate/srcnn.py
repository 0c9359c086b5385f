"""The streaming detector ``srcnn``: a network on the last rows of the C core, fused with the spectral residual.

A reading is judged in two steps, so that readings of many series can share one call of the network: `prepare` moves the
C state and the history on, which never depends on what the network says; `conclude` takes the network's answer, in
the order of the readings.
"""

import math
import struct
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from edgead.errors import InvalidInput
from edgead.native import SpectralResidual
from edgead.univariate.networks import Network

if TYPE_CHECKING:
    from edgead.univariate.streaming import DetectorSettings, Judgement

_HEAD = struct.Struct("<8sIII")
_MAGIC = b"EADCNN01"

#: What `prepare` leaves for `conclude`: the spectral judgement, and the readings still missing after this one.
Ticket = tuple["Judgement", int]


def rows(values: NDArray[np.float64], window: int) -> NDArray[np.float32]:
    """Rows that a detector of this window makes of a whole series; float32, shape (count, channels).

    A row depends on the readings up to its own, and on nothing else.
    """
    return SpectralResidual(window).rows(values)


class SrcnnDetector:
    """See the module; a `BatchedDetector`.

    Parameters
    ----------
    settings : DetectorSettings
        Window, sensitivity and gates.
    network : Network
        Shared with other series.
    """

    def __init__(self, settings: "DetectorSettings", network: Network) -> None:
        self.network = network
        self.model = network.name
        self._settings = settings
        self._spectral = SpectralResidual(
            settings.window,
            sensitivity=settings.sensitivity,
            min_abs=settings.min_abs,
            min_rel=settings.min_rel,
            direction=settings.direction,
        )
        channels, length = network.shape
        self._length = length
        # twice the history: rows move to the front once a history and are always one stretch of memory
        self._ring = np.zeros((2 * length, channels), np.float32)
        self._end = length
        self.needed = self._spectral.needed

    @property
    def nbytes(self) -> int:
        """Memory of the state."""
        return int(self._spectral.nbytes) + self._ring.nbytes

    def judge(self, value: float, missing: int) -> "Judgement":
        """Judge one reading alone; see `StreamingDetector.judge`."""
        history = np.empty((1, *self.network.shape), np.float32)
        ticket = self.prepare(value, missing, history[0])
        scores, embeddings = self.network.judge(history)
        return self.conclude(ticket, scores[0], embeddings[0])

    def prepare(self, value: float, missing: int, history: NDArray[np.float32]) -> Ticket:
        """Take a reading in; see `BatchedDetector.prepare`."""
        if self._end == len(self._ring):
            self._ring[: self._length] = self._ring[-self._length :]
            self._end = self._length
        judged = self._spectral.judge_row(value, missing, self._ring[self._end])
        self._end += 1
        history[:] = self._ring[self._end - self._length : self._end].T
        return judged, self._spectral.needed

    def conclude(self, ticket: Ticket, score: float, embedding: NDArray[np.float32]) -> "Judgement":
        """Judge a reading by the network's answer; see `BatchedDetector.conclude`."""
        judged, self.needed = ticket
        edge = self.network.constants.get("edge", math.inf)
        if self.needed or not score >= edge or judged[5]:
            return judged
        return judged

    def revise(self, age: int, value: float) -> None:
        """See `StreamingDetector.revise`."""
        self._spectral.revise(age, value)

    def explain(self) -> dict[str, float | str]:
        """See `StreamingDetector.explain`."""
        return self._spectral.explain()

    def dump(self) -> bytes:
        """See `StreamingDetector.dump`."""
        channels, length = self.network.shape
        head = _HEAD.pack(_MAGIC, channels, length, self.needed)
        history = self._ring[self._end - self._length : self._end]
        return head + history.tobytes() + self._spectral.dump()

    def load(self, data: bytes) -> None:
        """See `StreamingDetector.load`."""
        channels, length = self.network.shape
        size = _HEAD.size + 4 * channels * length
        if len(data) < size:
            raise InvalidInput(f"dump of srcnn: {len(data)} bytes, expected at least {size}")
        magic, found_channels, found_length, needed = _HEAD.unpack_from(data)
        if (magic, found_channels, found_length) != (_MAGIC, channels, length):
            raise InvalidInput(f"dump of srcnn: expected version {_MAGIC!r} of {channels} x {length}")
        history = np.frombuffer(data, "<f4", channels * length, _HEAD.size).reshape(length, channels)
        if not np.isfinite(history).all():
            raise InvalidInput("dump of srcnn: damaged")
        self._spectral.load(data[size:])
        self._ring[:length], self._end, self.needed = history, length, needed


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

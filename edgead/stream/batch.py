"""Readings of many series that are due together, judged through one call of their network."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, cast

from edgead.univariate.streaming import BatchedDetector, Judgement, StreamingDetector

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from edgead.stream.outcome import Outcome
    from edgead.univariate.networks import Network

#: Readings that wait at most: 256 histories of 63 rows and 14 channels are 0.9 MB.
MOST = 256

#: Takes the judgement of a reading, and whether the detector is ready after it.
Take = Callable[[Judgement, bool, "Outcome"], None]


class Batch:
    """Readings in the order they were released, each with what waits for its judgement.

    All readings of a call wait here, also those that need no network, so that verdicts, events and what groups are
    fed keep their order.
    """

    __slots__ = ("_histories", "_networks", "_rows", "_waiting")

    def __init__(self) -> None:
        self._waiting: list[tuple[Take, BatchedDetector | None, Any, int]] = []
        self._networks: list[Network] = []
        self._histories: list[NDArray[np.float32]] = []
        self._rows: list[int] = []

    def add(
        self, detector: StreamingDetector, value: float, missing: int, take: Take, out: "Outcome"
    ) -> None:
        """Have a reading judged; `take` gets the judgement, now or with the others."""
        network: Network | None = getattr(detector, "network", None)
        if network is None:
            judgement = detector.judge(value, missing)
            self._waiting.append((take, None, (judgement, detector.needed == 0), 0))
        else:
            batched = cast(BatchedDetector, detector)
            place, row = self._place(network)
            ticket = batched.prepare(value, missing, self._histories[place][row])
            self._waiting.append((take, batched, ticket, place * MOST + row))
        if len(self._waiting) >= MOST:
            self.judge(out)

    def _place(self, network: "Network") -> tuple[int, int]:
        """A free row among the histories of a network."""
        import numpy as np

        if network not in self._networks:
            self._networks.append(network)
            self._histories.append(np.empty((MOST, *network.shape), np.float32))
            self._rows.append(0)
        place = self._networks.index(network)
        row = self._rows[place]
        self._rows[place] += 1
        return place, row

    def judge(self, out: "Outcome") -> None:
        """Call the networks, and give every reading its judgement, in order."""
        if not self._waiting:
            return
        waiting, self._waiting = self._waiting, []
        answers = [
            network.judge(histories[:rows])
            for network, histories, rows in zip(self._networks, self._histories, self._rows, strict=True)
        ]
        self._rows = [0] * len(self._rows)
        if len(self._networks) > 1:  # another package came into use, and the one before may be gone
            self._networks, self._histories, self._rows = [], [], []
        for take, detector, ticket, at in waiting:
            if detector is None:
                judgement, ready = ticket
                take(judgement, ready, out)
                continue
            scores, embeddings = answers[at // MOST]
            row = at % MOST
            judgement = detector.conclude(ticket, scores[row], embeddings[row])
            take(judgement, detector.needed == 0, out)

"""The simulated plant on the wire: publishes its readings over MQTT at the pace of the demo."""

import threading
import time
from collections.abc import Callable

import msgspec

from edgead.simulate import Scenario

#: Publishes one message (topic, payload); may wait for the broker.
Publish = Callable[[str, bytes], None]


def topic_of(series_id: str) -> str:
    """``pump.flow`` -> ``plant/pump/flow``."""
    return "plant/" + series_id.replace(".", "/", 1)


class Plant(threading.Thread):
    """Publishes a scenario row by row.

    Parameters
    ----------
    scenario : Scenario
    publish : callable
        Takes one message; waits when the broker is behind, so that a slow machine makes the demo longer, never lossy.
    rows_per_s : float, > 0
        Pace.

    Attributes
    ----------
    row : int
        Rows published so far.
    error : Exception or None
        What ended the plant early.
    """

    def __init__(self, scenario: Scenario, publish: Publish, rows_per_s: float) -> None:
        super().__init__(name="plant", daemon=True)
        self._scenario = scenario
        self._publish = publish
        self._rows_per_s = rows_per_s
        self._halt = threading.Event()
        self.row = 0
        self.error: Exception | None = None

    def run(self) -> None:
        """Publish every row at its moment, or as soon after it as the broker lets us."""
        try:
            self._play()
        except Exception as error:  # a thread's exception would only be printed: the demo has to end with it
            self.error = error

    def _play(self) -> None:
        encode = msgspec.json.Encoder().encode
        topics = {series_id: topic_of(series_id) for series_id in self._scenario.columns}
        width = len(topics)
        start = time.monotonic()
        for count, reading in enumerate(self._scenario.readings()):
            row, column = divmod(count, width)
            if column == 0:
                self.row = row
                ahead = start + row / self._rows_per_s - time.monotonic()
                if self._halt.wait(ahead) if ahead > 0 else self._halt.is_set():
                    return
            message = {"ts": reading.time_ns // 1_000_000, "value": reading.value}
            self._publish(topics[reading.series_id], encode(message))
        self.row = self._scenario.rows

    def stop(self) -> None:
        """End early; returns when the last message is out of our hands."""
        self._halt.set()
        self.join(timeout=5.0)

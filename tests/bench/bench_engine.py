"""What the engine costs a reading, beside the detector's C call, by number of series.

Rounds of all sizes are interleaved in one process; the figure is the median round.  A detector that answers at once
stands in for the C call in the first column.  ``python tests/bench/bench_engine.py``.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from edgead.records import Reading
from edgead.stream import Engine, EngineSettings, SeriesSettings
from edgead.univariate.streaming import DetectorSettings, make_detector

S = 10**9
BATCH = 256
ANSWER = (0.1, 0.0, 0.0, -1.0, 1.0, False)


class Instant:
    """Answers at once."""

    model, needed, nbytes = "instant@1", 0, 0

    def judge(self, value: float, missing: int) -> tuple[float, float, float, float, float, bool]:
        """Always the same."""
        return ANSWER


class Plant:
    """An engine with so many series, and readings for it, row by row."""

    def __init__(self, series: int, *, instant: bool, window: int, detector: str) -> None:
        self.engine = Engine(EngineSettings(node="n", max_series=10**6, memory_budget_bytes=2**62))
        self.ids = [f"plant.m{i}.v" for i in range(series)]
        settings = SeriesSettings(detector=detector, judging=DetectorSettings(window=window))
        for series_id in self.ids:
            self.engine.add(series_id, "t", settings, 0)
            if instant:
                self.engine.series[series_id].detector = Instant()  # type: ignore[assignment]
                self.engine.series[series_id].ready = True
        self.engine.settle(0)
        self.count = 0

    def feed(self, readings: int) -> float:
        """CPU microseconds a reading."""
        spent = 0.0
        ids, many = self.ids, len(self.ids)
        for first in range(0, readings, BATCH):
            batch = [
                Reading(ids[k % many], 10**18 + k // many * S, (k * 7919 % 100) / 50.0)
                for k in range(self.count, self.count + BATCH)
            ]
            self.count += BATCH
            before = time.thread_time()
            self.engine.feed(batch, 10**18 + self.count)
            spent += time.thread_time() - before
            if first % 2048 == 0:
                self.engine.settle(1)
        return 1e6 * spent / readings


def c_call(window: int, readings: int) -> float:
    """CPU microseconds of the detector's call from Python, one series."""
    judge = make_detector("spectral-residual", DetectorSettings(window=window)).judge
    values = [(k * 7919 % 100) / 50.0 for k in range(readings)]
    before = time.thread_time()
    for value in values:
        judge(value, 0)
    return 1e6 * (time.thread_time() - before) / readings


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--readings", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--window", type=int, default=1440)
    parser.add_argument("--detector", default="spectral-residual", help="of all series")
    parser.add_argument("--series", type=int, nargs="*", default=[10, 100, 1000, 10_000])
    options = parser.parse_args()
    plants = {
        (count, instant): Plant(count, instant=instant, window=options.window, detector=options.detector)
        for count in options.series
        for instant in (True, False)
    }
    each = max(BATCH, options.readings // options.rounds)
    costs: dict[tuple[int, bool], list[float]] = {key: [] for key in plants}
    calls = []
    for _ in range(options.rounds):
        calls.append(c_call(options.window, each))
        for key, plant in plants.items():
            costs[key].append(plant.feed(each))
    print(f"C call from Python, window {options.window}: {statistics.median(calls):.2f} us a reading")
    print("series   engine alone   with the detector   (us of CPU a reading)")
    first = None
    for count in options.series:
        alone, whole = (statistics.median(costs[count, instant]) for instant in (True, False))
        first = first or (alone, whole)
        print(
            f"{count:6d}   {alone:5.2f} ({alone / first[0]:4.2f}x)   {whole:6.2f} ({whole / first[1]:4.2f}x)"
        )


if __name__ == "__main__":
    main()

"""What the engine costs a reading, beside the detector's C call, by number of series.

Rounds of all sizes are interleaved in one process; the figure is the median round.  A detector that answers at once
stands in for the C call in the first column.  ``python tests/bench/bench_engine.py``.  ``--beside`` (with ``--detector
srcnn``): what a network in its shadow run costs on top, and in memory.
"""

import argparse
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from edgead.agent.beside import NetworkPair
from edgead.agent.network import NetworkInUse
from edgead.agent.vitals import resident_bytes
from edgead.config import Config, SeriesConfig
from edgead.records import Reading
from edgead.shipped import shipped
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

    def __init__(
        self, series: int, *, instant: bool, window: int, detector: str, beside: bool = False
    ) -> None:
        self.engine = Engine(EngineSettings(node="n", max_series=10**6, memory_budget_bytes=2**62))
        self.ids = [f"plant.m{i}.v" for i in range(series)]
        settings = SeriesSettings(detector=detector, judging=DetectorSettings(window=window))
        for series_id in self.ids:
            self.engine.add(series_id, "t", settings, 0)
            if instant:
                self.engine.series[series_id].detector = Instant()  # type: ignore[assignment]
                self.engine.series[series_id].ready = True
        self.engine.settle(0)
        self.count = self.beside_bytes = 0
        if beside:
            before = resident_bytes()
            in_use = NetworkInUse(Config(series=(SeriesConfig(topic="t", detector=detector),)))
            self.pair = NetworkPair(in_use, self.engine, shipped("srcnn"), 10**9, {})
            self.beside_bytes = resident_bytes() - before

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
            self.engine.judge_unheard()
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
    parser.add_argument("--beside", action="store_true", help="a network in its shadow run, too")
    options = parser.parse_args()
    kinds = {
        "engine": {"instant": True},
        "whole": {"instant": False},
        **({"beside": {"instant": False, "beside": True}} if options.beside else {}),
    }
    plants = {
        (count, kind): Plant(count, window=options.window, detector=options.detector, **how)
        for count in options.series
        for kind, how in kinds.items()
    }
    each = max(BATCH, options.readings // options.rounds)
    costs: dict[tuple[int, str], list[float]] = {key: [] for key in plants}
    calls = []
    for _ in range(options.rounds):
        calls.append(c_call(options.window, each))
        for key, plant in plants.items():
            costs[key].append(plant.feed(each))
    print(f"C call from Python, window {options.window}: {statistics.median(calls):.2f} us a reading")
    print("series   engine alone   with the detector   (us of CPU a reading)")
    first = None
    for count in options.series:
        alone, whole = (statistics.median(costs[count, kind]) for kind in ("engine", "whole"))
        first = first or (alone, whole)
        print(
            f"{count:6d}   {alone:5.2f} ({alone / first[0]:4.2f}x)   {whole:6.2f} ({whole / first[1]:4.2f}x)"
        )
        if options.beside:
            more, plant = statistics.median(costs[count, "beside"]), plants[count, "beside"]
            print(
                f"         a network beside: {more:.2f} ({more / whole:.2f}x), {plant.beside_bytes / 2**20:.1f} MiB"
            )


if __name__ == "__main__":
    main()

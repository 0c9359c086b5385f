"""Hours in the life of a series, through the engine: what is told, and what is learned from it."""

import json
from pathlib import Path

import numpy as np
import pytest

from edgead.cli import call
from edgead.records import Reading
from edgead.stream import Engine, EngineSettings, SeriesSettings
from edgead.univariate import make_detector

S = 10**9
T0 = 1_700_000_000 * S
DETECTORS = ("srcnn", "spectral-residual", "default")


def normal(rows: int, seed: int) -> np.ndarray:
    """An hourly cycle of a machine read once a second, with noise of deviation 1."""
    rng = np.random.default_rng(seed)
    return 50.0 + 4.0 * np.sin(2 * np.pi * np.arange(rows) / 900.0) + rng.standard_normal(rows)


def life(values: np.ndarray, detector: str, **settings: object) -> tuple[list[int], list[int]]:
    """Rows at which events open, and rows at which they close."""
    engine = Engine(EngineSettings())
    engine.add("s", "t", SeriesSettings(detector=detector, allowed_lateness_ns=0, **settings), T0)
    opened, closed = [], []
    for first in range(0, len(values), 256):
        part = values[first : first + 256].tolist()
        out = engine.feed([Reading("s", T0 + (first + at) * S, v) for at, v in enumerate(part)], T0)
        engine.settle(0)
        for event in out.events:
            row = (event.verdict.time_ns - T0) // S
            {"open": opened, "close": closed}.get(event.event, []).append(row)
    return opened, closed


def found(opened: list[int], start: int, within: int = 8) -> bool:
    return any(start <= row < start + within for row in opened)


@pytest.mark.parametrize("detector", DETECTORS)
@pytest.mark.parametrize("kind", ["level", "noise", "frozen", "spikes"])
def test_after_an_hour_of_anomaly_the_next_one_is_still_found(detector: str, kind: str):
    values, fault = normal(12_000, 1), slice(5000, 8600)
    rng = np.random.default_rng(2)
    if kind == "level":
        values[fault] += 15.0
    elif kind == "noise":
        values[fault] += 6.0 * rng.standard_normal(3600)
    elif kind == "frozen":
        values[fault] = values[4999]
    else:
        values[fault][::150] += 25.0
    for at in (9500, 10_500, 11_500):
        values[at] += (
            40.0 if kind == "spikes" else 14.0
        )  # ninety spikes of 25 in an hour make one of 14 usual
    opened, _ = life(values, detector)
    assert found(opened, 5000, 60), f"the anomaly itself: {opened}"
    hits = sum(found(opened, at) for at in (9500, 10_500, 11_500))
    assert hits >= 2, f"those after it: {opened}"


@pytest.mark.parametrize("detector", DETECTORS)
def test_a_lasting_change_is_accepted_within_a_thousand_readings(detector: str):
    """docs/algorithms.md: what lasts 1000 readings is normal."""
    values = normal(14_000, 3)
    values[6000:] += 20.0
    opened, closed = life(values, detector)
    assert found(opened, 6000, 4)
    assert any(6000 <= row < 7000 for row in closed)
    later = [row for row in opened if row >= 7000]
    assert len(later) <= 14, "twice the budget in 7000 readings"
    values[13_000] += 16.0
    assert found(life(values, detector)[0], 13_000)


@pytest.mark.parametrize("detector", DETECTORS)
def test_anomalies_that_come_slowly_closer_poison_nothing(detector: str):
    """A spike every 200 readings, each larger than the one before, for three hours: a still larger one is found."""
    values = normal(16_000, 4)
    for number, at in enumerate(range(3000, 14_000, 200)):
        values[at] += 4.0 + 0.4 * number
    values[15_000] += 30.0
    opened, _ = life(values, detector)
    spikes = sum(found(opened, at) for at in range(9000, 14_000, 200))
    assert spikes >= 15, f"{spikes} of the 25 largest"
    assert found(opened, 15_000)


@pytest.mark.parametrize("detector", ["srcnn", "default"])
def test_a_series_of_bursts_is_told_five_times_its_budget_and_still_of_what_is_no_burst(detector: str):
    """A burst every hundred readings, of sizes without a limit; then a minute of zeros, and a step that stays."""
    values, rng = normal(16_000, 0), np.random.default_rng(0)
    for at in np.flatnonzero(rng.random(15_000) < 0.01).tolist():
        if at > 3000:
            values[at : at + int(rng.integers(1, 6))] += 8.0 + 20.0 * rng.pareto(1.2)
    values[15_000:15_060] = 0.0
    values[15_200:] += 400.0
    opened, _ = life(values, detector)
    assert sum(3000 < row < 15_000 for row in opened) <= 60
    assert found(opened, 15_000)
    assert found(opened, 15_200)


@pytest.mark.parametrize("detector", DETECTORS)
def test_relearn_forgets_what_was_learned_and_learns_it_again(detector: str):
    values = normal(3000, 5)
    engine = Engine(EngineSettings())
    settings = SeriesSettings(detector=detector, allowed_lateness_ns=0)
    engine.add("s", "t", settings, T0)
    rows = [Reading("s", T0 + at * S, v) for at, v in enumerate(values.tolist())]
    engine.feed(rows[:1500], T0)
    assert engine.series["s"].ready
    engine.command("relearn", "s", T0)
    series = engine.series["s"]
    assert not series.ready
    assert series.detector.dump() == make_detector(detector, settings.judging).dump()
    engine.feed(rows[1500:], T0)
    assert engine.series["s"].ready


@pytest.mark.parametrize("detector", DETECTORS)
def test_memory_of_a_series_does_not_grow_with_its_readings(detector: str):
    values, made = normal(9000, 6), make_detector(detector, SeriesSettings().judging)
    told, dumped = made.nbytes, []
    for at, value in enumerate(values.tolist()):
        made.judge(value, 0)
        if at in (2000, 8999):
            dumped.append(len(made.dump()))
    assert made.nbytes == told
    assert dumped[0] == dumped[1] <= told + 4096


@pytest.mark.parametrize("detector", DETECTORS)
def test_detect_tells_of_a_recording_what_the_engine_tells_row_by_row(
    detector: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    values = normal(2500, 7)
    values[1800:1830] += 12.0
    values[2200] -= 15.0
    lines = ["timestamp,value", *(f"{T0 // S + at},{value!r}" for at, value in enumerate(values.tolist()))]
    (tmp_path / "r.csv").write_text("\n".join(lines) + "\n")
    assert call(["detect", str(tmp_path / "r.csv"), "--detector", detector, "--format", "json"]) == 0
    batch = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    engine = Engine(EngineSettings())
    engine.add("value", "t", SeriesSettings(detector=detector), T0)
    stream = []
    for at, value in enumerate(values.tolist()):
        stream += engine.feed([Reading("value", T0 + at * S, value)], T0 + at * S).verdicts
    stream += engine.flush().verdicts
    assert [row["score"] for row in batch] == [verdict.score for verdict in stream]
    assert [row["is_anomaly"] for row in batch] == [verdict.is_anomaly for verdict in stream]
    assert any(row["is_anomaly"] for row in batch)

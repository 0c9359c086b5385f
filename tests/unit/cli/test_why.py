"""What `edgead why` says set the score, where more than the light detector looked at a reading."""

import msgspec
import numpy as np
import pytest

from edgead.cli.why import describe
from edgead.records import Verdict
from edgead.stream.why import Explanation
from edgead.univariate import DetectorSettings, make_detector

DAY = 288


def explanation(parts: dict[str, float | str], score: float) -> Explanation:
    verdict = Verdict("a", 1_700_000_000 * 10**9, 21.5, 20.9, 20.1, 21.3, score, 0.5, score >= 1, "ready")
    return Explanation(verdict, parts, 0, 0, {}, "", 0, [])


@pytest.fixture(scope="module")
def by_the_day() -> Explanation:
    """A reading of which the profile of the day thinks worse than every view of the moment."""
    rng = np.random.default_rng(3)
    at = np.arange(DAY * 7)
    values = 50 + 10 * np.sin(2 * np.pi * at / DAY) + 0.3 * rng.standard_normal(at.size)
    values[-150:-110] += 1.2 * np.minimum(1, np.arange(40) / 10)
    detector = make_detector("srcnn", DetectorSettings(rows_per_day=DAY))
    for value in values:
        score = detector.judge(float(value), 0)[0]
        parts = detector.explain()
        view = parts["view"]
        if score > 0.6 and score > 1.2 * parts[view] / parts[f"{view}_bound"] and not parts["network"]:
            return explanation(parts, score)
    raise AssertionError("no such reading")


def decided(told: Explanation) -> str:
    (line,) = [line for line in describe(told) if line.endswith("<- decided")]
    return line.strip()


def test_the_profile_of_the_day_decided(by_the_day: Explanation):
    assert decided(by_the_day).startswith("the distance from this time of other days: ")


def test_the_network_decided(by_the_day: Explanation):
    told = explanation(by_the_day.parts | {"network": 1.0, "log_odds": -1.5, "log_odds_bound": -2.0}, 1.3)
    assert decided(told) == "what the network says of the last readings: -1.5 log-odds, limit -2  <- decided"


def test_a_view_decided(by_the_day: Explanation):
    parts = by_the_day.parts
    ratio = float(parts[parts["view"]]) / float(parts[f"{parts['view']}_bound"])
    assert "the distance from this time of other days" not in "".join(describe(explanation(parts, ratio)))


def test_a_network_without_a_limit_yet_had_no_say(by_the_day: Explanation):
    told = msgspec.structs.replace(by_the_day, parts=by_the_day.parts | {"log_odds_bound": -7.0})
    assert "the network" not in "".join(describe(told))

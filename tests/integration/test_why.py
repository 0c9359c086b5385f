"""``edgead why`` answers from the state directory why an alarm, and why none."""

import json
from pathlib import Path

import pytest

from edgead.cli import call
from edgead.config import load
from tests.integration.test_status import CONFIG, START_NS, Device


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "gw.toml"
    path.write_text(CONFIG)
    device = Device(load(path))
    for second in range(400):
        value = 80 if second == 390 else 20 + second % 3 / 10
        body = {"ts": START_NS // 10**6 + second * 1000, "value": value}
        device.take("plant/press1/temp", json.dumps(body), second)
        if second == 200:
            device.saving.commit(START_NS, everything=True)
    device.saving.commit(START_NS)
    device.saving.close()
    return path


def why(config: Path, capfd: pytest.CaptureFixture[str], *arguments: str) -> tuple[int, str, str]:
    code = call(["why", *arguments, "-c", str(config)])
    out, err = capfd.readouterr()
    return code, out, err


def test_an_alarm_is_explained_in_words(config: Path, capfd: pytest.CaptureFixture[str]):
    code, out, _ = why(config, capfd, "press1.temp", str(START_NS // 10**9 + 390))
    assert code == 0
    assert "press1.temp at 2023-11-14T22:19:50Z: 80 degC is abnormal" in out
    assert "<- decided" in out
    assert "an anomaly is open since 2023-11-14T22:19:50Z" in out


def test_no_alarm_is_explained_too(config: Path, capfd: pytest.CaptureFixture[str]):
    code, out, _ = why(config, capfd, "press1.temp", "2023-11-14T22:18:00Z")
    assert code == 0
    assert "is normal" in out
    assert "no anomaly is open" in out


def test_the_same_as_json(config: Path, capfd: pytest.CaptureFixture[str]):
    code, out, _ = why(config, capfd, "press1.temp", "--json")
    assert code == 0
    told = json.loads(out)
    assert told["verdict"]["series_id"] == "press1.temp"
    assert told["gates"]["direction"] == "both"
    assert {"network", "log_odds", "log_odds_bound"} <= set(told["parts"])


def test_what_cannot_be_explained_any_more_is_said(config: Path, capfd: pytest.CaptureFixture[str]):
    code, _, err = why(config, capfd, "press1.temp", "2023-11-14T22:13:30Z")
    assert code == 2
    assert "no reading at or before 2023-11-14T22:13:30Z that the state directory still explains" in err


def test_an_unknown_series_is_told_the_nearest_name(config: Path, capfd: pytest.CaptureFixture[str]):
    code, _, err = why(config, capfd, "pres1.temp")
    assert code == 2
    assert "did you mean 'press1.temp'?" in err


def test_a_time_that_is_none_is_said_so(config: Path, capfd: pytest.CaptureFixture[str]):
    code, _, err = why(config, capfd, "press1.temp", "yesterday")
    assert code == 2
    assert "TIME 'yesterday': expected ISO 8601" in err


def test_the_milliseconds_of_an_event_find_its_reading_though_it_has_a_finer_time(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
):
    config = tmp_path / "gw.toml"
    config.write_text(CONFIG)
    device = Device(load(config))
    for second in range(300):
        value = 80 if second == 290 else 20 + second % 3 / 10
        at_us = START_NS // 1000 + second * 10**6 + 427_913
        device.take("plant/press1/temp", json.dumps({"ts": at_us, "value": value}), second + 1)
    device.saving.commit(START_NS)
    device.saving.close()
    for told in (f"{START_NS // 10**6 + 290_427}", "2023-11-14T22:18:10.427Z"):
        assert "10.427Z: 80 degC is abnormal" in why(config, capfd, "press1.temp", told)[1]

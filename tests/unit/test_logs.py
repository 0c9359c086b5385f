"""One line an event, in text or JSON, with a rate limit that says what it left out."""

import json
import logging

import pytest

from edgead import logs


def lines(capsys: pytest.CaptureFixture[str]) -> list[str]:
    return capsys.readouterr().err.splitlines()


def test_text_lines_are_a_message_and_key_value_pairs(capsys: pytest.CaptureFixture[str], monkeypatch):
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    log = logs.set_up("info", "text")
    log.info("series refused", extra={"fields": {"series": "a", "reason": "too many"}})
    log.debug("not shown")
    assert lines(capsys) == ['info    series refused series=a reason="too many"']


def test_under_systemd_lines_carry_a_priority(capsys: pytest.CaptureFixture[str], monkeypatch):
    monkeypatch.setenv("JOURNAL_STREAM", "8:1")
    logs.set_up("info", "text").error("store", extra={"fields": {"kind": "full"}})
    assert lines(capsys) == ["<3>store kind=full"]


def test_json_lines_are_one_object_each(capsys: pytest.CaptureFixture[str]):
    logs.set_up("info", "json").warning("odd", extra={"fields": {"a": 1}})
    (line,) = lines(capsys)
    assert {key: value for key, value in json.loads(line).items() if key != "ts"} == {
        "level": "warning",
        "message": "odd",
        "a": 1,
    }


def test_a_flood_of_one_message_is_cut_and_counted(capsys: pytest.CaptureFixture[str], monkeypatch):
    now = [100.0]
    monkeypatch.setattr(logs.time, "monotonic", lambda: now[0])
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    log = logs.set_up("info", "text")
    for _ in range(500):
        log.warning("again")
    log.warning("something else")
    now[0] += 2.0
    log.warning("again")
    told = lines(capsys)
    assert told.count("warning again") == 10
    assert "warning something else" in told
    assert told[-1] == "warning again suppressed=490"


def test_the_agents_logger_does_not_reach_the_root_logger():
    assert logs.set_up("info", "text").propagate is False
    assert logging.getLogger("edgead").handlers

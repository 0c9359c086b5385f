"""Payloads that cannot be read, among good ones: set aside, acknowledged, and in nobody's way."""

import json
import random
from pathlib import Path

from edgead.bridge.tools import Publisher
from tests.agent_process import AgentProcess, Heard, wait_for
from tests.integration.test_main_job import CONFIG
from tests.mosquitto import Mosquitto

POISON = [
    b"",
    b"{",
    b"\xff\xfe\x00",
    b'{"value": "hot"}',
    b'{"value": {}}',
    b"[" * 5000,
    b'{"value": 1e999e}',
    b"\0" * 100,
]


def test_payloads_that_cannot_be_read_are_set_aside_and_block_nothing(tmp_path: Path):
    rng = random.Random(7)
    (tmp_path / "broker").mkdir()
    config = tmp_path / "gateway.toml"
    with Mosquitto(tmp_path / "broker", persistence=True) as broker:
        config.write_text(CONFIG.format(folder=tmp_path, port=broker.port, interval="1s"))
        with (
            Heard(broker.port, ["edgead/#"]) as heard,
            AgentProcess(config, tmp_path / "agent.log"),
            Publisher("127.0.0.1", broker.port) as publisher,
        ):
            bad = 0
            for i in range(1000):
                good = {"ts": 1_763_683_200_000 + i * 1000, "value": rng.gauss(0, 1)}
                publisher.publish("plant/press/v0", json.dumps(good).encode())
                if rng.random() < 0.3:
                    publisher.publish("plant/press/v0", rng.choice(POISON))
                    bad += 1
            publisher.drain()
            publisher.publish("edgead/gw1/cmd/ping/after", b"")
            wait_for(
                lambda: any(t == "edgead/gw1/cmd/ping/after/status" for t, _ in heard.messages), "answered"
            )
            state = "edgead/gw1/series/press.v0/state"
            wait_for(lambda: any(t == state for t, _ in heard.messages), "the good readings were judged")
            letters = [json.loads(p) for t, p in heard.messages if t == "edgead/gw1/deadletter"]
        assert 1 <= len(letters) <= bad
        assert {letter["topic"] for letter in letters} == {"plant/press/v0"}
        assert all(letter["cause"] and letter["error"] for letter in letters)

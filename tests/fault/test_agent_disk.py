"""A disk that takes nothing: told, survived without a restart, no event lost."""

import errno
import json
import os
import random
from pathlib import Path
from urllib.request import urlopen

import pytest

from edgead.bridge.tools import Publisher
from tests.agent_process import AgentProcess, Heard, in_order, wait_for
from tests.fault.store_faults import build
from tests.integration.test_main_job import CONFIG, detected
from tests.mosquitto import Mosquitto, free_port
from tests.recordings import START_MS


def write_recording(csv: Path, rows: int) -> list[tuple[int, float]]:
    """Noise with a peak every hundred rows."""
    rng = random.Random(5)
    values = [(START_MS + i * 1000, rng.gauss(0, 1) + 40.0 * (i % 100 == 99)) for i in range(rows)]
    csv.write_text("ts,v0\n" + "".join(f"{at},{value!r}\n" for at, value in values))
    return values


@pytest.mark.parametrize("error", [errno.ENOSPC, errno.EROFS, errno.EIO])
def test_a_disk_that_takes_nothing_is_told_and_loses_no_event(tmp_path: Path, error: int):
    (tmp_path / "broker").mkdir()
    csv, config, broken = tmp_path / "recording.csv", tmp_path / "gateway.toml", tmp_path / "broken"
    rows = write_recording(csv, 1500)
    http = free_port()
    shim = {
        "LD_PRELOAD": str(build(tmp_path)),
        "STORE_FAULTS_PREFIX": f"{tmp_path}/state/state.db",
        "STORE_FAULTS_WHILE": str(broken),
    }
    with Mosquitto(tmp_path / "broker", shipped=True) as broker:
        text = CONFIG.format(folder=tmp_path, port=broker.port, interval="1s")
        config.write_text(text.replace('listen = ""', f'listen = "127.0.0.1:{http}"'))
        expected = detected(csv, config, "press.v0", "v0")
        assert len(expected) >= 10
        with (
            Heard(broker.port, ["edgead/gw1/#"]) as heard,
            AgentProcess(config, tmp_path / "agent.log", shim) as agent,
            Publisher("127.0.0.1", broker.port) as publisher,
        ):

            def publish(part: list[tuple[int, float]]) -> None:
                for at, value in part:
                    publisher.publish("plant/press/v0", json.dumps({"ts": at, "value": value}).encode())
                publisher.drain()

            def problems() -> list[str]:
                try:
                    with urlopen(f"http://127.0.0.1:{http}/healthz", timeout=5) as answer:
                        return list(json.loads(answer.read())["problems"])
                except OSError:
                    return []

            publish(rows[:700])
            broken.write_text(str(error))
            publish(rows[700:1100])
            wait_for(lambda: any(each.startswith("store:") for each in problems()), "the trouble told")
            during = [e for e in expected if START_MS + 750_000 < int(str(e["ts"])) < START_MS + 1_050_000]
            wait_for(lambda: all(e in heard.events("press.v0") for e in during), "events told meanwhile")
            told = [line for line in agent.log.read_text().splitlines() if "store failed" in line]
            assert len(told) == len(set(told)), "one line a reason, not one a try"
            os.unlink(broken)
            wait_for(lambda: problems() == [], "recovered")
            publish(rows[1100:])
            wait_for(lambda: len(heard.events("press.v0")) >= len(expected), "all events told")
            assert heard.events("press.v0") == sorted(expected, key=in_order)
            agent.kill()
            agent.start()
            assert agent.stop() == 0
            assert heard.events("press.v0") == sorted(expected, key=in_order)

"""``edgead replay`` through a real broker."""

import json
import shutil
import subprocess
import time
from pathlib import Path

import pytest

from edgead.bridge.tools import Listener
from edgead.cli import call
from tests.mosquitto import Mosquitto


def replay(tmp_path: Path, count: int, text: str, *options: str) -> list[tuple[str, dict[str, float]]]:
    (tmp_path / "pump 1.csv").write_text(text)
    got: list[tuple[str, dict[str, float]]] = []
    with Mosquitto(tmp_path / "broker") as broker:

        def take(topic: str, payload: bytes) -> None:
            got.append((topic, json.loads(payload)))

        with Listener("127.0.0.1", broker.port, ["plant/#"], take) as listener:
            assert call(["replay", str(tmp_path / "pump 1.csv"), "--port", str(broker.port), *options]) == 0
            deadline = time.monotonic() + 10
            while len(got) < count and time.monotonic() < deadline:
                listener.check()
                time.sleep(0.01)
    return got


def test_rows_go_out_in_order_with_their_times(tmp_path: Path):
    text = "time,a,b/c\n1700000000,1.5,2\n1700000001,,3\n1700000002,0.1,\n"
    assert replay(tmp_path, 4, text, "--topic", "plant/{file}/{column}") == [
        ("plant/pump 1/a", {"ts": 1700000000000, "value": 1.5}),
        ("plant/pump 1/b_c", {"ts": 1700000000000, "value": 2}),
        ("plant/pump 1/b_c", {"ts": 1700000001000, "value": 3}),
        ("plant/pump 1/a", {"ts": 1700000002000, "value": 0.1}),
    ]


def test_times_finer_than_a_millisecond_go_as_nanoseconds(tmp_path: Path):
    got = replay(tmp_path, 2, "ts,a\n1700000000.000001,1\n1700000001,2\n", "--topic", "plant/a")
    assert [message["ts"] for _, message in got] == [1700000000000001000, 1700000001000000000]


def test_a_file_without_times_sends_none_unless_asked(tmp_path: Path):
    assert replay(tmp_path, 2, "a\n1\n2\n", "--topic", "plant/a") == [
        ("plant/a", {"value": 1}),
        ("plant/a", {"value": 2}),
    ]
    got = replay(tmp_path, 2, "a\n1\n2\n", "--topic", "plant/a", "--interval", "5s")
    assert got[1][1]["ts"] - got[0][1]["ts"] == 5000


def test_a_rate_paces_the_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    replay(tmp_path, 21, "a\n" + "1\n" * 21, "--topic", "plant/a", "--rate", "100")
    printed = capsys.readouterr().err
    assert "21 messages on 1 topics in" in printed
    assert float(printed.split(" in ")[1].split(" s")[0]) >= 0.2


@pytest.mark.parametrize(
    ("topic", "error"),
    [("plant/+", "expected a topic"), ("plant/{x}", "expected a topic"), ("plant/a", "needs {column}")],
)
def test_a_topic_that_cannot_be_is_refused(tmp_path: Path, capsys, topic: str, error: str):
    (tmp_path / "r.csv").write_text("a,b\n1,2\n3,4\n")
    assert call(["replay", str(tmp_path / "r.csv"), "--topic", topic]) == 2
    assert error in capsys.readouterr().err


def test_a_broker_that_is_not_there_is_told(tmp_path: Path, capsys):
    (tmp_path / "r.csv").write_text("a\n1\n2\n")
    with Mosquitto(tmp_path / "broker") as broker:
        port = broker.port
    assert call(["replay", str(tmp_path / "r.csv"), "--topic", "t", "--port", str(port)]) == 1
    assert capsys.readouterr().err.startswith(f"edgead: error: mqtt: no broker at 127.0.0.1:{port}")


def test_broker_and_password_come_from_a_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys
):
    (tmp_path / "r.csv").write_text("a\n1\n2\n")
    (tmp_path / "passwords").write_text("plant:secret\n")
    (tmp_path / "passwords").chmod(0o600)
    subprocess.run([_tool("mosquitto_passwd"), "-U", str(tmp_path / "passwords")], check=True)
    with Mosquitto(tmp_path / "b", anonymous=False, config=f"password_file {tmp_path}/passwords") as broker:
        config = tmp_path / "gw.toml"
        config.write_text(f'[mqtt]\nport = {broker.port}\nusername = "plant"\n')
        command = ["replay", str(tmp_path / "r.csv"), "--topic", "t", "-c", str(config)]
        monkeypatch.setenv("EDGEAD_MQTT_PASSWORD", "secret")
        assert call(command) == 0
        monkeypatch.setenv("EDGEAD_MQTT_PASSWORD", "guess")
        assert call(command) == 1
    printed = capsys.readouterr().err
    assert "2 messages on 1 topics" in printed
    assert "refused the connection: Not authorized" in printed
    assert "guess" not in printed


def _tool(name: str) -> str:
    found = shutil.which(name)
    assert found, f"{name} is needed for these tests (Debian package: mosquitto)"
    return found

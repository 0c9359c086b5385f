"""The broker fixture itself, and the broker configuration that we ship."""

import itertools
import re
import socket
from pathlib import Path

from tests.mosquitto import SHIPPED_CONFIG, Mosquitto


def test_it_comes_back_on_the_same_port_after_sigkill(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker", persistence=True) as broker:
        port, first = broker.port, broker.pid
        broker.restart()
        assert broker.port == port
        assert broker.pid != first
        socket.create_connection(("127.0.0.1", port), timeout=5).close()


def test_the_shipped_configuration_is_accepted_without_a_warning(tmp_path: Path) -> None:
    with Mosquitto(tmp_path / "broker", shipped=True) as broker:
        complaints = re.findall(r"(?i).*(?:recommended|deprecated|unknown|error).*", broker.log)
    assert complaints == []


def test_every_shipped_setting_has_its_reason_above_it() -> None:
    lines = (SHIPPED_CONFIG / "edgead.conf").read_text().splitlines()
    for before, line in itertools.pairwise(lines):
        if line and not line.startswith("#") and not line.startswith("persistence_location"):
            assert before.startswith("#"), line

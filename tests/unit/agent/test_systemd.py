"""What systemd is told, through a real datagram socket."""

import os
import socket
from pathlib import Path

import pytest

from edgead.agent import systemd


def test_states_go_to_the_socket_systemd_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(str(tmp_path / "notify"))
        monkeypatch.setenv("NOTIFY_SOCKET", str(tmp_path / "notify"))
        systemd.notify("READY=1")
        assert manager.recv(100) == b"READY=1"


def test_an_abstract_socket_is_reached_too(monkeypatch: pytest.MonkeyPatch):
    name = f"edgead-test-{os.getpid()}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(f"\0{name}")
        monkeypatch.setenv("NOTIFY_SOCKET", f"@{name}")
        systemd.notify("WATCHDOG=1")
        assert manager.recv(100) == b"WATCHDOG=1"


def test_outside_systemd_nothing_happens(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.delenv("NOTIFY_SOCKET", raising=False)
    systemd.notify("READY=1")


@pytest.mark.parametrize(
    ("usec", "pid", "seconds"),
    [("30000000", None, 15.0), ("30000000", "1", 0.0), ("", None, 0.0), ("soon", None, 0.0)],
)
def test_the_watchdog_is_fed_twice_as_often_as_asked(
    monkeypatch: pytest.MonkeyPatch, usec: str, pid: str | None, seconds: float
):
    monkeypatch.setenv("WATCHDOG_USEC", usec)
    monkeypatch.setenv("WATCHDOG_PID", pid or str(os.getpid()))
    assert systemd.watchdog_seconds() == seconds

"""What systemd is told: ready, alive, stopping (sd_notify(3): datagrams to the socket named in NOTIFY_SOCKET)."""

import contextlib
import os
import socket


def notify(state: str) -> None:
    """Send one state such as ``READY=1``; nothing happens outside systemd, and a failure to send is not ours to fix."""
    address = os.environ.get("NOTIFY_SOCKET")
    if not address:
        return
    if address.startswith("@"):
        address = "\0" + address[1:]
    with (
        contextlib.suppress(OSError),  # no descriptor left, or nobody listens
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC) as sock,
    ):
        sock.sendto(state.encode(), address)


def watchdog_seconds() -> float:
    """How often to say ``WATCHDOG=1``: half of what the unit asks for, 0 when it asks for none."""
    usec = os.environ.get("WATCHDOG_USEC", "")
    meant_for_us = os.environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
    return int(usec) / 2e6 if usec.isdigit() and meant_for_us else 0.0

"""How to reach the broker: address, name, password and certificates, and the wait between attempts."""

import os
import random
import socket
import ssl
from pathlib import Path
from typing import Literal

import msgspec

from edgead.bridge.payloads import MAX_PAYLOAD_BYTES
from edgead.errors import BridgeError


class TlsSettings(msgspec.Struct, frozen=True, kw_only=True):
    """TLS to the broker.

    Attributes
    ----------
    ca : str
        File of the authorities that may sign the broker's certificate; ``""``: those of the system.
    cert, key : str
        Files of our own certificate and key, for brokers that want one.
    """

    ca: str = ""
    cert: str = ""
    key: str = ""


class BridgeSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How to reach the broker.

    Attributes
    ----------
    client_id : str
        Fixed: the broker keeps our session under it.
    keepalive_s : int
        The broker gives us up, and sends our last will, 1.5 times this after our last sign of life.
    protocol : {"3.1.1", "5"}
        5 has response topics for commands and costs more CPU a message.
    window : int
        Messages of ours that the broker has not taken yet.
    max_packet_bytes : int
        Larger packets are skipped and told as `TooLarge`.
    session_expiry_s : int
        MQTT 5 only: how long the broker keeps our session while we are away.
    """

    host: str = "127.0.0.1"
    port: int = 1883
    client_id: str
    username: str = ""
    keepalive_s: int = 30
    protocol: Literal["3.1.1", "5"] = "3.1.1"
    tls: TlsSettings | None = None
    window: int = 100
    connect_timeout_s: float = 10.0
    max_packet_bytes: int = MAX_PAYLOAD_BYTES + (1 << 17)
    session_expiry_s: int = 14 * 86_400


class Backoff:
    """How long to wait before the next attempt: doubled each time, the upper half drawn, so that a hall full of
    gateways does not come back at one moment.

    Parameters
    ----------
    first_s, longest_s : float
        Bounds of the wait before the draw.
    rng : random.Random
        Seeded in tests.
    """

    def __init__(
        self, first_s: float = 1.0, longest_s: float = 60.0, *, rng: random.Random | None = None
    ) -> None:
        self._first_s = first_s
        self._longest_s = longest_s
        self._rng = rng or random.Random()
        self._failures = 0

    def next_s(self) -> float:
        """Seconds to wait after one more failure."""
        wait_s = min(self._longest_s, self._first_s * 2.0 ** min(self._failures, 32))
        self._failures += 1
        return wait_s * self._rng.uniform(0.5, 1.0)

    def reset(self) -> None:
        """Begin again with the shortest wait."""
        self._failures = 0


def tls_context(tls: TlsSettings) -> ssl.SSLContext:
    """Context for a connection to the broker; the files are read anew each time, so that they can be renewed.

    Raises
    ------
    BridgeError
        If a file is missing or is not what it should be, named by its setting.
    """
    if bool(tls.cert) != bool(tls.key):
        raise BridgeError("mqtt.tls: expected cert and key together, got one of them")
    _check_file("mqtt.tls.ca", tls.ca)
    try:
        context = ssl.create_default_context(cafile=tls.ca or None)
    except (ssl.SSLError, OSError) as error:
        raise BridgeError(f"mqtt.tls.ca {tls.ca}: expected certificates in PEM form ({error})") from None
    if tls.cert:
        _check_file("mqtt.tls.cert", tls.cert)
        _check_file("mqtt.tls.key", tls.key)
        try:
            # A key with a pass phrase would ask on the terminal; a device has none.
            context.load_cert_chain(tls.cert, tls.key, password=lambda: "")
        except (ssl.SSLError, OSError) as error:
            raise BridgeError(
                f"mqtt.tls.cert {tls.cert}, mqtt.tls.key {tls.key}: expected a certificate and its key in PEM form, "
                f"without pass phrase ({error})"
            ) from None
    return context


def _check_file(setting: str, path: str) -> None:
    if path and not Path(path).is_file():
        raise BridgeError(f"{setting} {path}: no such file")
    if path and not os.access(path, os.R_OK):
        raise BridgeError(f"{setting} {path}: this user may not read it")


def dial(settings: BridgeSettings) -> socket.socket:
    """A connected socket to the broker, TLS hands shaken.

    Raises
    ------
    BridgeError
        If a certificate or key file cannot be used.
    OSError
        As the network or the TLS library says it; `reasons.of_error` makes a sentence of it.
    """
    context = None if settings.tls is None else tls_context(settings.tls)
    sock = socket.create_connection((settings.host, settings.port), timeout=settings.connect_timeout_s)
    try:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if settings.keepalive_s:
            # Unanswered bytes end the connection even while we do not read and so hear no ping's answer.
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(settings.keepalive_s * 1500))
        if context is not None:
            sock = context.wrap_socket(sock, server_hostname=settings.host, do_handshake_on_connect=False)
            sock.do_handshake()
    except BaseException:
        sock.close()
        raise
    return sock

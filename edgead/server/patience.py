"""Connections that cannot hold the server up: bounds in number and time that uvicorn does not have."""

import asyncio
import socket
import uuid
from typing import Any

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from edgead.server.wire import GatewayError, encode

_PHRASES = {400: "Bad Request", 429: "Too Many Requests"}


def bare_answer(status: int, message: str) -> bytes:
    """A whole answer in the gateway's shape, for a connection that is closed after it."""
    body = encode(GatewayError(status, message).body())
    lines = [
        f"HTTP/1.1 {status} {_PHRASES[status]}",
        "content-type: application/json",
        f"content-length: {len(body)}",
        f"x-ms-error-code: {status}",
        f"apim-request-id: {uuid.uuid4()}",
        *(["retry-after: 1"] if status == 429 else []),
        "connection: close",
    ]
    return "\r\n".join([*lines, "", ""]).encode() + body


def patient_protocol(max_connections: int, read_s: float) -> type[H11Protocol]:
    """uvicorn's protocol with bounds.

    Parameters
    ----------
    max_connections : int
        More are answered 429 and closed.
    read_s : float
        Seconds for the whole headers of a request, from its first byte (of a new connection: from its begin); for
        data that the client does not take; and for what it still sends after it was answered.
    """

    class PatientProtocol(H11Protocol):
        _waiting: asyncio.TimerHandle | None = None

        def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
            super().connection_made(transport)
            _give_up_on_stalled(transport.get_extra_info("socket"), read_s)
            if len(self.connections) > max_connections:
                transport.write(bare_answer(429, "Rate limit is exceeded: too many connections."))
                transport.close()
                return
            self._waiting = self.loop.call_later(read_s, self._give_up)

        def data_received(self, data: bytes) -> None:
            super().data_received(data)
            self._watch()

        def on_response_complete(self) -> None:
            super().on_response_complete()
            self._watch()

        def send_400_response(self, msg: str) -> None:
            """In JSON, which clients parse whatever they are told."""
            self.transport.write(bare_answer(400, msg))
            self.transport.close()

        def _should_upgrade(self) -> bool:
            """Never, and nothing to warn of: Java's client offers HTTP/2 with each first request."""
            return False

        def connection_lost(self, exc: Exception | None) -> None:
            self._calm()
            super().connection_lost(exc)

        def _watch(self) -> None:
            """Be impatient while headers have begun and are not whole, or a body comes after its answer."""
            begun = self.conn.their_state is h11.IDLE and bool(self.conn.trailing_data[0])
            answered = self.conn.our_state is h11.DONE and self.conn.their_state is h11.SEND_BODY
            if not (begun or answered):
                self._calm()
            elif self._waiting is None:
                self._waiting = self.loop.call_later(read_s, self._give_up)

        def _calm(self) -> None:
            if self._waiting is not None:
                self._waiting.cancel()
                self._waiting = None

        def _give_up(self) -> None:
            self._waiting = None
            self.transport.abort()

    return PatientProtocol


def _give_up_on_stalled(sock: Any, seconds: float) -> None:
    """Let the kernel close a connection whose client takes no data for so long."""
    if sock is not None and sock.family in (socket.AF_INET, socket.AF_INET6):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(seconds * 1000))

"""A socket that reads and writes whole MQTT packets in large pieces.

paho reads every packet with three calls of ``recv`` and writes every acknowledgement with a ``send``, and
makes a dozen objects in between; a QoS 1 message costs it 20 microseconds.  This wrapper stands between
paho and the socket: it reads up to 64 KiB at once, takes PUBLISH packets of MQTT 3.1.1 out by itself (fixed
header, topic, packet id: MQTT 3.1.1 section 3.3) and leaves everything else to paho.  What is written is
gathered and sent at once.

Packets larger than allowed are skipped as they come, and never held in memory.
"""

import socket
import ssl
import sys
import threading
import time
from array import array
from collections.abc import Callable, Iterable
from typing import Final

from edgead.bridge.inbox import Incoming, Message, TooLarge
from edgead.errors import BridgeError

READ_BYTES: Final = 1 << 16
WRITE_BYTES: Final = 1 << 18
"""Bytes waiting to be sent above which paho is told to wait."""

MAX_UNSENT_BYTES: Final = 1 << 22
"""Acknowledgements for a million messages."""

MIN_MAX_PACKET: Final = 1 << 17
"""The smallest bound for a packet: its longest possible topic (65 535 bytes) and a sample must fit."""

PINGREQ: Final = b"\xc0\x00"

_PUBLISH = 0x30
_SAMPLE_BYTES = 1024
_HEAD_BYTES = 2 + 65_535 + 2 + _SAMPLE_BYTES  # the longest topic, the packet id, a sample
_TOPIC_CACHE = 20_000
_TOPIC_CACHE_BYTES = 256  # nobody's real topics are longer, and 20 000 of the longest would be 1.3 GB
_WOULD_BLOCK = (BlockingIOError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class ConnectionClosed(BridgeError):
    """The broker closed the connection."""


class ProtocolError(BridgeError):
    """What came is not MQTT."""


class PacketSocket:
    """A connected socket, seen as a stream of packets; looks like a socket to paho.

    Parameters
    ----------
    sock : socket or ssl.SSLSocket
        Connected; becomes non-blocking by paho.
    max_packet : int
        Larger packets are skipped.
    direct : bool
        Take PUBLISH packets out here (MQTT 3.1.1) instead of leaving them to paho (MQTT 5, which has
        properties).
    generation : int
        Number of the connection; ``generation << 16 | packet id`` is the token of a message.
    clock_ns : callable
        Wall clock.

    Attributes
    ----------
    messages : list
        PUBLISH packets taken out and not yet fetched.
    message_bytes : int
        Bytes of their payloads.
    writes_from_anywhere : bool
        `write` and `flush` may be called from any thread.  Not with TLS: a TLS session must not be read and
        written at one time, so only `write` may be, and the reading thread flushes.
    """

    def __init__(
        self,
        sock: socket.socket,
        *,
        max_packet: int,
        direct: bool,
        generation: int,
        clock_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        if max_packet < MIN_MAX_PACKET:
            raise BridgeError(f"max_packet: expected at least {MIN_MAX_PACKET} bytes, got {max_packet}")
        self._sock = sock
        self._max_packet = max_packet
        self._direct = direct
        self._token_base = generation << 16
        self._clock_ns = clock_ns
        self.messages: list[Message] = []
        self.message_bytes = 0
        self._for_paho = bytearray()
        self._pieces: list[bytes] = []  # of a packet that is not whole yet
        self._pieces_bytes = 0
        self._wanted = 2  # bytes that make it worth looking at the pieces
        self._skip = 0  # bytes still to come of a packet that is too large
        self._out = bytearray()
        # Held for every write and for closing: a descriptor must not be closed, and given to another file,
        # under a thread that is about to write to it.
        self._writing = threading.Lock()
        self._topics: dict[bytes, str] = {}
        self._closed = False
        self.writes_from_anywhere = not isinstance(sock, ssl.SSLSocket)

    # -- reading: ours -----------------------------------------------------------------------------------

    def fill(self) -> int:
        """Read once and cut what came into packets.

        Returns
        -------
        int
            Bytes read; 0 when there was nothing.

        Raises
        ------
        ConnectionClosed, ProtocolError, OSError
        """
        try:
            data = self._sock.recv(READ_BYTES)
        except _WOULD_BLOCK:
            return 0
        if not data:
            raise ConnectionClosed("the broker closed the connection")
        self.feed(data)
        return len(data)

    def feed(self, data: bytes) -> None:
        """Cut bytes into packets."""
        if self._skip:
            skipped = min(self._skip, len(data))
            self._skip -= skipped
            data = data[skipped:]
        if self._pieces:
            self._pieces.append(data)
            self._pieces_bytes += len(data)
            if self._pieces_bytes < self._wanted:
                return
            data = b"".join(self._pieces)
            self._pieces.clear()
        rest = self._cut(data)
        if rest < len(data):
            self._pieces.append(data[rest:])
            self._pieces_bytes = len(data) - rest

    def _cut(self, data: bytes) -> int:
        """Take the whole packets of `data`; returns where the first packet that is not whole begins."""
        at, end = 0, len(data)
        received_ns = self._clock_ns()
        while end - at >= 2:
            length = data[at + 1]
            body = at + 2
            if length > 127:
                length, body = _remaining_length(data, at + 1, end)
                if body == 0:
                    break
                if body + length - at > self._max_packet:
                    after = self._skip_packet(data, at, body, body + length, received_ns)
                    if after == at:
                        return at
                    at = after
                    continue
            stop = body + length
            if stop > end:
                self._wanted = stop - at
                return at
            if self._direct and data[at] & 0xF0 == _PUBLISH:
                self._take_publish(data, at, body, stop, received_ns)
                received_ns += 1  # two readings without a time of their own must not look like one
            else:
                self._for_paho += data[at:stop]
            at = stop
        self._wanted = 2
        return at

    def _take_publish(self, data: bytes, at: int, body: int, stop: int, received_ns: int) -> None:
        """One PUBLISH packet to a message."""
        topic, token, payload_at = self._publish_head(data, at, body, stop)
        payload = data[payload_at:stop]
        self.message_bytes += len(payload)
        self.messages.append(Incoming(topic, payload, data[at] & 1 == 1, received_ns, token))

    def _publish_head(self, data: bytes, at: int, body: int, stop: int) -> tuple[str, int, int]:
        """Topic, token and where the payload begins."""
        topic_at = body + 2
        topic_end = topic_at + (data[body] << 8 | data[body + 1]) if topic_at <= stop else stop + 1
        qos = data[at] & 0x06
        payload_at = topic_end + 2 if qos else topic_end
        if payload_at > stop or qos > 2 or topic_end == topic_at:
            raise ProtocolError("the broker sent a PUBLISH packet that contradicts itself")
        token = self._token_base + (data[topic_end] << 8 | data[topic_end + 1]) if qos else 0
        raw = data[topic_at:topic_end]
        return self._topics.get(raw) or self._new_topic(raw), token, payload_at

    def _new_topic(self, raw: bytes) -> str:
        """Text of a topic, remembered: a device has few, and equal texts are one object then."""
        topic = raw.decode("utf-8", "replace")
        if len(raw) <= _TOPIC_CACHE_BYTES:
            if len(self._topics) >= _TOPIC_CACHE:
                self._topics.clear()
            self._topics[raw] = topic
        return topic

    def _skip_packet(self, data: bytes, at: int, body: int, stop: int, received_ns: int) -> int:
        """Tell of a packet that is too large and leave it out; returns where to go on, `at` for "not yet"."""
        if data[at] & 0xF0 != _PUBLISH:
            raise ProtocolError(
                f"the broker sent a packet of {stop - at} bytes, at most {self._max_packet} are taken"
            )
        end = len(data)
        if end - body < _HEAD_BYTES:
            self._wanted = body - at + _HEAD_BYTES
            return at
        topic, token, payload_at = self._publish_head(data, at, body, min(stop, end))
        sample = data[payload_at : min(payload_at + _SAMPLE_BYTES, stop)]
        self.messages.append(TooLarge(topic, sample, stop - at, data[at] & 1 == 1, received_ns, token))
        self.message_bytes += len(sample)
        self._skip = max(0, stop - end)
        return min(stop, end)

    def take(self, message: Incoming) -> None:
        """Add a message that paho has decoded."""
        self.messages.append(message)
        self.message_bytes += len(message.payload)

    def fetch(self) -> tuple[list[Message], int]:
        """The messages taken out since the last call, and the bytes of their payloads."""
        messages, size = self.messages, self.message_bytes
        self.messages, self.message_bytes = [], 0
        return messages, size

    @property
    def for_paho(self) -> bool:
        """Whether a whole packet waits for paho."""
        return bool(self._for_paho)

    # -- writing: ours -----------------------------------------------------------------------------------

    @property
    def unsent(self) -> int:
        """Bytes gathered and not yet sent."""
        return len(self._out)

    def write(self, packets: bytes) -> None:
        """Gather whole packets of ours.

        Raises
        ------
        ConnectionClosed
            If megabytes wait already: the broker talks and does not listen.
        """
        with self._writing:
            if len(self._out) > MAX_UNSENT_BYTES:
                raise ConnectionClosed("the broker takes nothing from us any more")
            self._out += packets

    def flush(self) -> int:
        """Send what the socket takes; returns the bytes sent."""
        with self._writing:
            if not self._out:
                return 0
            try:
                sent = self._sock.send(self._out)
            except _WOULD_BLOCK:
                return 0
            del self._out[:sent]
            return sent

    def pending(self) -> int:
        """Bytes that TLS has read already: no poll will tell of them."""
        return self._sock.pending() if isinstance(self._sock, ssl.SSLSocket) else 0

    # -- a socket, as paho uses it -----------------------------------------------------------------------

    def recv(self, size: int) -> bytes:
        """Bytes of the packets that are paho's; it never sees half a packet."""
        if not self._for_paho:
            raise BlockingIOError
        data = bytes(self._for_paho[:size])
        del self._for_paho[:size]
        return data

    def send(self, data: bytes) -> int:
        """Gather one whole packet, or refuse it while too much waits."""
        with self._writing:
            if len(self._out) > WRITE_BYTES:
                raise BlockingIOError
            self._out += data
            return len(data)

    def setblocking(self, flag: bool) -> None:
        """As a socket's."""
        self._sock.setblocking(flag)

    def fileno(self) -> int:
        """As a socket's."""
        return self._sock.fileno()

    def close(self) -> None:
        """Send what is gathered if that goes within a second, and close."""
        with self._writing:
            if self._closed:
                return
            self._closed = True
            try:
                self._sock.settimeout(1.0)
                self._sock.sendall(self._out)
            except (OSError, ValueError):
                pass  # the connection is gone already: nobody is there to hear it
            finally:
                self._out.clear()
                self._sock.close()


def _remaining_length(data: bytes, at: int, end: int) -> tuple[int, int]:
    """MQTT's length of one to four bytes; (length, where the body begins), the latter 0 when bytes are missing."""
    length = 0
    for place in range(4):
        if at + place >= end:
            return 0, 0
        byte = data[at + place]
        length |= (byte & 127) << (7 * place)
        if byte < 128:
            return length, at + place + 1
    raise ProtocolError("the broker sent a packet length of more than four bytes")


def pubacks(tokens: Iterable[int], generation: int) -> bytes:
    """PUBACK packets (MQTT 3.1.1 section 3.4, also good for MQTT 5), in order.

    Parameters
    ----------
    tokens : iterable of int
        Of messages; those of other connections are left out: their packet ids mean something else by now.
    generation : int
        The connection, ``token >> 16``.
    """
    packets = array("I", [0x4002_0000 | (token & 0xFFFF) for token in tokens if token >> 16 == generation])
    if sys.byteorder == "little":
        packets.byteswap()
    return packets.tobytes()

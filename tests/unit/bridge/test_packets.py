import socket
from collections.abc import Iterator

import pytest

from edgead.bridge.packets import (
    MAX_UNSENT_BYTES,
    MIN_MAX_PACKET,
    PINGREQ,
    WRITE_BYTES,
    ConnectionClosed,
    PacketSocket,
)
from edgead.errors import BridgeError


@pytest.fixture
def pair() -> Iterator[tuple[PacketSocket, socket.socket]]:
    near, far = socket.socketpair()
    near.setblocking(False)
    packets = PacketSocket(near, max_packet=MIN_MAX_PACKET, direct=True, generation=1, clock_ns=lambda: 5)
    yield packets, far
    packets.close()
    far.close()


def test_what_is_written_is_sent_at_once_and_in_order(pair) -> None:
    packets, far = pair
    assert packets.send(b"\x82paho") == 5
    packets.write(PINGREQ)
    assert packets.unsent == 7
    assert packets.flush() == 7
    assert packets.flush() == 0
    assert far.recv(100) == b"\x82paho\xc0\x00"


def test_paho_is_told_to_wait_while_too_much_is_unsent_and_never_sends_half_a_packet(pair) -> None:
    packets, _ = pair
    packets.write(bytes(WRITE_BYTES + 1))
    with pytest.raises(BlockingIOError):
        packets.send(b"\x30\x00")


def test_a_broker_that_talks_and_does_not_listen_is_left(pair) -> None:
    packets, _ = pair
    packets.write(bytes(MAX_UNSENT_BYTES + 1))
    with pytest.raises(ConnectionClosed, match="takes nothing"):
        packets.write(PINGREQ)


def test_a_full_socket_keeps_the_rest_for_later(pair) -> None:
    packets, far = pair
    packets.write(bytes(3_000_000))
    sent = 0
    while packets.unsent:
        sent += packets.flush()
        far.recv(1 << 20)
    assert sent == 3_000_000


def test_paho_reads_only_what_is_there(pair) -> None:
    packets, far = pair
    with pytest.raises(BlockingIOError):
        packets.recv(1)
    assert packets.fill() == 0
    far.send(b"\xd0")
    assert packets.fill() == 1
    assert not packets.for_paho, "half a packet is not shown"
    far.send(b"\x00")
    packets.fill()
    assert packets.for_paho
    assert packets.recv(1) + packets.recv(1) == b"\xd0\x00"


def test_the_end_of_the_stream_is_told(pair) -> None:
    packets, far = pair
    far.close()
    with pytest.raises(ConnectionClosed, match="closed the connection"):
        packets.fill()


def test_closing_sends_what_is_left_and_can_be_done_twice(pair) -> None:
    packets, far = pair
    packets.write(b"\xe0\x00")
    packets.close()
    packets.close()
    assert far.recv(10) == b"\xe0\x00"
    assert far.recv(10) == b""


def test_topics_are_remembered_as_one_object_and_not_for_ever(pair) -> None:
    packets, _ = pair
    packets.feed(b"\x30\x04\x00\x01a1" * 2)
    first, second = packets.fetch()[0]
    assert first.topic is second.topic
    for number in range(60_000):
        topic = f"{number:06}".encode()
        packets.feed(b"\x30\x09\x00\x06" + topic + b"1")
    assert len(packets._topics) <= 20_000
    assert packets.fetch()[1] == 60_000
    packets.feed(b"\x30\x84\x02\x01\x01" + bytes(257) + b"1")
    assert max(map(len, packets._topics)) < 256


def test_a_bound_that_does_not_hold_a_topic_is_refused() -> None:
    with socket.socket() as sock, pytest.raises(BridgeError, match="at least 131072"):
        PacketSocket(sock, max_packet=1000, direct=True, generation=1)

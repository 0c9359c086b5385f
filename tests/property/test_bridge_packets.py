"""Our reading of PUBLISH packets against paho's, however the bytes are cut; and whatever bytes come."""

import socket
import struct
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from edgead.bridge.client import _Client
from edgead.bridge.inbox import Incoming, Message, TooLarge
from edgead.bridge.packets import MIN_MAX_PACKET, PacketSocket, ProtocolError, pubacks

CONNACK = b"\x20\x02\x00\x00"
PINGRESP = b"\xd0\x00"


def remaining_length(length: int) -> bytes:
    out = bytearray()
    while True:
        length, low = divmod(length, 128)
        out.append(low | (0x80 if length else 0))
        if not length:
            return bytes(out)


def publish_packet(
    topic: str, payload: bytes, packet_id: int, *, retain: bool = False, dup: bool = False
) -> bytes:
    """MQTT 3.1.1 section 3.3; QoS 0 when the packet id is 0."""
    raw = topic.encode()
    body = struct.pack("!H", len(raw)) + raw + (struct.pack("!H", packet_id) if packet_id else b"") + payload
    first = 0x30 | (8 if dup and packet_id else 0) | (2 if packet_id else 0) | (1 if retain else 0)
    return bytes([first]) + remaining_length(len(body)) + body


def packet_socket(*, direct: bool = True, sock: socket.socket | None = None) -> PacketSocket:
    return PacketSocket(
        sock or socket.socket(), max_packet=MIN_MAX_PACKET, direct=direct, generation=7, clock_ns=lambda: 5
    )


def ours(chunks: list[bytes]) -> tuple[list[Message], bytes]:
    """Messages that we take out, and the bytes that are left for paho."""
    with socket.socket() as sock:
        packets = packet_socket(sock=sock)
        for chunk in chunks:
            packets.feed(chunk)
        left = packets.recv(1 << 30) if packets.for_paho else b""
        return packets.fetch()[0], left


def paho_s(stream: bytes) -> list[tuple[str, bytes, bool, int]]:
    """What paho makes of the same packets."""
    near, far = socket.socketpair()
    seen: list[tuple[str, bytes, bool, int]] = []
    with near, far:
        packets = packet_socket(direct=False, sock=near)
        client = _Client(lambda: packets, client_id="x", clean_session=False, manual_ack=True)
        client.on_message = lambda client, userdata, m: seen.append(
            (m.topic, bytes(m.payload), m.retain, m.mid)
        )
        client.on_socket_register_write = lambda *anything: None
        client.connect("nowhere", 1)
        packets.feed(CONNACK + stream)
        while packets.for_paho:
            assert client.loop_read() == 0
    return seen


TOPICS = st.text(st.characters(exclude_characters="#+\0", exclude_categories=["Cs"]), min_size=1, max_size=40)
PACKETS = st.builds(
    publish_packet,
    TOPICS,
    st.one_of(st.binary(max_size=300), st.integers(0, 40_000).map(bytes)),
    st.integers(0, 65_535),
    retain=st.booleans(),
    dup=st.booleans(),
)


@given(st.lists(PACKETS, max_size=12), st.data())
def test_we_read_what_paho_reads_however_the_bytes_are_cut(packets: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(packets)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=10)))
    chunks = [stream[a:b] for a, b in zip([0, *cuts], [*cuts, len(stream)])]
    messages, left = ours([chunk for chunk in chunks if chunk])
    assert left == b""
    assert [
        (each.topic, each.payload, each.retain, each.token and each.token & 0xFFFF)
        for each in messages
        if isinstance(each, Incoming)
    ] == paho_s(stream)
    assert all(each.token in (0, 7 << 16 | each.token & 0xFFFF) for each in messages)


def test_messages_that_came_together_are_received_one_after_the_other() -> None:
    messages, _ = ours([publish_packet("a", b"21.5", 1) * 3 + PINGRESP + publish_packet("a", b"21.6", 0)])
    assert [each.received_ns for each in messages] == [5, 6, 7, 8]


@given(st.lists(st.binary(min_size=1, max_size=400), max_size=10))
def test_any_bytes_give_packets_or_a_protocol_error(chunks: list[bytes]) -> None:
    with suppress(ProtocolError):
        messages, left = ours(chunks)
        assert sum(map(len, chunks)) >= len(left) + sum(len(each.payload) for each in messages)


@given(
    st.integers(MIN_MAX_PACKET, 1 << 19),
    st.lists(st.integers(1, 1 << 17), max_size=12),
    st.integers(0, 65_535),
)
def test_a_packet_that_is_too_large_is_skipped_to_its_last_byte(
    size: int, cuts: list[int], packet_id: int
) -> None:
    large = publish_packet("plant/großer Wert", bytes(size), packet_id)
    stream = publish_packet("a", b"1", 1) + large + PINGRESP + publish_packet("b", b"2", 2)
    chunks = []
    for cut in cuts:
        chunks.append(stream[:cut])
        stream = stream[cut:]
    messages, left = ours([chunk for chunk in (*chunks, stream) if chunk])
    assert left == PINGRESP
    before, skipped, after = messages
    assert (before.topic, after.topic) == ("a", "b")
    assert isinstance(skipped, TooLarge)
    assert (skipped.topic, skipped.size, skipped.sample) == ("plant/großer Wert", len(large), bytes(1024))
    assert skipped.token == (7 << 16 | packet_id if packet_id else 0)


@pytest.mark.parametrize(
    ("stream", "words"),
    [
        (b"\x36\x07\x00\x01a\x00\x01xx", "contradicts itself"),
        (b"\x30\x03\x00\x05a", "contradicts itself"),
        (b"\x32\x04\x00\x01a\x00", "contradicts itself"),
        (b"\x30\x01\x00", "contradicts itself"),
        (b"\x30\x00", "contradicts itself"),
        (b"\x30\x02\x00\x00", "contradicts itself"),
        (b"\x30\xff\xff\xff\xff\x01", "more than four bytes"),
        (b"\x90\xff\xff\xff\x7f" + bytes(10), "at most 131072 are taken"),
    ],
)
def test_packets_that_cannot_be(stream: bytes, words: str) -> None:
    with pytest.raises(ProtocolError, match=words):
        ours([stream])


@given(st.lists(st.tuples(st.integers(1, 3), st.integers(1, 65_535)), max_size=30))
def test_acknowledgements_are_of_this_connection_and_in_order(pairs: list[tuple[int, int]]) -> None:
    packets = pubacks([generation << 16 | packet_id for generation, packet_id in pairs] + [0], 2)
    expected = b"".join(
        b"\x40\x02" + struct.pack("!H", packet_id) for generation, packet_id in pairs if generation == 2
    )
    assert packets == expected

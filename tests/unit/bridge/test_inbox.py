import threading
import time

from edgead.bridge.inbox import (
    MAX_CONTROL,
    Connected,
    Delivered,
    Disconnected,
    Fault,
    Inbox,
    Incoming,
    TooLarge,
)


def message(number: int, size: int = 1) -> Incoming:
    return Incoming("t", bytes(size), False, number, number)


def fill(inbox: Inbox, count: int, size: int = 1) -> None:
    inbox.put([message(number, size) for number in range(count)], count * size)


def test_messages_are_taken_in_batches_and_in_order() -> None:
    inbox = Inbox()
    fill(inbox, 10)
    taken = [*inbox.take(4), *inbox.take(4), *inbox.take(4)]
    assert [each.token for each in taken] == list(range(10))
    assert inbox.take(4, timeout_s=0) == []
    assert (inbox.waiting, inbox.waiting_bytes) == (0, 0)


def test_what_the_connection_says_is_taken_first() -> None:
    inbox = Inbox()
    fill(inbox, 2)
    inbox.tell(Connected(True))
    inbox.tell(Delivered(1))
    assert [type(each) for each in inbox.take(1)] == [Connected, Delivered, Incoming]


def test_it_is_full_by_number_or_bytes_and_has_room_again_at_half() -> None:
    for inbox, size in ((Inbox(max_messages=10), 1), (Inbox(max_bytes=1000), 100)):
        calls = []
        inbox.on_room(lambda calls=calls: calls.append(1))
        fill(inbox, 9, size)
        assert not inbox.full
        fill(inbox, 1, size)
        assert inbox.full
        inbox.take(4)
        assert inbox.full
        assert not calls
        inbox.take(1)
        assert not inbox.full
        assert len(calls) == 1


def test_messages_too_large_count_with_their_sample() -> None:
    inbox = Inbox()
    inbox.put([TooLarge("t", b"abc", 10**9, False, 0, 1), message(1, 4)], 7)
    assert inbox.waiting_bytes == 7
    inbox.take(1)
    assert inbox.waiting_bytes == 4


def test_a_reader_is_woken_by_the_first_message_and_by_wake() -> None:
    inbox = Inbox()
    threading.Timer(0.05, fill, (inbox, 1)).start()
    began = time.monotonic()
    assert len(inbox.take(timeout_s=10)) == 1
    threading.Timer(0.05, inbox.wake).start()
    assert inbox.take(timeout_s=10) == []
    assert time.monotonic() - began < 5


def test_farewells_that_nobody_heard_are_one() -> None:
    inbox = Inbox()
    inbox.tell(Disconnected("first", True))
    for _ in range(1000):
        inbox.tell(Disconnected("nobody listens", False))
    assert inbox.take() == [Disconnected("nobody listens", True)]


def test_a_connection_that_came_and_went_unheard_leaves_only_the_reason() -> None:
    inbox = Inbox()
    inbox.tell(Connected(False))
    inbox.tell(Delivered(1))
    assert inbox.announces_connection
    inbox.tell(Disconnected("gone", True))
    assert not inbox.announces_connection
    assert inbox.take() == [Delivered(1), Disconnected("gone", False)]


def test_a_connection_after_a_farewell_is_heard_in_that_order() -> None:
    inbox = Inbox()
    inbox.tell(Connected(False))
    assert inbox.take() == [Connected(False)]
    inbox.tell(Disconnected("gone", True))
    inbox.tell(Connected(True))
    assert inbox.announces_connection
    assert inbox.take() == [Disconnected("gone", True), Connected(True)]
    assert not inbox.announces_connection


def test_faults_that_nobody_takes_are_bounded() -> None:
    inbox = Inbox()
    for number in range(3 * MAX_CONTROL):
        inbox.tell(Fault(str(number)))
    inbox.tell(Connected(False))
    assert len(inbox.take()) == MAX_CONTROL + 1

"""The one queue between the network thread and the engine's thread: bounded, taken in batches.

Messages wait in a bounded lane; what the connection itself has to say waits in a lane of its own that is
taken first, so that a reconnect or a delivery is never behind ten thousand readings.
"""

import threading
from collections import deque
from collections.abc import Callable
from typing import Final

import msgspec

MAX_MESSAGES: Final = 10_000
MAX_BYTES: Final = 16 << 20
"""Of payloads waiting: 16 MiB is what a 512 MB gateway can spare."""

MAX_CONTROL: Final = 1000
"""Faults beyond this many that nobody takes are dropped; the other kinds are bounded by what they are."""


class Incoming(msgspec.Struct, frozen=True, gc=False):
    """A message that came.

    Attributes
    ----------
    topic : str
    payload : bytes
    retain : bool
        It was kept by the broker: sent before we subscribed.
    received_ns : int
        Wall clock, ns since 1970; messages that came together are a nanosecond apart, in their order.
    token : int
        Give it to `Bridge.acknowledge` when the message is safe; 0: nothing to acknowledge (QoS 0).
    response_topic, correlation : str, bytes or None
        MQTT 5 only: where and with what the sender wants its answer.
    """

    topic: str
    payload: bytes
    retain: bool
    received_ns: int
    token: int
    response_topic: str | None = None
    correlation: bytes | None = None


class TooLarge(msgspec.Struct, frozen=True, gc=False):
    """A message whose packet was larger than allowed: skipped on the wire, never held in memory.

    Attributes
    ----------
    sample : bytes
        The beginning of the payload.
    size : int
        Bytes of the whole packet.
    """

    topic: str
    sample: bytes
    size: int
    retain: bool
    received_ns: int
    token: int


class Connected(msgspec.Struct, frozen=True):
    """The broker let us in, and our subscriptions and ``status online`` are sent.

    Attributes
    ----------
    session_present : bool
        The broker remembered us: what was not acknowledged comes again.
    """

    session_present: bool


class Subscribed(msgspec.Struct, frozen=True):
    """The broker has answered all subscriptions, and dropped those that the configuration no longer has."""


class Disconnected(msgspec.Struct, frozen=True):
    """The connection is gone, or could not be made; `publish` handles not yet delivered are void.

    Attributes
    ----------
    reason : str
        A plain sentence.
    was_connected : bool
        False for an attempt that failed.
    """

    reason: str
    was_connected: bool


class Delivered(msgspec.Struct, frozen=True, gc=False):
    """The broker has taken a message of ours.

    Attributes
    ----------
    handle : int
        What `Bridge.publish` returned.
    """

    handle: int


class Fault(msgspec.Struct, frozen=True):
    """Something went wrong on the network's side that is not a lost connection.

    Attributes
    ----------
    reason : str
        A plain sentence.
    """

    reason: str


Message = Incoming | TooLarge
Control = Connected | Subscribed | Disconnected | Delivered | Fault


class Inbox:
    """Bounded queue of one writer (the network thread) and one reader (the engine's thread).

    Parameters
    ----------
    max_messages, max_bytes : int
        `full` turns True when either is reached and False again at half of both.  One read of the socket
        may go over it, by at most 64 KiB.

    Attributes
    ----------
    full : bool
        The writer must stop reading from the network.
    announces_connection : bool
        A `Connected` waits to be taken: until then nothing is published.
    """

    def __init__(self, *, max_messages: int = MAX_MESSAGES, max_bytes: int = MAX_BYTES) -> None:
        self.full = False
        self.announces_connection = False
        self._max_messages = max_messages
        self._max_bytes = max_bytes
        self._messages: deque[Message] = deque()
        self._bytes = 0
        self._control: deque[Control] = deque()
        self._ready = threading.Condition(threading.Lock())
        self._on_room: Callable[[], None] | None = None

    @property
    def waiting(self) -> int:
        """Messages waiting."""
        return len(self._messages)

    @property
    def waiting_bytes(self) -> int:
        """Bytes of the payloads waiting."""
        return self._bytes

    def on_room(self, call: Callable[[], None]) -> None:
        """Call `call`, in the reader's thread, whenever `full` turns False."""
        self._on_room = call

    def put(self, messages: list[Message], size: int) -> None:
        """Add what one read gave.

        Parameters
        ----------
        messages : list
            In the order they came.
        size : int
            Bytes of their payloads.
        """
        with self._ready:
            self._messages.extend(messages)
            self._bytes += size
            if len(self._messages) >= self._max_messages or self._bytes >= self._max_bytes:
                self.full = True
            self._ready.notify()

    def tell(self, event: Control, *, meanwhile: Callable[[], None] | None = None) -> None:
        """Add what the connection has to say; it is taken before all messages.

        Parameters
        ----------
        event : Connected, Subscribed, Disconnected, Delivered or Fault
            What happened.
        meanwhile : callable, optional
            Called before anybody can take the event.
        """
        with self._ready:
            if type(event) is Disconnected:
                event = self._merged(event)
            elif type(event) is Connected:
                self.announces_connection = True
            if type(event) is not Fault or len(self._control) < MAX_CONTROL:
                self._control.append(event)
            if meanwhile is not None:
                meanwhile()
            self._ready.notify()

    def _merged(self, event: Disconnected) -> Disconnected:
        """One farewell for all connections and attempts that nobody has heard of yet.

        A broker that is away for a week, or that comes and goes, gives one line and not 10 000.
        """
        was_connected = event.was_connected and not self.announces_connection
        self.announces_connection = False
        for each in self._control:
            was_connected = was_connected or (type(each) is Disconnected and each.was_connected)
        kept = [each for each in self._control if type(each) not in (Connected, Subscribed, Disconnected)]
        self._control.clear()
        self._control.extend(kept)
        return Disconnected(event.reason, was_connected)

    def take(self, max_messages: int = 1000, timeout_s: float | None = None) -> list[Control | Message]:
        """Take everything the connection has to say and up to `max_messages` messages.

        Parameters
        ----------
        max_messages : int
            The rest stays for the next call.
        timeout_s : float or None
            How long to wait for the first; None waits for ever.

        Returns
        -------
        list
            Empty when the time is over.
        """
        with self._ready:
            if not self._messages and not self._control:
                self._ready.wait(timeout_s)
            taken: list[Control | Message] = list(self._control)
            self._control.clear()
            self.announces_connection = False
            waiting = self._messages
            if len(waiting) <= max_messages:
                taken.extend(waiting)
                waiting.clear()
                self._bytes = 0
            else:
                for _ in range(max_messages):
                    message = waiting.popleft()
                    self._bytes -= _size(message)
                    taken.append(message)
            room = (
                self.full and len(waiting) <= self._max_messages // 2 and self._bytes <= self._max_bytes // 2
            )
            if room:
                self.full = False
        if room and self._on_room is not None:
            self._on_room()
        return taken

    def wake(self) -> None:
        """Make a waiting `take` return at once, with nothing."""
        with self._ready:
            self._ready.notify()


def _size(message: Message) -> int:
    return len(message.payload if isinstance(message, Incoming) else message.sample)

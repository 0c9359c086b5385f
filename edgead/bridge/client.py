"""The connection to the broker: paho over a `PacketSocket`, driven by one thread of ours.

The thread reads into the agent's `Inbox` and stops reading while that is full, so that the broker keeps
what we cannot hold; pings go on meanwhile.  Every connection is a new paho client: nothing of an old one,
packet ids least of all, can leak into the next.  What fails is told on the inbox, and the connection is
made again.
"""

import itertools
import logging
import select
import socket
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from typing import Any, Final, Literal

import paho.mqtt.client as paho
from paho.mqtt.enums import CallbackAPIVersion, MQTTErrorCode, MQTTProtocolVersion
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

from edgead.bridge import reasons
from edgead.bridge.inbox import Connected, Delivered, Disconnected, Fault, Inbox, Incoming, Subscribed
from edgead.bridge.messages import Status, to_ms
from edgead.bridge.packets import PINGREQ, WRITE_BYTES, ConnectionClosed, PacketSocket, ProtocolError, pubacks
from edgead.bridge.settings import Backoff, BridgeSettings, dial, tls_context
from edgead.bridge.topics import TopicPattern, Topics
from edgead.errors import BridgeError, EdgeADError

FILTERS_PER_SUBSCRIBE: Final = 50
"""Filters in one SUBSCRIBE packet; some brokers refuse packets with very many."""

SETTLED_AFTER_S: Final = 10.0
"""A connection that lasts this long was a good one: the next failure waits the shortest time again."""

# Numbers of connections; of the process and not of a bridge: after a reload a new bridge feeds the same inbox.
_generations = itertools.count(1)

_log = logging.getLogger("edgead.bridge")


class Bridge:
    """Our connection to the broker.

    Parameters
    ----------
    settings : BridgeSettings
    topics : Topics
        Of this node; its ``status`` is the last will.
    filters : sequence of str
        What to subscribe to, besides the commands.
    inbox : Inbox
        Where everything that comes goes.
    password : callable
        Asked at every connect, so that it can be renewed; what it raises is told like a refused connection.
    previous_filters : sequence of str
        What an earlier configuration subscribed to; what is not in `filters` any more is unsubscribed, else
        the broker would send it for ever.
    backoff : Backoff, optional
    clock_ns, monotonic : callable
        Wall clock in ns and monotonic clock in s.

    Raises
    ------
    BridgeError
        If a certificate or key file cannot be used.
    InvalidInput
        If a filter is none.
    """

    def __init__(
        self,
        settings: BridgeSettings,
        topics: Topics,
        filters: Sequence[str],
        inbox: Inbox,
        *,
        password: Callable[[], str | None] = lambda: None,
        previous_filters: Sequence[str] = (),
        backoff: Backoff | None = None,
        clock_ns: Callable[[], int] = time.time_ns,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.settings = settings
        self.topics = topics
        self.inbox = inbox
        self.password = password
        for each in filters:
            TopicPattern(each)  # paho raises something else, and only when connected
        self.filters = tuple(dict.fromkeys([*filters, *topics.command_filters]))
        self.abandoned = tuple(each for each in dict.fromkeys(previous_filters) if each not in self.filters)
        self._backoff = backoff or Backoff()
        self.clock_ns = clock_ns
        self.monotonic = monotonic
        if settings.tls is not None:
            tls_context(settings.tls)
        self._link: _Link | None = None
        self._thrown_out = 0
        self._stop_at: float | None = None
        self._clean = False
        self._wake_r, self._wake_w = socket.socketpair()
        self._wake_r.setblocking(False)
        self._wake_w.setblocking(False)
        self._woken = False
        self._thread = threading.Thread(target=self._run, name="edgead-mqtt", daemon=True)
        inbox.on_room(self.wake)

    # -- the agent's side --------------------------------------------------------------------------------

    def start(self) -> None:
        """Start the thread; connecting goes on until it succeeds."""
        self._thread.start()

    @property
    def connected(self) -> bool:
        """Whether messages can be published now."""
        link = self._link
        return link is not None and link.open

    @property
    def subscribed(self) -> bool:
        """Whether the broker has answered our subscriptions on this connection."""
        link = self._link
        return link is not None and link.open and link.subscribed

    @property
    def thread_alive(self) -> bool:
        """Whether the network thread runs."""
        return self._thread.is_alive()

    def acknowledge(self, tokens: Iterable[int]) -> None:
        """Tell the broker that these messages are safe with us.

        Parameters
        ----------
        tokens : iterable of int
            Of `Incoming` and `TooLarge`, in the order they came, each once.  Tokens of earlier connections
            are dropped: the broker sends those messages again.
        """
        link = self._link
        if link is None:
            return
        packets = pubacks(tokens, link.generation)
        if packets:
            link.send(packets)

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 1,
        retain: bool = False,
        correlation: bytes | None = None,
    ) -> int | None:
        """Hand a message to the connection.

        Parameters
        ----------
        topic, payload, qos, retain
            As in MQTT; QoS 0 or 1.
        correlation : bytes, optional
            MQTT 5 correlation data of an answer; left out under 3.1.1.

        Returns
        -------
        int or None
            A handle; `Delivered` tells it when the broker has the message.  None: not connected, the last
            `Connected` not taken from the inbox yet, or `window` messages on the way: keep the message.
        """
        link = self._link
        if link is None or not link.open or self.inbox.announces_connection or self._stop_at is not None:
            return None
        return link.publish(topic, payload, qos, retain, correlation)

    def stop(self, timeout_s: float = 5.0) -> bool:
        """Say goodbye: send what is on the way and ``status offline``, then disconnect and end the thread.

        Returns
        -------
        bool
            True when the broker has taken everything.  Otherwise the connection was cut after `timeout_s`,
            and the last will says offline on our behalf.
        """
        if self._thread.is_alive():
            self._stop_at = self.monotonic() + timeout_s
            self.wake()
            self._thread.join(timeout_s + self.settings.connect_timeout_s + 2.0)
        if not self._thread.is_alive():
            self._wake_r.close()
            self._wake_w.close()
        return self._clean

    def wake(self) -> None:
        """Make the network thread look at its queues; called from any thread."""
        if not self._woken:
            self._woken = True
            with suppress(OSError):  # full: it wakes anyhow; closed: nobody is there to wake
                self._wake_w.send(b"\0")

    # -- the network thread ------------------------------------------------------------------------------

    def _run(self) -> None:
        while self._stop_at is None:
            try:
                self._connect_and_serve()
                continue
            except (EdgeADError, OSError) as error:
                reason = self._sentence(error)
            except Exception as error:  # a bug must cost a connection, not the thread
                _log.exception("internal error of the network thread")
                reason = f"internal error: {type(error).__name__}: {error}"
                self.inbox.tell(Fault(reason))
            self._after_failure(reason)
            self._pause(self._backoff.next_s())

    def _sentence(self, error: Exception) -> str:
        """Why there is no connection any more."""
        if isinstance(error, OSError):
            reason = reasons.of_error(error, self.settings.host, self.settings.port)
        else:
            reason = str(error)
        link = self._link
        cut = isinstance(error, (ConnectionClosed, ConnectionResetError, BrokenPipeError))
        if cut and link is not None and not link.open and self.settings.tls is None:
            reason += ", before it had let us in; does this port expect TLS?"
        return reason

    def _after_failure(self, reason: str) -> None:
        """Close what is left of the connection, and tell."""
        link, self._link = self._link, None
        if link is not None:
            link.close()
        connected_at = None if link is None else link.connected_at
        if connected_at is not None:
            if self.monotonic() - connected_at >= SETTLED_AFTER_S:
                self._backoff.reset()
                self._thrown_out = 0
            else:
                self._thrown_out += 1
        if self._thrown_out >= 3:
            reason += (
                f"; right after connecting, again: does another client use the id {self.settings.client_id}?"
            )
        self.inbox.tell(Disconnected(reason, connected_at is not None))

    def _pause(self, wait_s: float) -> None:
        """Wait, unless we are told to stop."""
        poll = select.poll()
        poll.register(self._wake_r, select.POLLIN)
        until = self.monotonic() + wait_s
        while self._stop_at is None and (left_s := until - self.monotonic()) > 0:
            poll.poll(left_s * 1000)
            self._hear_wake()

    def _hear_wake(self) -> None:
        with suppress(BlockingIOError):
            self._wake_r.recv(4096)
        # After reading, never before: else a byte sent in between is read here, and the flag stays up for ever.
        # Whoever finds it up has queued his work already, and it is looked at after this.
        self._woken = False

    def _connect_and_serve(self) -> None:
        """One connection from beginning to end; returns only after a clean stop."""
        link = self._link = _Link(self, next(_generations))
        link.connect()
        link.write()  # paho has queued CONNECT, and there is nothing to wait for before it is sent
        poll = select.poll()
        poll.register(self._wake_r, select.POLLIN)
        descriptor, mask = link.sock.fileno(), -1
        while not self._stopped(link):
            paused = self.inbox.full and self._stop_at is None
            wanted = (0 if paused else select.POLLIN) | (select.POLLOUT if link.sock.unsent else 0)
            if wanted != mask:
                poll.register(descriptor, wanted)
                mask = wanted
            hasty = not paused and link.sock.pending() > 0
            readable = hasty
            for ready, events in poll.poll(0 if hasty else link.tick_s * 1000):
                if ready != descriptor:
                    self._hear_wake()
                elif events & ~select.POLLOUT:
                    readable = True
            if readable and paused:  # nothing was asked for, so this is POLLERR or POLLHUP
                raise ConnectionClosed("the broker or something between cut the connection")
            if readable:
                link.read(discard=self._stop_at is not None)
            link.write()
            link.keep_alive(paused)
        self._link = None

    def _stopped(self, link: "_Link") -> bool:
        """Whether a stop is asked for and done; takes its steps."""
        if self._stop_at is None:
            return False
        if not link.open:
            link.close()
            return True
        if link.say_goodbye():
            self._clean = True
            return True
        if self.monotonic() >= self._stop_at:
            link.cut()
            return True
        return False


class _Client(paho.Client):
    """paho's client over a socket of ours.

    ``_create_socket`` is the one name of paho's inside that we rely on; `_Link.connect` says so clearly
    when a later paho does not call it any more.
    """

    def __init__(self, create_socket: Callable[[], PacketSocket], **options: Any) -> None:
        super().__init__(CallbackAPIVersion.VERSION2, **options)
        self._edgead_create_socket = create_socket

    def _create_socket(self) -> Any:
        return self._edgead_create_socket()


def _leave_writing_to_us(client: Any, userdata: Any, sock: Any) -> None:
    """With this callback set, paho queues packets and never writes from the thread that publishes."""


class _Link:
    """One connection, from the first byte to the last; all but `publish` and `send` belong to the network thread.

    Attributes
    ----------
    generation : int
        Number of the connection, in every token and handle.
    open : bool
        The broker let us in, and the first messages are sent: others can follow.
    subscribed : bool
        The broker has answered all subscriptions.
    connected_at : float or None
        Monotonic seconds of that moment.
    """

    def __init__(self, bridge: Bridge, generation: int) -> None:
        self._bridge = bridge
        self._settings = bridge.settings
        self.generation = generation
        self.open = False
        self.subscribed = False
        self.connected_at: float | None = None
        self._session_present = False
        self._refusal = ""
        self._subscribing: dict[int, Sequence[str]] = {}
        self._goodbye: int | None = None
        self._goodbye_taken = False
        self._keepalive_s = float(self._settings.keepalive_s)
        self._started = self._last_in = self._last_out = self._last_ping = bridge.monotonic()
        self._was_paused = False
        self._client = self._new_client()

    @property
    def sock(self) -> PacketSocket:
        """The socket under paho.

        Raises
        ------
        ConnectionClosed
            If paho has closed it.
        """
        sock = self._client.socket()
        if sock is None:
            raise ConnectionClosed(self._refusal or "the broker closed the connection")
        assert isinstance(sock, PacketSocket)
        return sock

    @property
    def tick_s(self) -> float:
        """How long to sleep at most."""
        return min(1.0, self._keepalive_s / 8) if self._keepalive_s else 1.0

    # -- making the connection ---------------------------------------------------------------------------

    def _new_client(self) -> _Client:
        settings, is_v5 = self._settings, self._settings.protocol == "5"
        client = _Client(
            self._create_socket,
            client_id=settings.client_id,
            clean_session=None if is_v5 else False,
            protocol=MQTTProtocolVersion.MQTTv5 if is_v5 else MQTTProtocolVersion.MQTTv311,
            manual_ack=True,
            reconnect_on_failure=False,
        )
        client.max_inflight_messages_set(0)  # the window below is the only limit
        client.max_queued_messages_set(settings.window)
        client.on_connect = self._on_connect
        client.on_subscribe = self._on_subscribe
        client.on_unsubscribe = self._on_unsubscribe
        client.on_publish = self._on_publish
        client.on_disconnect = self._on_disconnect
        client.on_message = self._on_message
        client.on_socket_register_write = _leave_writing_to_us
        topics, now_ns = self._bridge.topics, self._bridge.clock_ns()
        client.will_set(topics.status, Status(ts=to_ms(now_ns), state="offline").encode(), qos=1, retain=True)
        return client

    def connect(self) -> None:
        """Connect and send CONNECT; the rest is done by what the broker answers.

        Raises
        ------
        BridgeError, OSError
        """
        settings, client = self._settings, self._client
        if settings.username:
            client.username_pw_set(settings.username, self._bridge.password())
        options: dict[str, Any] = {}
        if settings.protocol == "5":
            properties = Properties(PacketTypes.CONNECT)  # type: ignore[no-untyped-call]
            properties.SessionExpiryInterval = settings.session_expiry_s
            properties.MaximumPacketSize = settings.max_packet_bytes
            options = {"clean_start": False, "properties": properties}
        client.connect(settings.host, settings.port, settings.keepalive_s, **options)
        if not isinstance(client.socket(), PacketSocket):
            raise BridgeError("this paho-mqtt does not let us create its socket; 2.1 and 2.2 do")
        self._started = self._last_in = self._last_out = self._last_ping = self._bridge.monotonic()

    def _create_socket(self) -> PacketSocket:
        return PacketSocket(
            dial(self._settings),
            max_packet=self._settings.max_packet_bytes,
            direct=self._settings.protocol == "3.1.1",
            generation=self.generation,
            clock_ns=self._bridge.clock_ns,
        )

    def _on_connect(
        self, client: Any, userdata: Any, flags: Any, reason: ReasonCode, properties: Any
    ) -> None:
        if reason.is_failure:
            self._refusal = reasons.of_refusal(reason.getName(), self._settings.host, self._settings.port)
            return
        self._session_present = flags.session_present
        self._keepalive_s = float(getattr(properties, "ServerKeepAlive", self._settings.keepalive_s))
        filters = self._bridge.filters
        for at in range(0, len(filters), FILTERS_PER_SUBSCRIBE):
            some = filters[at : at + FILTERS_PER_SUBSCRIBE]
            _, mid = client.subscribe([(each, self._subscribe_options()) for each in some])
            self._subscribing[mid] = some
        if self._bridge.abandoned:
            _, mid = client.unsubscribe(list(self._bridge.abandoned))
            self._subscribing[mid] = ()
        # SUBACK may come behind thousands of messages that the broker kept for us: nothing waits for it.
        self._announce("online")
        self.connected_at = self._bridge.monotonic()
        self._bridge.inbox.tell(Connected(self._session_present), meanwhile=self._open)

    def _open(self) -> None:
        self.open = True

    def _subscribe_options(self) -> Any:
        if self._settings.protocol != "5":
            return 1
        # Our own messages stay out even of "#", and a reconnect does not bring every retained message again.
        return SubscribeOptions(qos=1, noLocal=True, retainHandling=SubscribeOptions.RETAIN_SEND_IF_NEW_SUB)

    def _on_subscribe(
        self, client: Any, userdata: Any, mid: int, codes: list[ReasonCode], properties: Any
    ) -> None:
        for wanted, code in zip(self._subscribing.pop(mid, ()), codes):
            if code.is_failure:
                self._bridge.inbox.tell(
                    Fault(f"the broker refused the subscription to {wanted}: {code.getName()}")
                )
        self._answered()

    def _on_unsubscribe(self, client: Any, userdata: Any, mid: int, codes: Any, properties: Any) -> None:
        self._subscribing.pop(mid, None)
        self._answered()

    def _answered(self) -> None:
        """When the last answer is there, say so."""
        if not self._subscribing and not self.subscribed:
            self.subscribed = True
            self._bridge.inbox.tell(Subscribed())

    def _announce(self, state: Literal["online", "offline"]) -> int | None:
        status = Status(ts=to_ms(self._bridge.clock_ns()), state=state)
        return self.publish(self._bridge.topics.status, status.encode(), 1, True, None)

    def _on_disconnect(
        self, client: Any, userdata: Any, flags: Any, reason: ReasonCode, properties: Any
    ) -> None:
        if flags.is_disconnect_packet_from_server:
            self._refusal = reasons.of_refusal(reason.getName(), self._settings.host, self._settings.port)

    # -- messages ----------------------------------------------------------------------------------------

    def _on_message(self, client: Any, userdata: Any, message: paho.MQTTMessage) -> None:
        """A message that paho has decoded: all of MQTT 5."""
        properties = message.properties
        try:
            topic = message.topic
        except UnicodeDecodeError:  # no rule reads it; raising would bring it again for ever
            topic = "\ufffd"
        token = self.generation << 16 | message.mid if message.qos else 0
        incoming = Incoming(
            topic,
            bytes(message.payload),
            message.retain,
            self._bridge.clock_ns(),
            token,
            getattr(properties, "ResponseTopic", None),
            getattr(properties, "CorrelationData", None),
        )
        self.sock.take(incoming)

    def _on_publish(self, client: Any, userdata: Any, mid: int, reason: ReasonCode, properties: Any) -> None:
        handle = self.generation << 16 | mid
        if handle == self._goodbye:
            self._goodbye_taken = True
        if reason.is_failure:
            self._bridge.inbox.tell(Fault(f"the broker refused a message of ours: {reason.getName()}"))
        self._bridge.inbox.tell(Delivered(handle))

    def publish(
        self, topic: str, payload: bytes, qos: int, retain: bool, correlation: bytes | None
    ) -> int | None:
        """As `Bridge.publish`."""
        client = self._client
        sock = client.socket()
        if not isinstance(sock, PacketSocket) or (qos == 0 and sock.unsent >= WRITE_BYTES):
            return None
        properties = None
        if correlation is not None and self._settings.protocol == "5":
            properties = Properties(PacketTypes.PUBLISH)
            properties.CorrelationData = correlation
        info = client.publish(topic, payload, qos, retain, properties)
        self._bridge.wake()
        return self.generation << 16 | info.mid if info.rc == MQTTErrorCode.MQTT_ERR_SUCCESS else None

    def send(self, packets: bytes) -> None:
        """Send packets of ours at once if that goes: waking the network thread for them would cost more."""
        sock = self._client.socket()
        if not isinstance(sock, PacketSocket):
            return
        with suppress(OSError, ConnectionClosed):  # the network thread meets the same trouble, and tells it
            sock.write(packets)
            if sock.writes_from_anywhere:
                sock.flush()
        if sock.unsent:
            self._bridge.wake()

    # -- the thread's steps ------------------------------------------------------------------------------

    def read(self, *, discard: bool) -> None:
        """Read once, let paho have its packets, and put the messages into the inbox."""
        sock = self.sock
        if sock.fill():
            self._last_in = self._bridge.monotonic()
        while sock.for_paho:
            code = self._client.loop_read()
            if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
                raise ProtocolError(self._refusal or f"the connection failed: {paho.error_string(code)}")
        messages, size = sock.fetch()
        if messages and not discard:
            self._bridge.inbox.put(messages, size)

    def write(self) -> None:
        """Send what waits."""
        sock = self.sock
        if self._client.want_write():
            code = self._client.loop_write()
            if code != MQTTErrorCode.MQTT_ERR_SUCCESS:
                raise ConnectionClosed(self._refusal or f"the connection failed: {paho.error_string(code)}")
        try:
            sent = sock.flush()
        except OSError:
            self.read(discard=True)  # a farewell of the broker, as a TLS alert, is the better reason
            raise
        if sent:
            self._last_out = self._bridge.monotonic()

    def keep_alive(self, paused: bool) -> None:
        """Ping in time, and notice when nobody answers.

        Notes
        -----
        paho's own ``loop_misc`` is not used: while reading is paused the answer to its ping waits behind
        messages, and it would take the connection for dead.
        """
        now = self._bridge.monotonic()
        if paused or self._was_paused:
            self._last_in = now  # we do not listen, so silence says nothing
        self._was_paused = paused
        if not self.open and now - self._started > self._settings.connect_timeout_s:
            raise TimeoutError
        period = self._keepalive_s
        if not period:
            return
        quiet = now - min(self._last_in, self._last_out)
        if quiet >= 0.75 * period and now - self._last_ping >= 0.75 * period:
            self.sock.write(PINGREQ)
            self._last_ping = now
        if now - self._last_in > 1.5 * period:
            raise ConnectionClosed(f"nothing was heard from the broker for {1.5 * period:.0f} s")

    # -- the end -----------------------------------------------------------------------------------------

    def say_goodbye(self) -> bool:
        """Announce offline; True when the broker has taken that, and with it everything before."""
        if self._goodbye is None:
            self._goodbye = self._announce("offline")
        if not self._goodbye_taken or self.sock.unsent:
            return False
        self.close()
        return True

    def close(self) -> None:
        """DISCONNECT if somebody is there to hear it, which takes the last will back, and close."""
        self.open = False
        if self._goodbye_taken:
            self._client.disconnect()
            self._client.loop_write()
        self.cut()

    def cut(self) -> None:
        """Close without a word: the broker publishes the last will."""
        self.open = False
        sock = self._client.socket()
        if sock is not None:
            sock.close()

"""Two small clients for tools: publish a recording, listen to topics.  The agent's own way is `edgead.bridge.client`.

Both block, use MQTT 3.1.1 with a clean session at QoS 1, and end with an error when the broker is lost: a
tool has somebody in front of it who can start it again.
"""

import threading
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import Any, Self

import msgspec
import paho.mqtt.client as mqtt
from paho.mqtt.enums import CallbackAPIVersion
from paho.mqtt.reasoncodes import ReasonCode

from edgead.bridge.settings import TlsSettings, tls_context
from edgead.errors import BridgeError

#: Messages on their way to the broker before `Publisher.publish` waits.
IN_FLIGHT = 100
TIMEOUT_S = 10.0


class Login(msgspec.Struct, frozen=True, kw_only=True):
    """How a tool gets in where the broker does not let everybody in.

    Attributes
    ----------
    username, password : str, str or None
    tls : TlsSettings, optional
    """

    username: str = ""
    password: str | None = None
    tls: TlsSettings | None = None


ANYBODY = Login()


class _Session:
    """One connection from entering to leaving a ``with`` block."""

    def __init__(self, host: str, port: int, client_id: str, login: Login) -> None:
        self._address = (host, port)
        self._client = mqtt.Client(CallbackAPIVersion.VERSION2, client_id, protocol=mqtt.MQTTv311)
        if login.username:
            self._client.username_pw_set(login.username, login.password)
        if login.tls is not None:
            self._client.tls_set_context(tls_context(login.tls))
        self._client.max_inflight_messages_set(IN_FLIGHT)
        self._client.on_connect = self._on_connect
        self._client.on_disconnect = self._on_disconnect
        self._answered = threading.Event()
        self._trouble = ""

    def __enter__(self) -> Self:
        try:
            self._client.connect(*self._address)
        except OSError as error:
            raise BridgeError(f"mqtt: no broker at {self._where()}: {error}") from error
        self._client.loop_start()
        try:
            self._wait_for(self._answered, "did not answer")
            self._connected()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _connected(self) -> None:
        """What belongs to entering the block beside the connection."""

    def close(self) -> None:
        """Say goodbye and end the network thread."""
        self._client.on_disconnect = None
        self._client.disconnect()
        self._client.loop_stop()

    def _where(self) -> str:
        return "{}:{}".format(*self._address)

    def _on_connect(
        self, client: mqtt.Client, data: Any, flags: Any, code: ReasonCode, properties: Any
    ) -> None:
        if code.is_failure:
            self._trouble = f"refused the connection: {code}"
        self._answered.set()

    def _on_disconnect(
        self, client: mqtt.Client, data: Any, flags: Any, code: ReasonCode, properties: Any
    ) -> None:
        self._trouble = self._trouble or f"closed the connection: {code}"
        self._wake()

    def _wake(self) -> None:
        """Let go whoever waits, to see the trouble."""
        self._answered.set()

    def _wait_for(self, event: threading.Event, complaint: str) -> None:
        answered = event.wait(TIMEOUT_S)
        self.check()
        if not answered:
            raise BridgeError(f"mqtt: the broker at {self._where()} {complaint} within {TIMEOUT_S:.0f} s")

    def check(self) -> None:
        """Raise if the connection is lost.

        Raises
        ------
        BridgeError
            With the reason.
        """
        if self._trouble:
            raise BridgeError(f"mqtt: the broker at {self._where()} {self._trouble}")


class Publisher(_Session):
    """Publishes at QoS 1 no faster than the broker acknowledges.

    Parameters
    ----------
    host, port : str, int
    client_id : str, optional
        ``""`` lets the broker choose.
    login : Login, optional
        Without it, anybody's.

    Raises
    ------
    BridgeError
        From every method, when the broker is not there, refuses, or is lost.
    """

    def __init__(self, host: str, port: int, *, client_id: str = "", login: Login = ANYBODY) -> None:
        super().__init__(host, port, client_id, login)
        self._room = threading.Semaphore(IN_FLIGHT)
        self._client.on_publish = self._on_publish

    def _on_publish(
        self, client: mqtt.Client, data: Any, mid: int, code: ReasonCode, properties: Any
    ) -> None:
        self._room.release()

    def _wake(self) -> None:
        super()._wake()
        self._room.release()

    def publish(self, topic: str, payload: bytes) -> None:
        """Send one message; waits while `IN_FLIGHT` are not acknowledged."""
        if not self._room.acquire(timeout=TIMEOUT_S):
            raise BridgeError(f"mqtt: the broker at {self._where()} took nothing for {TIMEOUT_S:.0f} s")
        self.check()
        self._client.publish(topic, payload, qos=1)

    def drain(self) -> None:
        """Wait until everything sent is acknowledged."""
        for taken in range(IN_FLIGHT):
            if not self._room.acquire(timeout=TIMEOUT_S):
                raise BridgeError(
                    f"mqtt: the broker at {self._where()} left {IN_FLIGHT - taken} messages unacknowledged"
                )
            self.check()
        self._room.release(IN_FLIGHT)


class Listener(_Session):
    """Hands every message of some topics to a callback, on the network thread.

    Parameters
    ----------
    host, port : str, int
    filters : sequence of str
        Topics, ``+`` and ``#`` allowed.
    on_message : callable (topic, payload)
        Must not raise; what it raises is told by `check`.
    client_id : str, optional
    login : Login, optional

    Notes
    -----
    Entering the ``with`` block returns when the broker has confirmed the subscription: nothing after it is
    missed.
    """

    def __init__(
        self,
        host: str,
        port: int,
        filters: Sequence[str],
        on_message: Callable[[str, bytes], None],
        *,
        client_id: str = "",
        login: Login = ANYBODY,
    ) -> None:
        super().__init__(host, port, client_id, login)
        self._filters = [(each, 1) for each in filters]
        self._take = on_message
        self._subscribed = threading.Event()
        self._client.on_message = self._on_message
        self._client.on_subscribe = self._on_subscribe

    def _connected(self) -> None:
        self._client.subscribe(self._filters)
        self._wait_for(self._subscribed, "did not confirm the subscription")

    def _on_subscribe(
        self, client: mqtt.Client, data: Any, mid: int, codes: list[ReasonCode], properties: Any
    ) -> None:
        refused = [str(code) for code in codes if code.is_failure]
        if refused:
            self._trouble = f"refused a subscription: {refused[0]}"
        self._subscribed.set()

    def _on_message(self, client: mqtt.Client, data: Any, message: mqtt.MQTTMessage) -> None:
        # An exception here would end paho's thread while the client still says it is connected.
        try:
            self._take(message.topic, bytes(message.payload))
        except Exception as error:
            self._trouble = f"sent a message that could not be taken: {error!r}"

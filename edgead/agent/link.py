"""The bridge as the loop uses it: made from the configuration, and made anew when the subscriptions change."""

import json
import logging
from collections.abc import Callable, Iterable
from pathlib import Path

from edgead.bridge.client import Bridge
from edgead.bridge.inbox import Inbox
from edgead.bridge.settings import BridgeSettings, TlsSettings
from edgead.bridge.topics import Topics
from edgead.config import Config, mqtt_password
from edgead.durable import replace_file

log = logging.getLogger("edgead")

#: Remembers what the broker holds for us, so that a filter that left the configuration is unsubscribed.
SUBSCRIPTIONS = "subscriptions.json"


class Link:
    """Connection to the broker and the inbox behind it.

    Parameters
    ----------
    config : Config
        Its ``[mqtt]``, ``[limits] inbox`` and state directory.
    now_ns : callable
        Clock of arrival times.

    Attributes
    ----------
    topics : Topics
        Of this node.
    inbox : Inbox
        What came and has not been taken.
    """

    def __init__(self, config: Config, now_ns: Callable[[], int]) -> None:
        self.topics = Topics(config.node.id, root=config.mqtt.topic_root)
        self.inbox = Inbox(max_messages=config.limits.inbox)
        self._config = config
        self._now_ns = now_ns
        self._settings = _bridge_settings(config)
        self._remembered = Path(config.node.state_dir) / SUBSCRIPTIONS
        self._bridge: Bridge | None = None

    def start(self, filters: list[str]) -> None:
        """Connect with these subscriptions; a running connection goes on when they did not change."""
        if self._bridge is not None:
            if list(self._bridge.filters[: len(filters)]) == filters:
                return
            self._bridge.stop()
        self._bridge = Bridge(
            self._settings,
            self.topics,
            filters,
            self.inbox,
            previous_filters=self._recall(),
            password=lambda: mqtt_password(self._config.mqtt),
            clock_ns=self._now_ns,
        )
        self._remember({*self._bridge.filters, *self._recall()})
        self._bridge.start()

    def settled(self) -> None:
        """The broker has taken our subscriptions, and dropped those that left the configuration."""
        if self._bridge is not None:
            self._remember(self._bridge.filters)

    def _recall(self) -> list[str]:
        try:
            filters = json.loads(self._remembered.read_text())
        except (OSError, ValueError):
            return []
        return [each for each in filters if isinstance(each, str)] if isinstance(filters, list) else []

    def _remember(self, filters: Iterable[str]) -> None:
        wanted = sorted(filters)
        if wanted == self._recall():
            return
        try:
            replace_file(self._remembered, json.dumps(wanted).encode())
        except OSError as error:  # only costs an unsubscribe later
            log.warning("subscriptions not noted", extra={"fields": {"reason": error.strerror}})

    def publish(
        self,
        topic: str,
        payload: bytes,
        *,
        qos: int = 1,
        retain: bool = False,
        correlation: bytes | None = None,
    ) -> int | None:
        """See `Bridge.publish`."""
        if self._bridge is None:
            return None
        return self._bridge.publish(topic, payload, qos=qos, retain=retain, correlation=correlation)

    def acknowledge(self, tokens: Iterable[int]) -> None:
        """See `Bridge.acknowledge`."""
        if self._bridge is not None:
            self._bridge.acknowledge(tokens)

    def stop(self) -> None:
        """Say goodbye and end the network thread."""
        if self._bridge is not None:
            self._bridge.stop()


def _bridge_settings(config: Config) -> BridgeSettings:
    mqtt = config.mqtt
    tls = None if mqtt.tls is None else TlsSettings(ca=mqtt.tls.ca, cert=mqtt.tls.cert, key=mqtt.tls.key)
    return BridgeSettings(
        host=mqtt.host,
        port=mqtt.port,
        client_id=mqtt.client_id or f"edgead-{config.node.id}",
        username=mqtt.username,
        keepalive_s=mqtt.keepalive // 10**9,
        protocol=mqtt.protocol,
        tls=tls,
    )

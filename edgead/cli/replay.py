"""``edgead replay``: a recording over MQTT."""

import time as clock
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgead.cli.options import DURATION, progress

if TYPE_CHECKING:
    from edgead.bridge.tools import Publisher
    from edgead.config import MqttConfig
    from edgead.recording import Recording

_MS = 1_000_000


class Rate(click.ParamType):  # type: ignore[type-arg]  # generic in newer versions of click only
    """Rows a second, or ``max``, which is 0 inside."""

    name = "rate"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        """A number above 0, or 0 for max."""
        try:
            rate = 0.0 if value == "max" else float(str(value))
        except ValueError:
            rate = -1.0
        if not 0 <= rate <= 1e9 or (rate == 0 and value not in ("max", 0.0)):
            self.fail(f"{value!r}: expected rows a second, above 0, or max", param, ctx)
        return rate


@click.command(short_help="Publish a recording over MQTT.")
@click.argument("file", type=click.Path(dir_okay=False))
@click.option(
    "--topic",
    required=True,
    metavar="TEMPLATE",
    help="Topic of each column: {column} is its name, {file} the name of the file without ending.",
)
@click.option("--column", "columns", multiple=True, metavar="NAME", help="Column to publish [all numbers].")
@click.option("--time", metavar="COLUMN", help="Column of the times [found by name].")
@click.option("--host", help="Broker [127.0.0.1, or that of the configuration].")
@click.option("--port", type=click.IntRange(1, 65535), help="Its port [1883, or that of the configuration].")
@click.option(
    "-c", "--config", "config_file", metavar="FILE", help="Take broker, user, password and TLS from here."
)
@click.option("--rate", type=Rate(), default="max", show_default=True, metavar="N|max", help="Rows a second.")
@click.option("--interval", type=DURATION, help="Send times this far apart, where the file has none.")
def replay(
    file: str,
    topic: str,
    columns: tuple[str, ...],
    time: str | None,
    host: str | None,
    port: int | None,
    config_file: str | None,
    rate: float,
    interval: int | None,
) -> None:
    """Publish the columns of a CSV file, row by row, as devices would: {"ts": 1763750000123, "value": 21.5}.

    The times of the file go along as ts (milliseconds; nanoseconds where the file has finer times); a file without
    times sends none, unless --interval makes some.  Cells without value are left out.

    \b
    Examples:
      edgead replay pump.csv --topic plant/pump1/{column}
      edgead replay pump.csv --topic plant/{file}/{column} --rate 10
      edgead replay pump.csv --topic plant/pump1/temp --column Temperature --host broker.local
      edgead replay pump.csv --topic plant/pump1/{column} -c gateway.toml
    """
    from edgead.config import Config, load
    from edgead.recording import read_recording

    recording = read_recording(file, columns=columns, time=time, interval_ns=interval)
    topics = _topics(recording, topic)
    with_times = recording.timed or interval is not None
    mqtt = (load(config_file) if config_file else Config()).mqtt
    with (
        _publisher(mqtt, host, port) as publisher,
        progress("publishing", len(recording.times_ns)) as advance,
    ):
        start, sent = clock.monotonic(), 0
        for row, messages in enumerate(_messages(recording, topics, with_times)):
            if rate and (ahead := start + row / rate - clock.monotonic()) > 0:
                clock.sleep(ahead)
            for message in messages:
                publisher.publish(*message)
            sent += len(messages)
            advance(1)
        publisher.drain()
    took = clock.monotonic() - start
    click.echo(f"{file}: {sent} messages on {len(topics)} topics in {took:.1f} s", err=True)


def _publisher(mqtt: "MqttConfig", host: str | None, port: int | None) -> "Publisher":
    """A client of the configured broker, at another address where one was given."""
    from edgead.bridge.settings import TlsSettings
    from edgead.bridge.tools import Login, Publisher
    from edgead.config import mqtt_password

    files = mqtt.tls
    tls = None if files is None else TlsSettings(ca=files.ca, cert=files.cert, key=files.key)
    login = Login(username=mqtt.username, password=mqtt_password(mqtt), tls=tls)
    return Publisher(host or mqtt.host, port or mqtt.port, login=login)


def _topics(recording: "Recording", template: str) -> dict[str, str]:
    """Topic of each column; different columns need different ones."""
    stem = _level(Path(recording.path).stem)
    topics = {
        column: template.replace("{file}", stem).replace("{column}", _level(column))
        for column in recording.columns
    }
    for topic in topics.values():
        if any(mark in topic for mark in "+#{}\0") or not topic:
            raise click.BadParameter(
                f"{topic!r}: expected a topic; only {{column}} and {{file}} are replaced",
                param_hint="--topic",
            )
    if len(set(topics.values())) < len(topics):
        names = ", ".join(topics)
        raise click.BadParameter(
            f"needs {{column}} to tell {names} apart, or a --column", param_hint="--topic"
        )
    return topics


def _level(name: str) -> str:
    """A name as one topic level."""
    return "".join("_" if letter in "+#/{}\0" else letter for letter in name)


def _messages(
    recording: "Recording", topics: dict[str, str], with_times: bool
) -> Iterator[list[tuple[str, bytes]]]:
    """The messages of each row, (topic, payload)."""
    import msgspec

    encode = msgspec.json.Encoder().encode
    times = recording.times_ns.tolist()
    unit = _MS if not (recording.times_ns % _MS).any() else 1
    columns = [(topic, recording.columns[column].tolist()) for column, topic in topics.items()]
    for row, at in enumerate(times):
        head = {"ts": at // unit} if with_times else {}
        yield [
            (topic, encode({**head, "value": values[row]}))
            for topic, values in columns
            if values[row] == values[row]
        ]

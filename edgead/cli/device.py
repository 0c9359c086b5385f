"""Commands about a device: run, check, status."""

from typing import TYPE_CHECKING

import click

from edgead.cli import uplink
from edgead.cli.options import config_option
from edgead.cli.serve import describe_server

if TYPE_CHECKING:
    from edgead.config import Config, SeriesConfig

#: Parts of a file that say something to an agent; one with [server] and none of them is a server's.
_OF_AGENT = frozenset({"mqtt", "http", "series", "group", "limits", "store"})


@click.command(short_help="Watch the broker and publish anomalies.")
@config_option
def run(config_file: str) -> None:
    """Watch the broker and publish anomalies until SIGTERM or Ctrl-C.

    A second start on the same state goes on where the first ended, however that was.

    \b
    Examples:
      edgead run -c /etc/edgead/gateway.toml
      EDGEAD_MQTT_PASSWORD=... edgead run -c gateway.toml
      systemctl start edgead                    the same as a service (firmware-config/systemd)
      kill -HUP PID                             take the file again; a bad one changes nothing
    """
    from pathlib import Path

    from edgead import agent

    agent.run(Path(config_file))


@click.command(short_help="Check a configuration file.")
@config_option
def check(config_file: str) -> None:
    """Check a configuration file and print what it makes the device or the server do, and what that costs.

    Exit code 0: right.  2: wrong, with every mistake in a line of its own.

    \b
    Examples:
      edgead check -c gateway.toml
      edgead check -c gateway.toml && systemctl reload edgead
    """
    from edgead.config import load

    config = load(config_file)
    served, of_agent = "server" in config.sections, bool(_OF_AGENT & config.sections)
    lines, notes = describe_server(config) if served else ([], [])
    if of_agent or not served:
        lines, notes = _summary(config) + lines, _notes(config) + notes
    click.echo(f"{config_file}: ok")
    for line in lines:
        click.echo(f"  {line}")
    for note in notes:
        click.echo(f"note: {note}")


def _summary(config: "Config") -> list[str]:
    from edgead.config.units import show_size

    mqtt = config.mqtt
    tls = " with TLS" if mqtt.tls else ""
    lines = [
        f"node     {config.node.id}, state in {config.node.state_dir}",
        f"broker   {mqtt.host}:{mqtt.port}{tls}, MQTT {mqtt.protocol}, topics {mqtt.topic_root}/{config.node.id}/...",
        f"http     {config.http.listen or 'none'}",
        *uplink.summary_lines(config),
    ]
    if not config.series:
        return [*lines, "series   none: no [[series]] in the file"]
    budget = config.limits.memory_budget
    for block in config.series:
        count, each = _block_series(config, block), _series_bytes(block)
        lines.append(f"series   {_describe(block)}, {count} at most, {show_size(each)} each")
    for group in config.group:
        variables = f"{len(group.variables)} variable{'s' * (len(group.variables) != 1)}"
        lines.append(f"group    {group.id}: {variables} judged together by the model {group.model}")
    most, total = _most(config)
    lines.append(
        f"memory   at most {show_size(min(total, budget))} for {most} series (budget {show_size(budget)})"
    )
    return lines


def _most(config: "Config") -> tuple[int, int]:
    """Series that all blocks together can make, and what the memory budget counts for them at worst."""
    left, total = config.limits.max_series, 0
    for each, count in sorted(
        ((_series_bytes(block), _block_series(config, block)) for block in config.series), reverse=True
    ):
        taken = min(count, left)
        left, total = left - taken, total + taken * each
    return config.limits.max_series - left, total


def _describe(block: "SeriesConfig") -> str:
    from edgead.config.units import show_duration

    paths = ", ".join(value or "bare number" for value in block.values)
    name = f" as {', '.join(_ids(block)) or block.id}" if block.id or _is_literal(block) else ""
    judging = f"{_detector(block)}, window {block.window}, sensitivity {block.sensitivity}"
    return f"{block.topic} ({paths}){name}: every {show_duration(block.interval)}, {judging}"


def _ids(block: "SeriesConfig") -> list[str]:
    """Ids of the series of a block without wildcards: characters that an id cannot have are replaced in them."""
    from edgead.bridge.payloads import field_names
    from edgead.bridge.topics import TopicPattern

    if not _is_literal(block):
        return []
    pattern = TopicPattern(block.topic, block.id_template)
    return [pattern.series_id(block.topic, {}, field) for field in field_names(block.value)]


def _detector(block: "SeriesConfig") -> str:
    """Its name, and what that stands for here."""
    from edgead.univariate.streaming import resolve

    found = resolve(block.detector)
    return found if found == block.detector else f"{block.detector} = {found}"


def _block_series(config: "Config", block: "SeriesConfig") -> int:
    """Series a block can make."""
    if _is_literal(block):
        return len(block.values)
    return min(block.limit or config.limits.max_series, config.limits.max_series)


def _is_literal(block: "SeriesConfig") -> bool:
    return not any(mark in block.topic for mark in "+#{")


def _series_bytes(block: "SeriesConfig") -> int:
    """What the memory budget counts for one series of a block."""
    from edgead.stream.engine import SERIES_OVERHEAD_BYTES
    from edgead.univariate import make_detector

    settings = block.settings
    return make_detector(settings.detector, settings.detecting).nbytes + SERIES_OVERHEAD_BYTES


def _notes(config: "Config") -> list[str]:
    """What is allowed and may still not be what was meant."""
    from edgead.config import NodeConfig

    notes = []
    loopback = ("127.", "localhost:", "[::1]:")
    if config.http.listen and not config.http.listen.startswith(loopback):
        notes.append(f"http.listen = {config.http.listen!r} can be reached from outside, and has no login")
    elsewhere = not config.mqtt.host.startswith(("127.", "localhost", "::1"))
    if config.node.id == NodeConfig().id and elsewhere:
        notes.append("node.id is the default: two devices of one name would push each other off the broker")
    if config.mqtt.username and not config.mqtt.tls and elsewhere:
        notes.append("the password goes over the network in clear: [mqtt.tls] would hide it")
    most, total = _most(config)
    if total > config.limits.memory_budget:
        notes.append(
            f"{most} series can need more than limits.memory_budget; those that come last are refused"
        )
    notes += _group_notes(config)
    notes += _detector_notes(config)
    notes += uplink.notes(config)
    named = sum(len(block.values) for block in config.series if _is_literal(block))
    if named > config.limits.max_series:
        notes.append(
            f"{named} series are named here, more than limits.max_series = {config.limits.max_series}"
        )
    return notes


def _detector_notes(config: "Config") -> list[str]:
    """Where the best detector cannot be had, or an installed model is not the one in use."""
    from edgead.agent.network import NetworkInUse

    network = NetworkInUse(config)
    return [each for each in (network.default, *network.problems) if each]


def _group_notes(config: "Config") -> list[str]:
    """Groups that would be off; their models are loaded as the agent would."""
    from edgead.agent.groups import Groups
    from edgead.stream import Engine

    return Groups(config, Engine(config.engine)).problems if config.group else []

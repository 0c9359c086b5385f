"""``edgead status``: what the state directory says about a device."""

import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgead.cli.options import config_option
from edgead.cli.trials import trial_lines, trial_objects
from edgead.cli.uplink import has_synced, state_lines, state_object

if TYPE_CHECKING:
    from edgead.config import Config
    from edgead.store import StoreView
    from edgead.stream import Engine
    from edgead.stream.group import Group
    from edgead.stream.series import Series

_COLUMNS = ("series", "phase", "last reading", "value", "expected", "score", "from")


@click.command(short_help="Show series, phases and spool of a device.")
@config_option
@click.option("--json", "as_json", is_flag=True, help="For programs: one object.")
def status(config_file: str, as_json: bool) -> None:
    """Show series, phases and waiting events, from the state directory: whether the agent runs or not.

    It shows what was committed last, so it may be a commit interval old.

    \b
    Examples:
      edgead status -c /etc/edgead/gateway.toml
      edgead status -c gateway.toml --json | jq '.series[] | select(.phase == "stale")'
    """
    from edgead.config import load
    from edgead.errors import StoreError
    from edgead.store import Store

    config = load(config_file)
    try:
        view = Store.read_only(Path(config.node.state_dir))
    except StoreError as error:
        if error.kind != "missing" or not has_synced(config):
            raise
        _print_synced(config, as_json)
        return
    try:
        engine, problems = restore(config, view)
        show = _print_json if as_json else _print_text
        show(config, view, engine, problems)
    finally:
        view.close()


def _print_synced(config: "Config", as_json: bool) -> None:
    """Of a device that has synced and never judged: what it has, and that no agent has run."""
    notice = f"no agent has run with {config.node.state_dir} yet"
    if as_json:
        import msgspec

        body = {
            "node": config.node.id,
            "series": [],
            "groups": [],
            "uplink": state_object(config),
            "models": trial_objects(config),
            "notices": [notice],
        }
        sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(body)) + b"\n")
        return
    click.echo(f"node    {config.node.id}, state in {config.node.state_dir}")
    for line in [*state_lines(config, time.time()), *trial_lines(config, None), f"note: {notice}"]:
        click.echo(line)


def restore(config: "Config", view: "StoreView") -> tuple["Engine", list[str]]:
    """The engine as the agent would restore it now, and what it would have to do without, and why."""
    from edgead.agent.groups import Groups
    from edgead.agent.intake import Intake
    from edgead.agent.network import NetworkInUse
    from edgead.bridge.topics import Topics
    from edgead.stream import Engine

    network = NetworkInUse(config)
    engine = Engine(config.engine)
    intake = Intake(config, Topics(config.node.id, config.mqtt.topic_root), engine)
    groups = Groups(config, engine)
    engine.restore(view.snapshots(), view.journal(), intake.settings_for)
    default = [network.default] if network.default else []
    return engine, [*groups.problems, *network.problems, *default]


def _by_id(engine: "Engine") -> list["Series"]:
    return sorted(engine.series.values(), key=lambda each: each.series_id)


def _print_text(config: "Config", view: "StoreView", engine: "Engine", problems: list[str]) -> None:
    from collections import Counter

    from edgead.cli.results import aligned
    from edgead.config.units import show_duration, show_size

    series = _by_id(engine)
    phases = Counter(each.phase for each in series)
    spool = view.spool_stats()
    counted = ", ".join(f"{count} {phase}" for phase, count in sorted(phases.items()))
    click.echo(f"node    {config.node.id}, state in {config.node.state_dir}")
    click.echo(f"series  {len(series)}{': ' if series else ''}{counted}")
    waiting = f"{spool.rows} events ({show_size(spool.bytes)}) wait for the broker"
    if spool.oldest_ns is not None:
        age_s = max(0, time.time_ns() - spool.oldest_ns) // 10**9
        waiting += f", the oldest for {show_duration(age_s * 10**9)}"
    click.echo(f"spool   {waiting}, {spool.dropped} were dropped")
    click.echo(f"journal {view.journal_rows} entries ({show_size(view.journal_bytes)})")
    for line in [*state_lines(config, time.time()), *trial_lines(config, view)]:
        click.echo(line)
    for notice in [*view.notices, *problems]:
        click.echo(f"note: {notice}")
    if series:
        click.echo()
        for line in aligned([_COLUMNS, *map(_cells, series), *map(_group_cells, engine.groups.values())]):
            click.echo(line)


def _phase(each: "Series | Group", needed: int) -> str:
    from edgead.config.units import iso
    from edgead.stream.series import NEVER

    if each.phase == "learning":
        return f"learning ({needed} to go)"
    if 0 < each.muted_until_ns < NEVER:
        return f"muted until {iso(each.muted_until_ns)}"
    return str(each.phase)


def _group_cells(group: "Group") -> tuple[str, ...]:
    from edgead.config.units import iso

    verdict, phase = group.verdict, _phase(group, group.model.needed)
    if group.episode.is_open:
        phase = f"{phase}, anomaly since {iso(group.episode.since_ns)}"
    judged = ("none", "") if verdict is None else (iso(verdict.time_ns), f"{verdict.score:.3g}")
    return (group.name, phase, judged[0], "", "", judged[1], group.model.name)


def _cells(series: "Series") -> tuple[str, ...]:
    from edgead.config.units import iso

    verdict, phase = series.verdict, _phase(series, series.detector.needed)
    if series.episode.is_open:
        phase = f"{phase}, anomaly since {iso(series.episode.since_ns)}"
    if verdict is None:
        return (series.series_id, phase, "none", "", "", "", series.source)
    expected = "" if verdict.expected != verdict.expected else f"{verdict.expected:.6g}"
    judged = (iso(verdict.time_ns), f"{verdict.value:.6g}", expected, f"{verdict.score:.3g}")
    return (series.series_id, phase, *judged, series.source)


def _print_json(config: "Config", view: "StoreView", engine: "Engine", problems: list[str]) -> None:
    import msgspec

    from edgead.bridge.messages import group_state_message, state_message

    rows = [
        {
            "series": each.series_id,
            "source": each.source,
            "phase": each.phase,
            "needed": each.detector.needed,
            "open_since": each.episode.since_ns // 10**6 if each.episode.is_open else None,
            "last": None if each.verdict is None else state_message(each.verdict),
        }
        for each in _by_id(engine)
    ]
    groups = [
        {
            "group": each.group_id,
            "model": each.model.name,
            "phase": each.phase,
            "needed": each.model.needed,
            "open_since": each.episode.since_ns // 10**6 if each.episode.is_open else None,
            "last": None if each.verdict is None else group_state_message(each.verdict),
        }
        for each in engine.groups.values()
    ]
    body = {
        "node": config.node.id,
        "series": rows,
        "groups": groups,
        "spool": view.spool_stats(),
        "journal": {"entries": view.journal_rows, "bytes": view.journal_bytes},
        "uplink": state_object(config),
        "outbox": view.outbox_stats(),
        "models": trial_objects(config),
        "notices": [*view.notices, *problems],
    }
    sys.stdout.buffer.write(msgspec.json.format(msgspec.json.encode(body)) + b"\n")

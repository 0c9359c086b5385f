"""``edgead why``: why an alarm, and why none."""

from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgead.cli.options import config_option
from edgead.errors import InvalidInput

if TYPE_CHECKING:
    from edgead.config import Config
    from edgead.stream.why import Explanation

#: What the detector's views look at, in words; the unit of their numbers.
VIEWS = {
    "jump": ("the step from the last reading", "typical steps"),
    "innovation": ("the distance from the forecast", "typical innovations"),
    "fluctuation": ("how much more than usual it fluctuates", "typical innovations"),
    "salient": ("the distance from the forecast, weighed by its saliency", "typical innovations"),
    "level": ("the distance of the level from the slow mean", "typical innovations"),
    "noise": ("the scatter of the last readings", "typical innovations"),
    "frozen": ("the run of identical readings", "readings"),
    "season": ("the distance from the same moment of earlier seasons", "typical innovations"),
}
NETWORK = ("what the network says of the last readings", "log-odds")
GATES = {
    "learning": "it is still learning",
    "direction": "the deviation is on the side that `direction` leaves out",
    "min_abs": "the deviation is below `min_abs`",
    "min_rel": "the deviation is below `min_rel` of the expected value",
    "budget": "this series had five times the events that its sensitivity stands for, and it is not of the loudest",
}


@click.command(short_help="Explain an alarm, or why there was none.")
@click.argument("series")
@click.argument("time", required=False)
@config_option
@click.option("--json", "as_json", is_flag=True, help="For programs: one object.")
def why(series: str, time: str | None, config_file: str, as_json: bool) -> None:
    """Explain the newest reading of a series, or the one at a time: value, band, score, what made it, gates, phase.

    It judges again what the state directory holds since the state of the series was last saved; a reading from
    before that cannot be explained any more.

    \b
    Examples:
      edgead why press1.temp -c gateway.toml
      edgead why press1.temp 2026-11-25T14:03:20Z -c gateway.toml
      edgead why press1.temp 1763750000123 -c gateway.toml --json
    """
    from edgead.config import load

    config = load(config_file)
    explanation, unit = _explain(config, series, None if time is None else _time_ns(time))
    if as_json:
        import msgspec

        click.echo(msgspec.json.encode(explanation))
        return
    for line in describe(explanation, unit):
        click.echo(line)


def _time_ns(text: str) -> int:
    from edgead.recording.cells import to_time

    at_ns = to_time(text)
    if at_ns is None:
        raise InvalidInput(
            f"TIME {text!r}: expected ISO 8601 such as 2026-11-25T14:03:20Z, or an epoch number"
        )
    return at_ns


def _explain(config: "Config", series_id: str, at_ns: int | None) -> tuple["Explanation", str]:
    """The explanation, and the unit of the series."""
    from edgead.cli.status import restore
    from edgead.config.units import iso
    from edgead.store import Store
    from edgead.stream.why import explain

    view = Store.read_only(Path(config.node.state_dir))
    try:
        known = restore(config, view)[0].series
        if series_id not in known:
            near = get_close_matches(series_id, known, 1)
            hint = f"; did you mean {near[0]!r}?" if near else f"; there are {len(known)}, see edgead status"
            raise InvalidInput(f"series {series_id!r}: unknown in {config.node.state_dir}{hint}")
        saved = {name: (seq, blob) for name, seq, blob in view.snapshots() if name == series_id}
        # events, states and the log tell whole milliseconds: the reading they mean is the last one within it
        last_ns = at_ns if at_ns is None or at_ns % 10**6 else at_ns + 999_999
        found = explain(
            series_id,
            saved.get(series_id),
            view.journal(),
            known[series_id].settings,
            config.node.id,
            last_ns,
        )
    finally:
        view.close()
    if found is None:
        when = (
            "yet" if at_ns is None else f"at or before {iso(at_ns)} that the state directory still explains"
        )
        raise InvalidInput(f"series {series_id!r}: no reading {when}")
    return found, known[series_id].settings.unit


def describe(explanation: "Explanation", unit: str = "") -> list[str]:
    """The explanation in sentences."""
    from edgead.config.units import iso

    verdict = explanation.verdict
    value = f"{verdict.value:g} {unit}".rstrip()
    lines = [f"{verdict.series_id} at {iso(verdict.time_ns)}: {value} is {_judgement(explanation)}"]
    if verdict.expected == verdict.expected:
        lines.append(
            f"expected   {verdict.expected:g}, normal from {verdict.lower:g} to {verdict.upper:g};"
            f" score {verdict.score:.2f} (1 is the edge of normal), severity {verdict.severity:.2f}"
        )
    lines += _views(explanation)
    if explanation.missing:
        lines.append(f"gap        {explanation.missing} rows were missing before it")
    lines.append(f"phase      {verdict.phase}" + _needed(explanation) + _episode(explanation))
    lines.append("gates      " + ", ".join(f"{name} {value}" for name, value in explanation.gates.items()))
    if explanation.before:
        lines.append("before it  " + " ".join(f"{value:g}" for _, value in explanation.before))
    return lines


def _judgement(explanation: "Explanation") -> str:
    if explanation.verdict.is_anomaly:
        return "abnormal"
    if explanation.held_back_by:
        return f"outside the band and still no anomaly: {GATES[explanation.held_back_by]}"
    return "not judged yet" if explanation.verdict.phase == "learning" else "normal"


def _needed(explanation: "Explanation") -> str:
    return f", {explanation.needed} more readings needed" if explanation.needed else ""


def _episode(explanation: "Explanation") -> str:
    from edgead.config.units import iso

    since = explanation.episode_since_ns
    return f"; an anomaly is open since {iso(since)}" if since else "; no anomaly is open"


def _views(explanation: "Explanation") -> list[str]:
    """One line for each thing the detector looked at: the number, and the bound it is held against."""
    from edgead.univariate.srcnn import NO_BOUND

    parts, decided = explanation.parts, _decided(explanation)
    looks = [(name, *VIEWS[name], name, f"{name}_bound") for name in VIEWS if name in parts]
    if float(parts.get("log_odds_bound", NO_BOUND)) > NO_BOUND:
        looks.append(("network", *NETWORK, "log_odds", "log_odds_bound"))
    lines = [
        f"  {words}: {float(parts[number]):.3g} {unit}, limit {float(parts[bound]):.3g}"
        + ("  <- decided" if name == decided else "")
        for name, words, unit, number, bound in looks
    ]
    if decided == "day":
        lines.append(
            f"  the distance from this time of other days: {explanation.verdict.score:.3g} of its limit  <- decided"
        )
    return ["looked at", *lines] if lines else []


def _decided(explanation: "Explanation") -> str:
    """What set the score: the network, the largest view, or else (the score is beyond it) the profile of the day."""
    parts = explanation.parts
    if parts.get("network"):
        return "network"
    view = str(parts.get("view", ""))
    ratio = float(parts[view]) / float(parts[f"{view}_bound"]) if view in parts else 0.0
    # the same numbers, divided in single precision
    return "day" if explanation.verdict.score > ratio * 1.001 and "log_odds" in parts else view

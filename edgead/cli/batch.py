"""``edgead detect --mode entire | last | changepoint`` of one file."""

import csv
import sys
from collections.abc import Iterator, Sequence
from typing import Any

import click
import msgspec
import numpy as np

from edgead.backtest import Judged, judge_column
from edgead.bridge.messages import to_ms
from edgead.cli import plot as drawing
from edgead.cli.detect import Asked
from edgead.cli.options import progress
from edgead.cli.recorded import read
from edgead.cli.results import aligned, cells_of, lasting
from edgead.config.units import iso
from edgead.recording import Recording


class Row(msgspec.Struct):
    """One judged reading of mode entire or last: the keys of ``--format json`` and the columns of ``csv``."""

    series: str
    ts: int
    value: float
    expected: float
    lower: float
    upper: float
    is_anomaly: bool
    severity: float
    period: int
    model: str


class ChangeRow(msgspec.Struct):
    """One reading of mode changepoint."""

    series: str
    ts: int
    value: float
    is_change_point: bool
    confidence: float
    period: int


def detect_batch(file: str, asked: Asked, options: dict[str, Any]) -> None:
    """Read, judge, print and draw.

    Parameters
    ----------
    file : str
        The recording.
    asked : Asked
        Options of the command.
    options : dict
        Options of the request.
    """
    if asked.plot:
        drawing.require()
    recording = read(file, asked.columns, asked.time, asked.interval)
    judged = []
    with progress("judging", len(recording.columns)) as advance:
        for column in recording.columns:
            judged.append(judge_column(recording, column, asked.batch_mode, options))
            advance(1)
    {"table": _print_table, "json": _print_json, "csv": _print_csv}[asked.form](recording, judged)
    if asked.plot:
        drawing.draw(asked.plot, recording.path, [_panel(one) for one in judged])
        click.echo(f"{asked.plot}: drawn", err=True)


def rows_of(judged: Judged) -> Iterator[Row | ChangeRow]:
    """Every judged reading; mode last has one."""
    name, period = judged.column, judged.period
    start = len(judged.values) - 1 if judged.mode == "last" else 0
    times, values = judged.times_ns.tolist(), judged.values.tolist()
    for at in range(start, len(values)):
        head = (name, to_ms(times[at]), values[at])
        if judged.mode == "changepoint":
            yield ChangeRow(*head, bool(judged.is_change_point[at]), float(judged.confidence[at]), period)
        else:
            band = (float(judged.expected[at]), float(judged.lower[at]), float(judged.upper[at]))
            yield Row(
                *head, *band, bool(judged.is_anomaly[at]), float(judged.severity[at]), period, judged.model
            )


def _print_json(recording: Recording, judged: Sequence[Judged]) -> None:
    encode = msgspec.json.Encoder().encode_lines
    for one in judged:
        sys.stdout.buffer.write(encode(rows_of(one)))


def _print_csv(recording: Recording, judged: Sequence[Judged]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    kind = ChangeRow if judged[0].mode == "changepoint" else Row
    writer.writerow(kind.__struct_fields__)
    for one in judged:
        writer.writerows(map(cells_of, rows_of(one)))


def _print_table(recording: Recording, judged: Sequence[Judged]) -> None:
    for note in recording.notes:
        click.echo(f"note: {note}")
    rows = [row for one in judged for row in _lines(one, recording.step_ns)]
    if rows:
        changes = judged[0].mode == "changepoint"
        tail = ("confidence",) if changes else ("lasted", "expected", "normal", "severity")
        for line in aligned([("series", "time", "value", *tail), *rows]):
            click.echo(line)
        click.echo()
    for one in judged:
        click.echo(f"{one.column}: {_summary(one)}")
        for note in one.notes:
            click.echo(f"note: {one.column}: {note}")


def _lines(judged: Judged, step_ns: int) -> Iterator[tuple[str, ...]]:
    """Change points, or runs of abnormal readings, told by the severest."""
    if judged.mode == "changepoint":
        for place in np.flatnonzero(judged.is_change_point).tolist():
            yield (*_head(judged, place), f"{judged.confidence[place]:.3g}")
        return
    hits = np.flatnonzero(judged.is_anomaly)
    for run in np.split(hits, np.flatnonzero(np.diff(hits) > 1) + 1) if len(hits) else ():
        at = int(run[np.argmax(judged.severity[run])])
        lasted = lasting(int(judged.times_ns[run[-1]] - judged.times_ns[run[0]]) + step_ns)
        band = f"{judged.lower[at]:.6g} .. {judged.upper[at]:.6g}"
        yield (*_head(judged, at), lasted, f"{judged.expected[at]:.6g}", band, f"{judged.severity[at]:.3g}")


def _head(judged: Judged, at: int) -> tuple[str, str, str]:
    return judged.column, iso(int(judged.times_ns[at])), f"{judged.values[at]:.6g}"


def _summary(judged: Judged) -> str:
    season = f"period {judged.period}" if judged.period else "no season"
    grid = f"granularity {judged.granularity}"
    count = len(judged.values)
    if judged.mode == "changepoint":
        return f"{_counted(judged)} in {count} readings, {season}, {grid}"
    if judged.mode == "last":
        verdict = "an anomaly" if judged.is_anomaly[-1] else "normal"
        band = f"{judged.lower[-1]:.6g} .. {judged.upper[-1]:.6g}"
        value = f"{judged.values[-1]:.6g} at {iso(int(judged.times_ns[-1]))} is {verdict}"
        return f"{value} (expected {judged.expected[-1]:.6g}, normal {band}); {season}, model {judged.model}, {grid}"
    return f"{_counted(judged)} of {count} readings; {season}, model {judged.model}, {grid}"


def _counted(judged: Judged) -> str:
    if judged.mode != "changepoint":
        return f"{judged.is_anomaly.sum()} abnormal"
    count = int(judged.is_change_point.sum())
    return f"{count} change point{'s' * (count != 1)}"


def _panel(judged: Judged) -> drawing.Panel:
    season = f"period {judged.period}" if judged.period else "no season"
    model = f", {judged.model}" if judged.model else ""
    return drawing.Panel(
        judged.column,
        judged.times_ns,
        judged.values,
        judged.expected,
        judged.lower,
        judged.upper,
        judged.is_anomaly,
        changes=judged.is_change_point if judged.mode == "changepoint" else None,
        title=f"{season}{model}, {_counted(judged)}",
    )

"""``edgead detect`` of one file."""

from collections.abc import Sequence
from pathlib import Path

import click
from msgspec.structs import replace

from edgead.backtest import Plan, judge
from edgead.cli import plot as drawing
from edgead.cli.detect import Asked
from edgead.cli.options import progress
from edgead.cli.results import make_results
from edgead.recording import Recording, read_recording
from edgead.stream import SeriesSettings


def detect_one(file: str, asked: Asked, settings: SeriesSettings, node: str) -> None:
    """Read, judge, print and draw.

    Parameters
    ----------
    file : str
        The recording.
    asked : Asked
        Options.
    settings : SeriesSettings
        Of every column; the step is that of the file unless a configured series was asked for.
    node : str
        Part of the ids of the events.
    """
    if asked.plot:
        drawing.require()
    if asked.interval:
        settings = replace(settings, step_ns=asked.interval)
    interval_ns = settings.step_ns if asked.interval or asked.series_id else None
    recording = read(file, asked.columns, asked.time, interval_ns)
    plans = _plans(recording, settings, asked.series_id)
    results, gatherer = make_results(asked.form, events=asked.events), drawing.Gatherer()
    results.begin(recording, plans)
    with progress("judging", len(recording.times_ns)) as advance:
        for rows, outcome in judge(recording, plans, node=node):
            results.take(outcome)
            if asked.plot:
                gatherer.take(outcome)
            advance(rows)
    results.end()
    if asked.plot:
        drawing.draw(asked.plot, recording.path, gatherer.panels())
        click.echo(f"{asked.plot}: drawn", err=True)


def read(file: str, columns: Sequence[str], time: str | None, interval_ns: int | None) -> Recording:
    """Read a recording with a progress bar."""
    path = Path(file)
    with progress("reading", path.stat().st_size if path.is_file() else 0) as advance:
        return read_recording(file, columns=columns, time=time, interval_ns=interval_ns, progress=advance)


def _plans(recording: Recording, settings: SeriesSettings, series_id: str | None) -> list[Plan]:
    columns = list(recording.columns)
    if series_id:
        if len(columns) != 1:
            raise click.UsageError(f"--series is one series: choose a --column of {', '.join(columns)}")
        return [Plan(columns[0], series_id, settings)]
    settings = replace(settings, step_ns=recording.step_ns)
    return [Plan(column, column, settings) for column in columns]

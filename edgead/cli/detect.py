"""``edgead detect``: anomalies of recordings."""

from pathlib import Path
from typing import TYPE_CHECKING

import click

from edgead.cli.options import DURATION, progress

if TYPE_CHECKING:
    from edgead.backtest import Plan
    from edgead.recording import Recording
    from edgead.stream import SeriesSettings


@click.command(short_help="Find the anomalies of a recording.")
@click.argument("file", type=click.Path(dir_okay=False))
@click.option(
    "--column", "columns", multiple=True, metavar="NAME", help="Column to judge (repeatable) [all numbers]."
)
@click.option("--time", metavar="COLUMN", help="Column of the times [found by name].")
@click.option("--interval", type=DURATION, help="Spacing of the readings [that of the times, or 1s].")
@click.option(
    "--format",
    "form",
    type=click.Choice(["table", "csv", "json"]),
    default="table",
    show_default=True,
    help="table: events; csv and json: every reading.",
)
@click.option("--events", is_flag=True, help="Event payloads as the device publishes them, one JSON a line.")
@click.option(
    "--plot", metavar="PNG", type=click.Path(dir_okay=False), help="Draw values, band and anomalies."
)
@click.option("--detector", metavar="NAME", help="Detector [spectral-residual].")
@click.option("--window", type=int, metavar="N", help="Readings the detector looks back on [1440].")
@click.option("--sensitivity", type=int, metavar="0..100", help="Higher finds more [90].")
@click.option(
    "-c", "--config", "config_file", metavar="FILE", help="Take node and settings from a configuration ..."
)
@click.option(
    "--series", "series_id", metavar="ID", help="... of this series: ids and events are the device's."
)
def detect(
    file: str,
    columns: tuple[str, ...],
    time: str | None,
    interval: int | None,
    form: str,
    events: bool,
    plot: str | None,
    detector: str | None,
    window: int | None,
    sensitivity: int | None,
    config_file: str | None,
    series_id: str | None,
) -> None:
    """Judge the columns of a CSV file as a device would have done live, reading by reading.

    The time column is called timestamp, datetime, time, ts or date, or named by --time; epoch s, ms, us, ns and
    ISO 8601 are read.  Empty cells are gaps.

    \b
    Examples:
      edgead detect pump.csv                                 events of every column of numbers
      edgead detect pump.csv --column Pressure --sensitivity 95 --plot pump.png
      edgead detect pump.csv --format json > judged.jsonl    every reading
      edgead detect pump.csv --column temp --events -c gateway.toml --series pump1.temp
    """
    from edgead.backtest import judge
    from edgead.cli import plot as drawing
    from edgead.cli.results import make_results
    from edgead.recording import read_recording

    if plot:
        drawing.require()
    settings, node = _settings(config_file, series_id, detector, window, sensitivity)
    if series_id and not interval:
        interval = settings.step_ns
    with progress("reading", _size(file)) as advance:
        recording = read_recording(file, columns=columns, time=time, interval_ns=interval, progress=advance)
    plans = _plans(recording, settings, series_id)
    results, gatherer = make_results(form, events=events), drawing.Gatherer()
    results.begin(recording, plans)
    with progress("judging", len(recording.times_ns)) as advance:
        for rows, outcome in judge(recording, plans, node=node):
            results.take(outcome)
            if plot:
                gatherer.take(outcome)
            advance(rows)
    results.end()
    if plot:
        drawing.draw(plot, recording.path, gatherer.panels())
        click.echo(f"{plot}: drawn", err=True)


def _settings(
    config_file: str | None,
    series_id: str | None,
    detector: str | None,
    window: int | None,
    sensitivity: int | None,
) -> tuple["SeriesSettings", str]:
    """Settings and node: those of a configured series or the defaults, changed by what was asked for."""
    from msgspec.structs import replace

    from edgead.config import Config, load
    from edgead.stream import SeriesSettings
    from edgead.univariate import make_detector

    if bool(config_file) != bool(series_id):
        raise click.UsageError("-c and --series belong together, expected both or none")
    config, settings = Config(), SeriesSettings()
    if config_file and series_id:
        config = load(config_file)
        block = config.block_of(series_id)
        if block is None:
            raise click.UsageError(f"--series {series_id}: no [[series]] of {config_file} makes this id")
        settings = block.settings
    asked = {"window": window, "sensitivity": sensitivity}
    judging = replace(settings.judging, **{key: value for key, value in asked.items() if value is not None})
    settings = replace(settings, judging=judging, detector=detector or settings.detector)
    make_detector(settings.detector, judging)  # says what is wrong with a name
    return settings, config.node.id


def _plans(recording: "Recording", settings: "SeriesSettings", series_id: str | None) -> list["Plan"]:
    from msgspec.structs import replace

    from edgead.backtest import Plan

    columns = list(recording.columns)
    if series_id:
        if len(columns) != 1:
            raise click.UsageError(f"--series is one series: choose a --column of {', '.join(columns)}")
        return [Plan(columns[0], series_id, settings)]
    settings = replace(settings, step_ns=recording.step_ns)
    return [Plan(column, column, settings) for column in columns]


def _size(file: str) -> int:
    path = Path(file)
    return path.stat().st_size if path.is_file() else 0

"""``edgead detect``: anomalies of recordings."""

import os
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from edgead.cli.options import DURATION

if TYPE_CHECKING:
    from edgead.stream import SeriesSettings


class Asked(NamedTuple):
    """The options as given; None = not given."""

    columns: tuple[str, ...]
    time: str | None
    interval: int | None
    form: str
    events: bool
    plot: str | None
    detector: str | None
    window: int | None
    sensitivity: int | None
    config_file: str | None
    series_id: str | None
    jobs: int | None
    scheduler: str | None
    out: str


@click.command(short_help="Find the anomalies of recordings.")
@click.argument("paths", metavar="FILE|FOLDER|PATTERN...", nargs=-1, required=True)
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
@click.option(
    "--jobs", type=click.IntRange(1, 1024), metavar="N", help="Many files: processes [one a processor]."
)
@click.option(
    "--scheduler", metavar="tcp://HOST:PORT", help="Many files: a Dask cluster instead of processes."
)
@click.option(
    "--out", default="edgead-results", show_default=True, metavar="FOLDER", help="Many files: results."
)
@click.pass_context
def detect(context: click.Context, /, paths: tuple[str, ...], **given: Any) -> None:
    """Judge the columns of CSV files as a device would have done live, reading by reading.

    The time column is called timestamp, datetime, time, ts or date, or named by --time; epoch s, ms, us, ns and
    ISO 8601 are read.  Empty cells are gaps.

    A folder, a pattern or several files are a back-test: a result file each, a summary, and a second run judges
    only what has no result yet or has changed.

    \b
    Examples:
      edgead detect pump.csv                                 events of every column of numbers
      edgead detect pump.csv --column Pressure --sensitivity 95 --plot pump.png
      edgead detect pump.csv --format json > judged.jsonl    every reading
      edgead detect pump.csv --column temp --events -c gateway.toml --series pump1.temp
      edgead detect recordings/ --jobs 4 --out results
      edgead detect 'plant/**/2024-*.csv' --scheduler tcp://10.0.0.5:8786
    """
    asked = Asked(**given)
    settings, node = _settings(asked)
    if len(paths) > 1 or asked.jobs or asked.scheduler or not _is_one_file(paths[0]):
        context.exit(_detect_many(paths, asked, settings, node))
    from edgead.cli.recorded import detect_one

    detect_one(paths[0], asked, settings, node)


def _is_one_file(path: str) -> bool:
    """Whether this is the name of one file, if only of one that is not there."""
    return os.path.isfile(path) or not (os.path.isdir(path) or any(mark in path for mark in "*?["))


def _detect_many(paths: tuple[str, ...], asked: Asked, settings: "SeriesSettings", node: str) -> int:
    from msgspec.structs import replace

    from edgead.backtest import Task, find_files
    from edgead.cli.fleet import backtest

    if asked.plot or asked.events or asked.form != "table" or asked.series_id:
        raise click.UsageError("--plot, --events, --format and --series are for one file, got many")
    task = Task(
        path="",
        columns=asked.columns,
        time=asked.time,
        interval_ns=asked.interval,
        settings=settings,
        node=node,
    )
    tasks = [replace(task, path=path) for path in find_files(paths)]
    return backtest(tasks, out=asked.out, jobs=asked.jobs or os.cpu_count() or 1, scheduler=asked.scheduler)


def _settings(asked: Asked) -> tuple["SeriesSettings", str]:
    """Settings and node: those of a configured series or the defaults, changed by what was asked for."""
    from msgspec.structs import replace

    from edgead.config import Config, load
    from edgead.stream import SeriesSettings
    from edgead.univariate import make_detector

    if bool(asked.config_file) != bool(asked.series_id):
        raise click.UsageError("-c and --series belong together, expected both or none")
    config, settings = Config(), SeriesSettings()
    if asked.config_file and asked.series_id:
        config = load(asked.config_file)
        block = config.block_of(asked.series_id)
        if block is None:
            raise click.UsageError(
                f"--series {asked.series_id}: no [[series]] of {asked.config_file} makes this id"
            )
        settings = block.settings
    changes = {"window": asked.window, "sensitivity": asked.sensitivity}
    judging = replace(settings.judging, **{key: value for key, value in changes.items() if value is not None})
    settings = replace(settings, judging=judging, detector=asked.detector or settings.detector)
    make_detector(settings.detector, judging)  # says what is wrong with a name
    return settings, config.node.id

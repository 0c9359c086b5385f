"""``edgead detect``: anomalies of recordings."""

import os
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from edgead.cli.options import DURATION

if TYPE_CHECKING:
    from edgead.backtest.batch import BatchMode
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
    mode: str
    granularity: str | None
    custom_interval: int | None
    period: int | None
    max_anomaly_ratio: float | None
    impute_mode: str | None
    impute_fixed_value: float | None
    boundary: str | None
    alpha: float | None
    threshold: float | None
    stable_trend_window: int | None
    model: str | None
    top: int | None

    @property
    def batch_mode(self) -> "BatchMode":
        """The mode, where it is one of the service's operations."""
        assert self.mode != "stream"
        return self.mode  # type: ignore[return-value]  # click let nothing else through


#: Options that only the service's operations have: option of `Request`, and the modes that know it.
_OF_MODES = {
    "granularity": ("entire", "last", "changepoint"),
    "custom_interval": ("entire", "last", "changepoint"),
    "period": ("entire", "last", "changepoint"),
    "sensitivity": ("stream", "entire", "last"),
    "max_anomaly_ratio": ("entire", "last"),
    "impute_mode": ("entire", "last"),
    "impute_fixed_value": ("entire", "last"),
    "boundary": ("entire", "last"),
    "alpha": ("entire", "last"),
    "threshold": ("changepoint",),
    "stable_trend_window": ("changepoint",),
    "detector": ("stream",),
    "window": ("stream",),
    "config_file": ("stream",),
    "series_id": ("stream",),
}
_FLAGS = {"config_file": "--config", "series_id": "--series", "columns": "--column"}


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
@click.option("--detector", metavar="NAME", help="Detector [default].")
@click.option("--window", type=int, metavar="N", help="Readings the detector looks back on [1440].")
@click.option("--sensitivity", type=int, metavar="0..100", help="Higher finds more [90; other modes 99].")
@click.option(
    "-c", "--config", "config_file", metavar="FILE", help="Take node and settings from a configuration ..."
)
@click.option(
    "--series", "series_id", metavar="ID", help="... of this series: ids and events are the device's."
)
@click.option(
    "--mode",
    type=click.Choice(["stream", "entire", "last", "changepoint"]),
    default="stream",
    show_default=True,
    help="stream: as a device; the others: as the service's operations.",
)
@click.option("--granularity", metavar="NAME", help="Other modes: step of the grid [that of the times].")
@click.option("--custom-interval", type=int, metavar="N", help="Other modes: steps between points [1].")
@click.option("--period", type=int, metavar="N", help="Other modes: points in one season, 0 = none [found].")
@click.option(
    "--max-anomaly-ratio", type=float, metavar="R", help="entire, last: largest share of anomalies [0.25]."
)
@click.option("--impute-mode", metavar="NAME", help="entire, last: how gaps of the grid are filled [auto].")
@click.option(
    "--impute-fixed-value", type=float, metavar="X", help="entire, last: value of --impute-mode fixed."
)
@click.option(
    "--boundary", type=click.Choice(["v1", "v2"]), help="entire, last: margins of this version [v2]."
)
@click.option(
    "--alpha", type=float, metavar="P", help="entire, last: false alarms of one outlier test [0.05]."
)
@click.option("--threshold", type=float, metavar="X", help="changepoint: higher finds more [0.9].")
@click.option(
    "--stable-trend-window", type=int, metavar="N", help="changepoint: points a new trend must last."
)
@click.option(
    "--model", metavar="PACKAGE", help="Judge the rows of one machine by its model (see edgead train)."
)
@click.option(
    "--top", type=click.IntRange(1, 300), metavar="N", help="--model: causes told at most [all; table 3]."
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
    """Judge the columns of CSV or Parquet files as a device would have done live, reading by reading.

    The time column is called timestamp, datetime, time, ts or date, or named by --time; epoch s, ms, us, ns and
    ISO 8601 are read.  Empty cells are gaps.

    With --mode entire, last or changepoint they are judged as the retired cloud service did it: every point with one
    model of the whole series, the last point from those before it, or breaks of the trend.

    With --model the columns are the variables of one machine (or a folder holds a file for each, with the columns
    timestamp and value): each row gets one score, and the share of each variable in it.

    A folder, a pattern or several files are a back-test: a result file each, a summary, and a second run judges
    only what has no result yet or has changed.

    \b
    Examples:
      edgead detect pump.csv                                 events of every column of numbers
      edgead detect pump.csv --column Pressure --sensitivity 95 --plot pump.png
      edgead detect pump.csv --format json > judged.jsonl    every reading
      edgead detect pump.csv --column temp --events -c gateway.toml --series pump1.temp
      edgead detect sales.csv --mode entire --sensitivity 95 --plot sales.png
      edgead detect sales.csv --mode changepoint
      edgead detect today.csv --model pump.zip --top 3 --plot today.png
      edgead detect recordings/ --jobs 4 --out results
      edgead detect 'plant/**/2024-*.csv' --scheduler tcp://10.0.0.5:8786
    """
    asked = Asked(**given)
    if asked.model:
        _detect_group(paths, asked)
        return
    _refuse_foreign(asked)
    many = len(paths) > 1 or asked.jobs or asked.scheduler or not _is_one_file(paths[0])
    if many:
        context.exit(_detect_many(paths, asked))
    elif asked.mode == "stream":
        from edgead.cli.recorded import detect_one

        detect_one(paths[0], asked, *_settings(asked))
    elif asked.events:
        raise click.UsageError("--events are a device's, expected --mode stream")
    else:
        from edgead.cli.batch import detect_batch

        detect_batch(paths[0], asked, _options(asked))


def _detect_group(paths: tuple[str, ...], asked: Asked) -> None:
    from edgead.cli.group import detect_group

    known = {"model", "top", "time", "interval", "form", "plot", "config_file", "out", "mode"}
    foreign = [name for name, value in asked._asdict().items() if value and name not in known]
    if foreign or asked.mode != "stream":
        flag = _flag(foreign[0]) if foreign else "--mode"
        raise click.UsageError(f"{flag} is not for --model: the package says how rows are judged")
    if len(paths) > 1:
        raise click.UsageError(f"--model judges one table or folder, got {len(paths)}")
    detect_group(paths[0], asked)


def _flag(name: str) -> str:
    return _FLAGS.get(name, "--" + name.replace("_", "-"))


def _refuse_foreign(asked: Asked) -> None:
    """An option that the mode would ignore is a mistake."""
    if asked.top is not None:
        raise click.UsageError("--top is for --model")
    for name, modes in _OF_MODES.items():
        if getattr(asked, name) is not None and asked.mode not in modes:
            raise click.UsageError(f"{_flag(name)} is for --mode {' or '.join(modes)}, got {asked.mode}")


def _options(asked: Asked) -> dict[str, Any]:
    """Options of the service's operations, as given."""
    names = [name for name, modes in _OF_MODES.items() if asked.mode in modes]
    return {name: value for name in names if (value := getattr(asked, name)) is not None}


def _is_one_file(path: str) -> bool:
    """Whether this is the name of one file, if only of one that is not there."""
    return os.path.isfile(path) or not (os.path.isdir(path) or any(mark in path for mark in "*?["))


def _detect_many(paths: tuple[str, ...], asked: Asked) -> int:
    from msgspec.structs import replace

    from edgead.backtest import Task, find_files
    from edgead.cli.fleet import backtest

    if asked.plot or asked.events or asked.form != "table" or asked.series_id:
        raise click.UsageError("--plot, --events, --format and --series are for one file, got many")
    task = Task(path="", columns=asked.columns, time=asked.time, interval_ns=asked.interval)
    if asked.mode == "stream":
        settings, node = _settings(asked)
        task = replace(task, settings=settings, node=node)
    else:
        task = replace(task, mode=asked.batch_mode, options=_options(asked))
    tasks = [replace(task, path=path) for path in find_files(paths)]
    return backtest(tasks, out=asked.out, jobs=asked.jobs or os.cpu_count() or 1, scheduler=asked.scheduler)


def _settings(asked: Asked) -> tuple["SeriesSettings", str]:
    """Settings and node: those of a configured series or the defaults, changed by what was asked for."""
    from msgspec.structs import replace

    from edgead.agent.network import NetworkInUse
    from edgead.config import Config, load
    from edgead.errors import InvalidInput
    from edgead.stream import SeriesSettings
    from edgead.univariate import make_detector
    from edgead.univariate.streaming import lacking

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
        NetworkInUse(config)  # the device's own, where one is installed
    changes = {"window": asked.window, "sensitivity": asked.sensitivity}
    judging = replace(settings.judging, **{key: value for key, value in changes.items() if value is not None})
    settings = replace(settings, judging=judging, detector=asked.detector or settings.detector)
    if reason := lacking(settings.detector):
        raise InvalidInput(f"--detector {settings.detector}: {reason}")
    make_detector(settings.detector, judging)  # says what is wrong with a name
    return settings, config.node.id

"""``edgead detect --model PACKAGE``: the rows of one machine judged by its model."""

import csv
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import click
import msgspec
import numpy as np

from edgead.backtest.group import JudgedGroup, judge_group
from edgead.bridge.messages import to_ms
from edgead.cli import plot as drawing
from edgead.cli.detect import Asked
from edgead.cli.options import progress
from edgead.cli.results import aligned, lasting
from edgead.config.units import iso
from edgead.errors import InvalidInput, ModelPackageError
from edgead.multivariate import Contributor, interpretation
from edgead.onnx import Session
from edgead.package import Manifest, ModelPackage, UnivariatePackage, read_package, self_test
from edgead.recording import Times, Values
from edgead.recording.variables import longest_gaps, read_variables
from edgead.stream.group import longest_hole_ns

Columns = Mapping[str, tuple[Times, Values]]

#: Causes of an event in the table.
SHOWN = 3


class Row(msgspec.Struct):
    """One row: the keys of ``--format json``; `score` is null while the first window is not whole."""

    ts: int
    is_anomaly: bool
    severity: float
    score: float | None
    phase: str
    model: str
    top: tuple[Contributor, ...]


def detect_group(path: str, asked: Asked) -> None:
    """Read the variables, judge, print and draw.

    Parameters
    ----------
    path : str
        A table, or a folder with a file for each variable.
    asked : Asked
        Options of the command.
    """
    if asked.plot:
        drawing.require()
    package = _package(asked)
    session = Session(package.model)
    self_test(package, session)
    manifest = package.manifest
    size = Path(path).stat().st_size if Path(path).is_file() else 0
    try:
        with progress("reading", size) as advance:
            found = read_variables(
                path, names=manifest.names, time=asked.time, interval_ns=asked.interval, progress=advance
            )
        with ExitStack() as stack:

            def start(rows: int) -> Callable[[int], None]:
                return stack.enter_context(progress("judging", rows))

            group = judge_group(manifest, session, found.columns, start=start)
    except InvalidInput as error:
        raise InvalidInput(f"{error.code}: {error.message}", code=error.code) from None
    if not group.judged:
        rows = f"{len(group.times_ns)} rows and a window of {manifest.window}"
        raise InvalidInput(f"NotEnoughInput: {path}: {rows}", code="NotEnoughInput")
    notes = [*found.notes, *_notes(manifest, group), *_odd_values(manifest, found.columns)]
    forms = {"table": _print_table, "json": _print_json, "csv": _print_csv}
    if asked.form != "table":
        for note in notes:
            click.echo(f"note: {note}", err=True)
    forms[asked.form](group, manifest, asked.top, path, notes)
    if asked.plot:
        title = f"{path}, judged by {manifest.name} {manifest.version}"
        drawing.draw_group(
            asked.plot,
            title,
            group.names,
            group.times_ns[group.learning :],
            group.scores,
            group.contributions,
        )
        click.echo(f"{asked.plot}: drawn", err=True)


def _package(asked: Asked) -> ModelPackage:
    """The package of a file, or with -c the active one of that name."""
    from edgead.config import load
    from edgead.package.archive import MAX_PACKAGE_BYTES
    from edgead.registry import Registry

    assert asked.model is not None
    path = Path(asked.model)
    if asked.config_file and not path.is_file():
        found = Registry(Path(load(asked.config_file).node.state_dir) / "models").active(asked.model)
        if isinstance(found, UnivariatePackage):
            raise ModelPackageError(f"{asked.model} is a model of one variable: use --detector srcnn")
        return found
    with open(path, "rb") as file:
        data = file.read(MAX_PACKAGE_BYTES + 1)
    try:
        return read_package(data)
    except ModelPackageError as error:
        raise ModelPackageError(f"{path}: {error}") from None


def _notes(manifest: Manifest, group: JudgedGroup) -> Iterator[str]:
    """What a reader of the results should know of the rows."""
    if len(group.times_ns) > 1:
        step_s = float(np.median(np.diff(group.times_ns))) / 1e9
        if not 0.5 < step_s / manifest.step_s < 2.0:
            yield f"rows come every {step_s:g} s, and the model learned from rows every {manifest.step_s:g} s"
    for state in group.states:
        if state.filled_ratio > 0:
            yield f"{state.variable}: {100 * state.filled_ratio:.2g} % of the rows filled ({manifest.align.fill})"


def _odd_values(manifest: Manifest, columns: Columns) -> Iterator[str]:
    """Gaps at which a device begins anew, and values that come from another machine or in another unit."""
    name, gaps = longest_gaps(columns, longest_hole_ns(manifest.step_s))
    if gaps:
        yield (
            f"{name} has {gaps} gap{'s' * (gaps != 1)} that a device would not fill: it gathers a window of "
            f"{manifest.window} rows anew after each, and here rows before and after are judged together"
        )
    for variable in manifest.variables:
        low, high = variable.minimum, variable.maximum
        usual = float(np.nanmedian(columns[variable.name][1]))
        if low < high and not low - (high - low) <= usual <= high + (high - low):
            unit = f" {variable.unit}" if variable.unit else ""
            yield (
                f"{variable.name} is usually {usual:g}, and was {low:g} to {high:g}{unit} in training: another unit?"
            )


def rows_of(group: JudgedGroup, manifest: Manifest, top: int | None) -> Iterator[Row]:
    """Every row; the first of them without a score."""
    model = f"{manifest.name}@{manifest.version}"
    times = [to_ms(time_ns) for time_ns in group.times_ns.tolist()]
    for ts in times[: group.learning]:
        yield Row(ts, False, 0.0, None, "learning", model, ())
    for ts, judged in zip(times[group.learning :], group.judged, strict=True):
        causes = interpretation(
            group.names, judged.contributions, judged.correlation_change, top or len(group.names)
        )
        yield Row(ts, judged.is_anomaly, judged.severity, judged.score, "ready", model, causes)


def _print_json(group: JudgedGroup, manifest: Manifest, top: int | None, path: str, notes: list[str]) -> None:
    encode = msgspec.json.Encoder().encode_lines
    sys.stdout.buffer.write(encode(rows_of(group, manifest, top)))


def _print_csv(group: JudgedGroup, manifest: Manifest, top: int | None, path: str, notes: list[str]) -> None:
    """A column for the share of each variable; empty where it is not among the `top`."""
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(["ts", "is_anomaly", "severity", "score", "phase", "changed", *group.names])
    for row in rows_of(group, manifest, top):
        shares = {cause.variable: cause.contribution for cause in row.top}
        changed = " ".join(row.top[0].changed) if row.top else ""
        head = [row.ts, int(row.is_anomaly), row.severity, "" if row.score is None else row.score, row.phase]
        writer.writerow([*head, changed, *(shares.get(name, "") for name in group.names)])


def _print_table(
    group: JudgedGroup, manifest: Manifest, top: int | None, path: str, notes: list[str]
) -> None:
    times = group.times_ns
    first, last = iso(int(times[0])), iso(int(times[-1]))
    click.echo(f"{path}: {len(times)} rows of {len(group.names)} variables, {first} to {last}")
    for note in notes:
        click.echo(f"note: {note}")
    lines = list(_events(group, manifest, top or SHOWN))
    if lines:
        click.echo()
        for line in aligned([("from", "lasted", "peak score", "severity", "causes", "correlations"), *lines]):
            click.echo(line)
        click.echo()
    abnormal = sum(judged.is_anomaly for judged in group.judged)
    events = f"{len(lines)} event{'s' * (len(lines) != 1)}"
    rate = 1000 * abnormal / len(group.judged)
    click.echo(
        f"{manifest.name}: {events}, {abnormal} abnormal of {len(group.judged)} judged rows "
        f"({rate:.4g} per 1000; normal rows {1000 * manifest.thresholds.budget:g}), "
        f"{group.learning} for the first window"
    )


def _events(group: JudgedGroup, manifest: Manifest, top: int) -> Iterator[tuple[str, ...]]:
    """Runs of abnormal rows, each told by its highest score."""
    scores = group.scores
    hits = np.flatnonzero(scores >= 1.0)
    step_ns = round(manifest.step_s * 1e9)
    times = group.times_ns[group.learning :]
    for run in np.split(hits, np.flatnonzero(np.diff(hits) > 1) + 1) if len(hits) else ():
        peak = group.judged[int(run[np.argmax(scores[run])])]
        causes = peak.interpretation(group.names, top)
        shares = ", ".join(f"{cause.variable} {100 * cause.contribution:.0f} %" for cause in causes)
        lasted = lasting(int(times[run[-1]] - times[run[0]]) + step_ns)
        changed = ", ".join(causes[0].changed[:top]) or "as usual"
        yield iso(int(times[run[0]])), lasted, f"{peak.score:.3g}", f"{peak.severity:.2f}", shares, changed

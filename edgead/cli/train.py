"""``edgead train``: from a recording of normal operation to a model package."""

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from math import isfinite
from pathlib import Path
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any, NamedTuple

import click

from edgead.cli.options import DURATION, progress
from edgead.durable import replace_file
from edgead.errors import InvalidInput, ModelPackageError

if TYPE_CHECKING:
    from edgead.multivariate import Table
    from edgead.training import Options, Trained

FILLS = ("Linear", "Previous", "Subsequent", "Zero", "Fixed")


class Asked(NamedTuple):
    """The options as given."""

    out: str
    recipe: str | None
    variables: tuple[str, ...]
    start: str | None
    end: str | None
    window: int
    epochs: int
    seed: int
    name: str | None
    version: str
    align: str
    fill: str
    padding: float | None
    budget: float
    time: str | None
    interval: int | None
    unit: tuple[str, ...]
    device: str


@click.command(short_help="Train a model of many variables, or of any one.")
@click.argument("source", metavar="FILE|FOLDER", required=False)
@click.option("--out", metavar="PACKAGE.zip", required=True, help="The package to write.")
@click.option(
    "--univariate",
    "recipe",
    metavar="RECIPE.toml",
    help="Train a model of any one variable (detector srcnn) from this recipe instead.",
)
@click.option(
    "--variables",
    multiple=True,
    metavar="NAME[,NAME]",
    help="Variables in order [all numbers, or all files].",
)
@click.option("--start", metavar="TIME", help="First time of normal operation [that of the data].")
@click.option("--end", metavar="TIME", help="Last time of normal operation [that of the data].")
@click.option("--window", type=int, default=300, show_default=True, help="Rows judged together, 28..2880.")
@click.option("--epochs", type=int, default=12, show_default=True, help="Most epochs; stops earlier.")
@click.option("--seed", type=int, default=0, show_default=True, help="Same data and seed, same package.")
@click.option("--name", metavar="NAME", help="Of the model, as [[group]] calls it [that of --out].")
@click.option("--version", default="1.0.0", show_default=True, metavar="N.N.N", help="Of the package.")
@click.option(
    "--align",
    type=click.Choice(["Outer", "Inner"]),
    default="Outer",
    show_default=True,
    help="Rows at the times of any variable, or of every one.",
)
@click.option(
    "--fill", type=click.Choice(FILLS), default="Linear", show_default=True, help="What a hole becomes."
)
@click.option("--padding", type=float, metavar="X", help="Value of --fill Fixed.")
@click.option(
    "--budget", type=float, default=1.0, show_default=True, help="Normal rows of 1000 that may alarm."
)
@click.option("--time", metavar="COLUMN", help="Column of the times of a table [found by name].")
@click.option("--interval", type=DURATION, help="Spacing of the rows of a table without times.")
@click.option(
    "--unit",
    multiple=True,
    metavar="NAME=UNIT",
    help="Unit of a variable, for people; repeat it for several.",
)
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where torch computes; auto: the GPU when there is one.",
)
@click.pass_context
def train(context: click.Context, /, source: str | None, **given: Any) -> None:
    """Train a model on normal operation and write it as a package that a device can install.

    FILE is a table: a CSV or Parquet file with a column timestamp and one for each variable.  FOLDER holds one file
    for each variable, with the columns timestamp and value.  The rows should show the machine as it normally runs,
    5000 of them or more.  Needs the extra train (torch), on any computer; the device needs none of it.

    Times are aligned and holes filled, the network is fitted and calibrated on rows it has not seen, exported to ONNX,
    compared with onnxruntime, and tried as a device would.  Only then is the package written.

    With --univariate a RECIPE takes the place of the recording: it says which series to simulate, which recordings to
    read, and which anomalies to put into them.  The package is what the detector srcnn runs; a card with data,
    licences, figures and limits is written beside it (PACKAGE.md).

    \b
    Examples:
      edgead train normal.csv --out pump.zip
      edgead train normal.csv --variables flow,pressure,current --window 120 --out pump.zip
      edgead train normal.csv --unit flow=m3/h --unit pressure=bar --out pump.zip
      edgead train plant/ --start 2026-01-01T00:00:00Z --end 2026-02-01T00:00:00Z --out press.zip
      edgead detect today.csv --model pump.zip --plot today.png
      edgead train --univariate models/recipes/simulation.toml --out srcnn.zip
    """
    asked = Asked(**given)
    if asked.recipe is not None:
        _refuse_others(context, source)
        from edgead.cli.recipe import train_recipe

        train_recipe(asked.recipe, Path(asked.out))
        return
    if source is None:
        raise click.UsageError("train needs a FILE or FOLDER, or --univariate RECIPE.toml")
    try:
        _train(source, asked)
    except InvalidInput as error:
        coded = error.code not in ("BadArgument", *error.message.split(":"))
        raise InvalidInput(
            f"{error.code}: {error.message}" if coded else error.message, code=error.code
        ) from None


def _refuse_others(context: click.Context, source: str | None) -> None:
    """A recipe says all of it."""
    from click.core import ParameterSource

    given = [
        f"--{name}"
        for name in Asked._fields
        if name not in ("out", "recipe") and context.get_parameter_source(name) is ParameterSource.COMMANDLINE
    ]
    if source is not None:
        given.insert(0, source)
    if given:
        raise click.UsageError(f"--univariate: the recipe says all but --out, got also {', '.join(given)}")


def _train(source: str, asked: Asked) -> None:
    run = _trainer()
    options = _options(asked)
    out = Path(asked.out)
    check_out(out)
    table = _table(source, asked, options)
    strange = [name for name in options.units if name not in table.names]
    if strange:
        raise InvalidInput(f"--unit {strange[0]}: no such variable, expected one of {', '.join(table.names)}")
    created = now_iso()
    with epochs(asked.epochs) as tell:
        trained = run(table, options, created=created, progress=tell)
    write_out(out, trained.package)
    for line in _words(asked.out, trained):
        click.echo(line)


def _trainer() -> "Callable[..., Trained]":
    """`edgead.training.train`, or a sentence about what is missing."""
    try:
        from edgead.training import train as run
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "onnx"):
            raise
        raise InvalidInput(
            f"training needs {error.name}: pip install 'edgead[train]' (a device needs none of it)"
        ) from None
    return run


def _options(asked: Asked) -> "Options":
    from edgead.multivariate import AlignPolicy
    from edgead.training import Options

    name = Path(asked.out).stem if asked.name is None else asked.name
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}", name):
        raise InvalidInput(f"--name {name!r}: expected 1 to 64 of letters, digits, _ . -")
    if not re.fullmatch(r"[0-9]{1,9}(\.[0-9]{1,9}){2}", asked.version):
        raise InvalidInput(
            f"--version {asked.version!r}: expected three numbers of at most 9 digits, as 1.2.0"
        )
    if not 0.0 < asked.budget <= 100.0:
        raise InvalidInput(f"--budget {asked.budget:g}: expected above 0, at most 100 of 1000 rows")
    if asked.fill == "Fixed" and asked.padding is None:
        raise InvalidInput("--fill Fixed: --padding says with what", code="RequiredPaddingValue")
    if asked.fill != "Fixed" and asked.padding is not None:
        raise InvalidInput(f"--padding is for --fill Fixed, got {asked.fill}")
    if asked.padding is not None and not isfinite(asked.padding):
        raise InvalidInput(f"--padding {asked.padding}: expected a finite number")
    policy = AlignPolicy(asked.align, asked.fill, asked.padding or 0.0)  # type: ignore[arg-type]  # click chose
    return Options(
        name=name,
        version=asked.version,
        window=asked.window,
        epochs=asked.epochs,
        seed=asked.seed,
        budget=asked.budget / 1000.0,
        align=policy,
        device=asked.device,
        units=dict(_units(asked.unit)),
    )


def _units(given: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    for each in given:
        name, equals, unit = each.partition("=")
        if not (name and equals and unit):
            raise InvalidInput(f"--unit {each!r}: expected NAME=UNIT, as flow=m3/h")
        yield name, unit


def _table(source: str, asked: Asked, options: "Options") -> "Table":
    """The aligned rows, and a few words about them."""
    from edgead.config.units import iso
    from edgead.multivariate import align
    from edgead.recording.variables import longest_gaps, read_variables
    from edgead.stream.group import longest_hole_ns
    from edgead.training import step_s

    start_ns, end_ns = _time("--start", asked.start), _time("--end", asked.end)
    if start_ns is not None and end_ns is not None and end_ns < start_ns:
        raise InvalidInput(f"--end {asked.end}: before --start {asked.start}")
    names = [name.strip() for each in asked.variables for name in each.split(",")]
    with progress("reading", _size(source)) as advance:
        found = read_variables(
            source,
            names=names,
            time=asked.time,
            interval_ns=asked.interval,
            start_ns=start_ns,
            end_ns=end_ns,
            progress=advance,
        )
    for note in found.notes:
        click.echo(f"note: {note}")
    table = align(found.columns, options.align)
    if len(table.rows) > 1:
        name, gaps = longest_gaps(found.columns, longest_hole_ns(step_s(table.times_ns)))
        if gaps:
            click.echo(
                f"note: {name} has {gaps} gap{'s' * (gaps != 1)} that a device would not fill; "
                "rows before and after are learned as one"
            )
    first, last = (iso(int(table.times_ns[at])) for at in (0, -1))
    click.echo(f"{source}: {len(table.rows)} rows of {len(table.names)} variables, {first} to {last}")
    if len(table.rows) > 2 * max(state.count for state in table.states):
        click.echo(
            "note: the variables seldom share a time, so every reading is a row of its own with the others filled; "
            "bring their times onto one grid where they were taken together"
        )
    for state in table.states:
        if state.filled_ratio:
            click.echo(f"  {state.variable}: {100 * state.filled_ratio:.2g} % of the rows filled")
    return table


def _time(flag: str, text: str | None) -> int | None:
    from edgead.recording.cells import to_time

    if text is None:
        return None
    time_ns = to_time(text)
    if time_ns is None:
        raise InvalidInput(
            f"{flag} {text!r}: expected ISO 8601 such as 2026-01-01T00:00:00Z, or an epoch number",
            code="InvalidTimestampFormat",
        )
    return time_ns


def _size(source: str) -> int:
    path = Path(source)
    files = path.glob("*") if path.is_dir() else [path]
    return sum(each.stat().st_size for each in files if each.is_file())


def check_out(out: Path) -> None:
    """Refuse a place that cannot be written before an hour of training, not after it.

    A package takes the place of what has its name, and that may be an older package, but never a device or folder.
    """
    if not out.absolute().parent.is_dir():
        raise InvalidInput(f"--out {out}: there is no such folder")
    if out.exists() and not out.is_file():
        raise InvalidInput(f"--out {out}: expected a file, and it is something else")
    try:
        with TemporaryFile(dir=out.absolute().parent):
            pass
    except OSError as error:
        raise InvalidInput(f"--out {out}: cannot be written there ({error.strerror})") from None


def write_out(out: Path, data: bytes) -> None:
    """Write a whole file or none.

    Raises
    ------
    ModelPackageError
        Names the file, and why it cannot be written.
    """
    try:
        replace_file(out, data, mode=0o644, owner_of_folder=False)
    except OSError as error:
        raise ModelPackageError(f"{out}: cannot be written: {error.strerror}") from error


def now_iso() -> str:
    """Now, as packages tell times."""
    from datetime import UTC, datetime

    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


@contextmanager
def epochs(most: int) -> Iterator[Callable[[int, float, float], None]]:
    """A bar with the losses on a terminal, a line an epoch elsewhere; an early stop fills the bar."""
    if not sys.stderr.isatty():
        yield lambda epoch, loss, held: click.echo(f"{_losses(epoch, loss, held)}", err=True)
        return
    with click.progressbar(
        length=most,
        label="training",
        file=sys.stderr,
        show_eta=False,
        item_show_func=lambda text: text or "calibrating on held-back rows",
    ) as bar:
        bar.update(0)
        yield lambda epoch, loss, held: bar.update(1, _losses(epoch, loss, held))
        bar.update(most - bar.pos)


def _losses(epoch: int, loss: float, held: float) -> str:
    return f"epoch {epoch}: loss {loss:.4f}, on held-back rows {held:.4f}"


def _words(out: str, trained: "Trained") -> list[str]:
    from edgead.config.units import show_size
    from edgead.package import read_package

    manifest = read_package(trained.package).manifest
    return [
        f"{out}: {manifest.name} {manifest.version}, id {manifest.id}, {show_size(len(trained.package))}",
        f"  {trained.parameters} numbers; torch and onnxruntime differ by at most {trained.parity:.1g}",
        f"  {100 * trained.held_alarm_rate:.2g} % of the held-back normal rows alarm",
    ]

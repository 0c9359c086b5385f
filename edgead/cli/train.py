"""``edgead train``: a model package from recordings of normal operation."""

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from edgead.multivariate import Table

FILLS = ("Linear", "Previous", "Subsequent", "Zero", "Fixed")


@click.command(short_help="Train a model of many variables.")
@click.argument("source", metavar="FILE|FOLDER")
@click.option("--out", required=True, metavar="PACKAGE.zip", type=click.Path(dir_okay=False))
@click.option("--name", metavar="NAME", help="Name of the model [that of the package's file].")
@click.option("--version", "model_version", default="1.0.0", show_default=True, metavar="N.N.N")
@click.option("--variables", metavar="A,B,...", help="Variables, in this order [all columns of numbers].")
@click.option("--start", metavar="TIME", help="First time of normal operation, ISO 8601 [that of the data].")
@click.option("--end", metavar="TIME", help="Last time, itself included [that of the data].")
@click.option(
    "--window", type=int, default=300, show_default=True, metavar="28..2880", help="Rows judged together."
)
@click.option(
    "--epochs", type=int, default=12, show_default=True, help="Most epochs; 0: no gradient descent."
)
@click.option("--seed", type=int, default=0, show_default=True)
@click.option(
    "--budget",
    type=float,
    default=1.0,
    show_default=True,
    help="Normal rows of 1000 that may alarm, at most 100.",
)
@click.option("--align", type=click.Choice(["Outer", "Inner"]), default="Outer", show_default=True)
@click.option(
    "--fill", type=click.Choice(FILLS), default="Linear", show_default=True, help="Holes become this."
)
@click.option("--padding", type=float, default=0.0, show_default=True, help="Value of --fill Fixed.")
def train(source: str, out: str, **given: Any) -> None:
    """Train on normal operation and write a package, calibrated, exported and compared with onnxruntime.

    FILE is a table: a column of times and one a variable.  A FOLDER holds a file a variable, with the columns
    timestamp and value.  Needs torch: pip install "edgead[train]".  The same data and seed give the same package but
    for its time.

    \b
    Examples:
      edgead train normal.csv --out pump.zip
      edgead train normal.csv --out pump.zip --variables flow,pressure,current --end 2026-03-01
      edgead train normal/ --out press.zip --window 120 --budget 0.5
    """
    trainer = _trainer()
    chosen = [name.strip() for name in given["variables"].split(",")] if given["variables"] else []
    from edgead.multivariate import AlignPolicy

    policy = AlignPolicy(given["align"], given["fill"], given["padding"])
    table = _between(_table(Path(source), chosen, policy), given["start"], given["end"])
    for state in table.states:
        if state.filled_ratio > 0:
            click.echo(
                f"note: {state.variable}: {100 * state.filled_ratio:.1f} % of the rows are filled", err=True
            )
    options = trainer.Options(
        name=given["name"] or Path(out).stem,
        version=given["model_version"],
        window=given["window"],
        epochs=given["epochs"],
        seed=given["seed"],
        budget=given["budget"] / 1000.0,
        align=policy,
    )
    click.echo(f"{len(table.rows)} rows of {len(table.names)} variables; calibrating on four folds", err=True)
    with _losses(given["epochs"]) as told:
        trained = trainer.train(table, options, created=_now(), progress=told)
    Path(out).write_bytes(trained.package)
    click.echo(
        f"{out}: {len(trained.package)} bytes, {trained.parameters} trained numbers, "
        f"torch and onnxruntime differ by {trained.parity:.1g}, "
        f"{1000 * trained.held_alarm_rate:.2f} of 1000 held-back rows alarm"
    )


def _trainer() -> Any:
    """The module, imported when it is needed; torch comes with an extra."""
    from edgead.errors import InvalidInput

    try:
        import edgead.training as trainer
    except ModuleNotFoundError as error:
        if error.name not in ("torch", "onnx"):
            raise
        raise InvalidInput('training needs torch and onnx: pip install "edgead[train]"') from None
    return trainer


def _now() -> str:
    from datetime import UTC, datetime

    return datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


class _losses:
    """A bar of epochs with the losses on stderr where that is a terminal, else a line an epoch."""

    def __init__(self, epochs: int) -> None:
        self._bar: Any = None
        if sys.stderr.isatty() and epochs:
            self._bar = click.progressbar(
                length=epochs, label="training", file=sys.stderr, item_show_func=lambda loss: loss
            )

    def __enter__(self) -> Callable[[int, float, float], None]:
        if self._bar is not None:
            self._bar.__enter__()
        return self._tell

    def __exit__(self, *error: Any) -> None:
        if self._bar is not None:
            self._bar.__exit__(*error)

    def _tell(self, epoch: int, loss: float, held_back: float) -> None:
        text = f"loss {loss:.4f}, held back {held_back:.4f}"
        if self._bar is None:
            click.echo(f"epoch {epoch}: {text}", err=True)
        else:
            self._bar.update(1, text)


def _table(source: Path, chosen: Sequence[str], policy: Any) -> "Table":
    from edgead.multivariate import align
    from edgead.recording import read_recording

    if source.is_dir():
        return align(_folder(source, chosen), policy)
    recording = read_recording(source, columns=chosen)
    names = chosen or list(recording.columns)
    return align({name: (recording.times_ns, recording.columns[name]) for name in names}, policy)


def _folder(source: Path, chosen: Sequence[str]) -> dict[str, Any]:
    """A file a variable: its times and its column ``value``."""
    from edgead.errors import InvalidInput
    from edgead.recording import read_recording

    found = {path.stem: path for path in sorted(source.glob("*.csv"))}
    if not found:
        raise InvalidInput(f"{source}: no .csv file in it", code="NoVariablesFound")
    missing = [name for name in chosen if name not in found]
    if missing:
        raise InvalidInput(f"{source}: no file {missing[0]}.csv", code="FileNotExist")
    columns = {}
    for name in chosen or list(found):
        recording = read_recording(found[name], columns=["value"], time="timestamp")
        columns[name] = (recording.times_ns, recording.columns["value"])
    return columns


def _between(table: "Table", start: str | None, end: str | None) -> "Table":
    """Rows from `start` to `end`, both included."""
    import msgspec

    from edgead.errors import InvalidInput

    times = table.times_ns
    kept = (times >= _time("start", start, int(times[0]))) & (times <= _time("end", end, int(times[-1])))
    if not kept.any():
        raise InvalidInput(f"no rows from {start or 'the start'} to {end or 'the end'}", code="NoData")
    return msgspec.structs.replace(table, times_ns=times[kept], rows=table.rows[kept])


def _time(option: str, text: str | None, otherwise: int) -> int:
    from edgead.errors import InvalidInput
    from edgead.recording.cells import iso_time

    if text is None:
        return otherwise
    found = iso_time(text)
    if found is None:
        raise InvalidInput(
            f"--{option} {text!r}: expected ISO 8601, as 2026-03-01T06:00:00Z", code="InvalidTimestampFormat"
        )
    return found

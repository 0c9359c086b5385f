"""What a job does: fetch, read, align, and train or judge; in a process of its own, on this machine or another."""

import importlib
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import msgspec
import numpy as np

from edgead.errors import EdgeADError, InvalidInput
from edgead.multivariate import AlignPolicy, Scorer, Table, VariableState, align
from edgead.recording import Times, Values
from edgead.recording.variables import TIME, read_variables, span_words
from edgead.server import orders
from edgead.server.answers import Row, encode_parts, row_of
from edgead.server.sources import Reader, SourceSettings

#: Epochs between two entries of a model's state, as the service had them.
TOLD_EPOCHS = 10
#: Most timestamps of one detection (limit of the service).
MAX_ROWS = 20_000
#: Code of what is neither the data's fault nor the client's.
UNEXPECTED = "UnexpectedError"

Tell = Callable[[orders.Told], None]
Columns = Mapping[str, tuple[Times, Values]]


class Trainer(Protocol):
    """The module that trains; `edgead.training` is one."""

    Options: Callable[..., Any]
    train: Callable[..., Any]


def do(order: orders.Order, folder: Path, tell: Tell) -> orders.Outcome:
    """Carry out an order.

    Parameters
    ----------
    order : Order
        What to do.
    folder : Path
        Empty; for the copy of the data.
    tell : callable
        Told what is known on the way.

    Returns
    -------
    Outcome
        `Failed` for whatever is wrong with the data.
    """
    try:
        if isinstance(order, orders.TrainOrder):
            return _train(order, folder, tell)
        return _detect(order, folder, tell)
    except InvalidInput as error:
        return orders.Failed(error.code, _without_folder(error.message, folder))
    except ModuleNotFoundError as error:
        hint = ": pip install 'edgead[train]'" if isinstance(order, orders.TrainOrder) else ""
        return orders.Failed(UNEXPECTED, f"{error.name} is not installed where the job ran{hint}")
    except MemoryError:
        limit = order.limits.memory_bytes // 2**20
        return orders.Failed(UNEXPECTED, f"it needs more than the {limit} MiB of memory that a job may take")
    except EdgeADError as error:
        return orders.Failed(UNEXPECTED, _without_folder(str(error), folder))


def _without_folder(message: str, folder: Path) -> str:
    """The client named a source and not the folder of our copy."""
    return message.replace(f"{folder}/", "").replace(str(folder), "the source")


def _train(order: orders.TrainOrder, folder: Path, tell: Tell) -> orders.Outcome:
    trainer: Trainer = importlib.import_module(order.trainer)
    columns = _columns(order, folder, start_ns=order.start_ns)
    table = align(columns, order.align)
    tell(orders.Seen(table.states))
    options = trainer.Options(
        name=order.name,
        version=order.version,
        window=order.window,
        epochs=order.epochs,
        align=order.align,
    )
    with_epochs = _Epochs(tell)
    trained = trainer.train(table, options, created=order.created, progress=with_epochs.tell)
    with_epochs.finish()
    return orders.Trained(trained.package)


class _Epochs:
    """Tells every tenth epoch, and the last.

    The trainer calls at the end of an epoch and not before the first, so the clock starts at the end of that one.
    """

    def __init__(self, tell: Tell) -> None:
        self._tell = tell
        self._since = 0.0
        self._counted = 0
        self._waiting: tuple[int, float, float] | None = None

    def tell(self, epoch: int, loss: float, held: float) -> None:
        if epoch == 1:
            self._since, self._counted = time.monotonic(), 1
        self._waiting = (epoch, loss, held)
        if epoch % TOLD_EPOCHS == 0:
            self.finish()

    def finish(self) -> None:
        if self._waiting is None:
            return
        epoch, loss, held = self._waiting
        now = time.monotonic()
        self._tell(orders.Epochs(epoch, loss, held, (now - self._since) / max(epoch - self._counted, 1)))
        self._since, self._counted, self._waiting = now, epoch, None


def _columns(
    order: orders.Order, folder: Path, *, start_ns: int | None = None, names: tuple[str, ...] = ()
) -> dict[str, tuple[Times, Values]]:
    """Variables of the source up to its last time; with names these and no others."""
    path = _fetch(order, folder)
    if order.schema == "OneTable" and path.is_dir():
        raise InvalidInput(
            "dataSchema OneTable: expected one table, got a folder (or a zip) of files",
            code="ReadingFileError",
        )
    if order.schema == "MultiTable" and not path.is_dir():
        raise InvalidInput(
            "dataSchema MultiTable: expected a folder (or a zip) of files, got one file",
            code="ReadingFileError",
        )
    time_column = None if path.is_dir() or path.suffix.lower() == ".parquet" else TIME
    try:
        found = read_variables(
            path, names=names, time=time_column, start_ns=start_ns, end_ns=order.end_ns, exact=True
        )
    except InvalidInput as error:  # the client named a source, and not our copy of it
        source = order.source.partition("?")[0].rstrip("/")
        raise InvalidInput(error.message.replace(str(path), source), code=error.code) from None
    return found.columns


def _fetch(order: orders.Order, folder: Path) -> Path:
    reader = Reader(msgspec.convert(order.sources, SourceSettings))
    return reader.fetch(order.source, folder, time.monotonic() + order.limits.time_s)


def _detect(order: orders.DetectOrder, folder: Path, tell: Tell) -> orders.Outcome:
    from edgead.onnx import Session
    from edgead.package import read_package

    package = read_package(order.package)
    spec = package.manifest
    columns = _columns(order, folder, names=spec.names)
    table = align(columns, spec.align)
    if len(table.rows) < spec.window:
        raise InvalidInput(
            f"{len(table.rows)} rows up to endTime, the model judges {spec.window} together",
            code="NotEnoughInput",
        )
    span = judged_span(table.times_ns, order.start_ns, order.end_ns, spec.window)
    states = states_between(columns, spec.align, table.times_ns[span.history : span.stop])
    tell(orders.Seen(states))
    scorer = Scorer(spec, Session(package.model))
    rows = (_judged(scorer, table, at) for at in range(span.start, span.stop))
    return orders.Detected(states, tuple(encode_parts(spec.names, spec.window, rows)))


class Span(msgspec.Struct, frozen=True):
    """Rows of a table: history from `history`, judged from `start`, up to before `stop`."""

    history: int
    start: int
    stop: int


def judged_span(times_ns: Times, start_ns: int, end_ns: int, window: int) -> Span:
    """The rows from a start to an end, both inclusive, and as many before them as a window needs.

    Raises
    ------
    InvalidInput
        ``NoData`` when there are none, ``DataExceedsLimit`` when there are more than `MAX_ROWS`.
    """
    start = int(np.searchsorted(times_ns, start_ns))
    stop = int(np.searchsorted(times_ns, end_ns, side="right"))
    if start >= stop:
        there = span_words(times_ns[0], times_ns[-1])
        raise InvalidInput(f"no rows from startTime to endTime; there are some {there}", code="NoData")
    if stop - start > MAX_ROWS:
        raise InvalidInput(
            f"{stop - start} timestamps from startTime to endTime: at most {MAX_ROWS}",
            code="DataExceedsLimit",
        )
    return Span(max(0, start - (window - 1)), start, stop)


def states_between(columns: Columns, policy: AlignPolicy, times_ns: Times) -> tuple[VariableState, ...]:
    """What alignment did to each variable at these times; the most filled first, ties by name."""
    states = []
    for name, (times, values) in columns.items():
        known = times[np.isfinite(values)]
        inside = known[(known >= times_ns[0]) & (known <= times_ns[-1])]
        here = np.isin(times_ns, inside, assume_unique=True)
        ends = inside if len(inside) else times_ns
        filled = 1.0 - float(here.mean())
        states.append(VariableState(name, filled, len(inside), int(ends[0]), int(ends[-1])))
    return tuple(sorted(states, key=lambda state: (-state.filled_ratio, state.variable)))


def _judged(scorer: Scorer, table: Table, at: int) -> Row:
    return judge_row(scorer, table.rows, table.times_ns, at)


def judge_row(scorer: Scorer, rows: Values, times_ns: Times, at: int) -> Row:
    """One row of an aligned table; without a score where no whole window ends.

    Raises
    ------
    ModelPackageError
        When the network fails; see `Scorer.judge`.
    """
    window, time_ns = scorer.spec.window, int(times_ns[at])
    if at + 1 < window:
        return Row(time_ns)
    return row_of(time_ns, scorer.judge(rows[at + 1 - window : at + 1]), scorer.spec.names)

"""One file of a back-test: what to do with it, and what came out."""

import hashlib
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from edgead._version import VERSION
from edgead.backtest.batch import BatchMode, Judged, judge_column
from edgead.backtest.judging import Plan, judge
from edgead.bridge.messages import EventMessage, event_message, to_ms
from edgead.errors import EdgeADError
from edgead.recording import Recording, read_recording
from edgead.stream import Outcome, SeriesSettings

Mode = Literal["stream"] | BatchMode

_DAY_NS = 86_400 * 10**9


class Task(msgspec.Struct, frozen=True, kw_only=True):
    """How a file is judged; the same for every file of a back-test but for its path.

    Attributes
    ----------
    path : str
    columns : tuple of str
        Empty = every column of numbers.
    time : str or None
        Time column; None = found by name.
    interval_ns : int or None
        None = the spacing of the times.
    settings : SeriesSettings
        Of mode stream; step apart, which is the interval's.
    mode : str
        ``"stream"``, or an operation of the service: ``"entire"``, ``"last"``, ``"changepoint"``.
    options : dict
        Of the service's operations, see `judge_column`.
    node : str
        Part of the ids of the events.
    """

    path: str
    columns: tuple[str, ...] = ()
    time: str | None = None
    interval_ns: int | None = None
    settings: SeriesSettings = SeriesSettings()
    node: str = "edge"
    mode: Mode = "stream"
    options: dict[str, Any] = {}

    def digest(self) -> str:
        """Changes with the file (size, time of its last change) and with all the answer depends on.

        Raises
        ------
        OSError
            If the file is not there.
        """
        found = Path(self.path).stat()
        state = (VERSION, self, found.st_size, found.st_mtime_ns)
        return hashlib.sha256(msgspec.json.encode(state)).hexdigest()


class ColumnSums(msgspec.Struct):
    """Sums of one column.

    Attributes
    ----------
    readings, learning : int
        Cells with a value; those judged while the detector was still learning.
    abnormal, events : int
        Abnormal readings, and the events they made: in mode entire runs of them, in mode changepoint change points.
    alarms_per_day : float
        Events by the time the recording spans.
    period, model : int, str
        Of the service's operations: points in one season (0 = none), which detector judged.
    """

    readings: int = 0
    learning: int = 0
    abnormal: int = 0
    events: int = 0
    alarms_per_day: float = 0.0
    period: int = 0
    model: str = ""


class Point(msgspec.Struct, omit_defaults=True):
    """A reading that an operation of the service flagged; ``ts`` in epoch milliseconds."""

    series: str
    ts: int
    value: float
    expected: float | None = None
    severity: float = 0.0
    confidence: float = 0.0


class Answer(msgspec.Struct, kw_only=True, omit_defaults=True):
    """What came out of one file; its JSON is the result file.

    Attributes
    ----------
    file : str
    task : str
        Digest of the task, by which a later run knows that nothing has changed.
    error : str
        Why there is no result; "" when there is one.
    rows, step_ns : int
        Rows of the file and their usual spacing.
    first, last : int
        Epoch milliseconds.
    columns : dict of str to ColumnSums
    events : list of EventMessage
        As the device would have published them.
    points : list of Point
        What an operation of the service flagged.
    notes : list of str
    seconds : float
        Reading and judging.
    """

    file: str
    task: str = ""
    error: str = ""
    rows: int = 0
    step_ns: int = 0
    first: int = 0
    last: int = 0
    columns: dict[str, ColumnSums] = {}
    events: list[EventMessage] = []
    points: list[Point] = []
    notes: list[str] = []
    seconds: float = 0.0


def run_task(task: Task) -> Answer:
    """Judge one file.  Whatever is wrong with the file is in the answer; nothing is raised for it."""
    start = time.perf_counter()
    answer = Answer(file=task.path)
    try:
        answer.task = task.digest()
        _run(task, answer)
    except (EdgeADError, OSError, MemoryError) as error:
        answer.error = str(error) or type(error).__name__
    answer.seconds = round(time.perf_counter() - start, 3)
    return answer


def _run(task: Task, answer: Answer) -> None:
    recording = read_recording(task.path, columns=task.columns, time=task.time, interval_ns=task.interval_ns)
    answer.rows, answer.step_ns, answer.notes = (
        len(recording.times_ns),
        recording.step_ns,
        list(recording.notes),
    )
    answer.first, answer.last = (to_ms(int(t)) for t in (recording.times_ns.min(), recording.times_ns.max()))
    if task.mode == "stream":
        settings = msgspec.structs.replace(task.settings, step_ns=recording.step_ns)
        plans = [Plan(column, column, settings) for column in recording.columns]
        outcomes = (outcome for _, outcome in judge(recording, plans, node=task.node))
        answer.columns, answer.events = summarise(recording, outcomes)
        return
    for column in recording.columns:
        judged = judge_column(recording, column, task.mode, task.options)
        answer.columns[column] = sum_up(judged)
        answer.points += flagged(judged)
        answer.notes += [f"{column}: {note}" for note in judged.notes]


def sum_up(judged: Judged) -> ColumnSums:
    """Sums of a column that an operation of the service judged."""
    hits = judged.is_change_point if judged.mode == "changepoint" else judged.is_anomaly
    starts = hits & ~np.append(False, hits[:-1])
    events = int(hits.sum() if judged.mode == "changepoint" else starts.sum())
    span_ns = int(judged.times_ns[-1] - judged.times_ns[0]) or 1
    return ColumnSums(
        readings=len(hits),
        abnormal=int(hits.sum()),
        events=events,
        alarms_per_day=events * _DAY_NS / span_ns,
        period=judged.period,
        model=judged.model,
    )


def flagged(judged: Judged) -> list[Point]:
    """The readings that an operation of the service flagged."""
    hits = np.flatnonzero(judged.is_anomaly | judged.is_change_point)
    changes = judged.mode == "changepoint"
    return [
        Point(
            judged.column,
            to_ms(int(judged.times_ns[at])),
            float(judged.values[at]),
            None if changes else float(judged.expected[at]),
            float(judged.severity[at]),
            float(judged.confidence[at]),
        )
        for at in hits
    ]


def summarise(
    recording: Recording, outcomes: Iterable[Outcome]
) -> tuple[dict[str, ColumnSums], list[EventMessage]]:
    """Sums of every column, and all events with ``seq`` counted from 1."""
    sums = {column: ColumnSums() for column in recording.columns}
    events: list[EventMessage] = []
    for outcome in outcomes:
        for verdict in outcome.verdicts:
            column = sums[verdict.series_id]
            column.readings += 1
            column.learning += verdict.phase == "learning"
            column.abnormal += verdict.is_anomaly
        for event in outcome.events:
            sums[event.verdict.series_id].events += event.event == "open"
            events.append(event_message(event, seq=len(events) + 1, replay=event.replay))
    span_ns = int(recording.times_ns.max() - recording.times_ns.min()) + recording.step_ns
    for column in sums.values():
        column.alarms_per_day = column.events * _DAY_NS / span_ns
    return sums, events

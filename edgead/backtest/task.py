"""One file of a back-test: what to do with it, and what came out."""

import hashlib
import time
from collections.abc import Iterable
from pathlib import Path

import msgspec

from edgead._version import VERSION
from edgead.backtest.judging import Plan, judge
from edgead.bridge.messages import EventMessage, event_message
from edgead.errors import EdgeADError
from edgead.recording import Recording, read_recording
from edgead.stream import Outcome, SeriesSettings

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
        Step apart, which is the interval's.
    node : str
        Part of the ids of the events.
    """

    path: str
    columns: tuple[str, ...] = ()
    time: str | None = None
    interval_ns: int | None = None
    settings: SeriesSettings = SeriesSettings()
    node: str = "edge"

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
        Abnormal readings, and the events they made.
    alarms_per_day : float
        Events by the time the recording spans.
    """

    readings: int = 0
    learning: int = 0
    abnormal: int = 0
    events: int = 0
    alarms_per_day: float = 0.0


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
    settings = msgspec.structs.replace(task.settings, step_ns=recording.step_ns)
    plans = [Plan(column, column, settings) for column in recording.columns]
    answer.rows, answer.step_ns, answer.notes = (
        len(recording.times_ns),
        recording.step_ns,
        list(recording.notes),
    )
    answer.first, answer.last = (
        int(t) // 10**6 for t in (recording.times_ns.min(), recording.times_ns.max())
    )
    answer.columns, answer.events = summarise(
        recording, (outcome for _, outcome in judge(recording, plans, node=task.node))
    )


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

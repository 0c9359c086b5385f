"""A detector over a recording, as it would have judged it live."""

from collections.abc import Iterator, Sequence

import msgspec

from edgead.errors import InvalidInput
from edgead.recording import Recording
from edgead.records import Reading
from edgead.stream import Engine, EngineSettings, Outcome, SeriesSettings

#: Readings handed to the engine at a time: large enough to cost nothing, small enough to be shown as they come.
BATCH_READINGS = 4096


class Plan(msgspec.Struct, frozen=True):
    """How one column is judged.

    Attributes
    ----------
    column : str
        Of the recording.
    series_id : str
        Part of the ids of its events.
    settings : SeriesSettings
    """

    column: str
    series_id: str
    settings: SeriesSettings


def judge(recording: Recording, plans: Sequence[Plan], *, node: str) -> Iterator[tuple[int, Outcome]]:
    """Feed a recording to the engine in the order of its rows.

    Parameters
    ----------
    recording : Recording
        Columns and times.
    plans : sequence of Plan
        One for each column to judge; rows go to them in this order.
    node : str
        Part of the ids of the events: with node, series id and settings of a device they are the device's.

    Yields
    ------
    (int, Outcome)
        Rows fed, and what they brought about; the last time (0 rows) what was still waiting for earlier rows.

    Raises
    ------
    InvalidInput
        If two plans have one series id.
    """
    engine = Engine(EngineSettings(node=node, max_series=len(plans), memory_budget_bytes=2**62))
    for plan in plans:
        if plan.series_id in engine.series:
            raise InvalidInput(f"series: {plan.series_id!r} is the id of two columns, expected one each")
        engine.add(plan.series_id, recording.path, plan.settings, 0)
    columns = [(plan.series_id, recording.columns[plan.column]) for plan in plans]
    times, rows = recording.times_ns, max(1, BATCH_READINGS // len(plans))
    for first in range(0, len(times), rows):
        part = slice(first, first + rows)
        batch = _readings(times[part].tolist(), [(name, values[part].tolist()) for name, values in columns])
        yield min(rows, len(times) - first), engine.feed(batch, int(times[first]))
        engine.settle(0)  # nothing is restored here; kept, the notes would grow with the recording
    yield 0, engine.flush()


def _readings(times: Sequence[int], columns: Sequence[tuple[str, Sequence[float]]]) -> list[Reading]:
    """Row by row; a cell without a value is no reading, as a device would have sent none."""
    if len(columns) == 1:
        ((name, values),) = columns
        return [Reading(name, at, value) for at, value in zip(times, values, strict=True) if value == value]
    return [
        Reading(name, at, values[row])
        for row, at in enumerate(times)
        for name, values in columns
        if values[row] == values[row]
    ]

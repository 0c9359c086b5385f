"""What ``edgead detect`` prints: every reading as JSON or CSV, events as payloads, or a table for people."""

import csv
import sys
from collections.abc import Sequence

import click
import msgspec

from edgead.backtest import Plan
from edgead.bridge.messages import event_message, to_ms
from edgead.config.units import iso, show_duration
from edgead.recording import Recording
from edgead.records import Event, Verdict
from edgead.stream import Outcome

_EVENT_COLUMNS = ("series", "from", "lasted", "value", "expected", "normal", "peak score")


class Row(msgspec.Struct):
    """One judged reading: the keys of ``--format json`` and the columns of ``--format csv``; ts in epoch ms."""

    series: str
    ts: int
    value: float
    expected: float
    lower: float
    upper: float
    is_anomaly: bool
    severity: float
    score: float
    phase: str


def row_of(verdict: Verdict) -> Row:
    """The printed form of a verdict."""
    return Row(
        verdict.series_id,
        to_ms(verdict.time_ns),
        verdict.value,
        verdict.expected,
        verdict.lower,
        verdict.upper,
        verdict.is_anomaly,
        verdict.severity,
        verdict.score,
        verdict.phase,
    )


class Results:
    """Takes what the engine says, batch by batch; this one prints nothing."""

    def begin(self, recording: Recording, plans: Sequence[Plan]) -> None:
        """Before the first batch."""

    def take(self, outcome: Outcome) -> None:
        """One batch."""

    def end(self) -> None:
        """After the last batch."""


def make_results(form: str, *, events: bool) -> Results:
    """What prints in this form."""
    if events:
        return Payloads()
    forms: dict[str, type[Results]] = {"json": JsonLines, "csv": CsvRows, "table": Table}
    return forms[form]()


class JsonLines(Results):
    """One object a reading, one a line; no value is null."""

    def __init__(self) -> None:
        self._encode = msgspec.json.Encoder().encode_lines
        self._out = sys.stdout.buffer

    def take(self, outcome: Outcome) -> None:
        """Print a batch."""
        self._out.write(self._encode(map(row_of, outcome.verdicts)))


class CsvRows(Results):
    """One row a reading below a header; no value is an empty cell, is_anomaly is 0 or 1."""

    def __init__(self) -> None:
        self._writer = csv.writer(sys.stdout, lineterminator="\n")

    def begin(self, recording: Recording, plans: Sequence[Plan]) -> None:
        """Print the header."""
        self._writer.writerow(Row.__struct_fields__)

    def take(self, outcome: Outcome) -> None:
        """Print a batch."""
        self._writer.writerows(cells_of(row_of(verdict)) for verdict in outcome.verdicts)


def cells_of(row: msgspec.Struct) -> list[object]:
    """A row for CSV: no value is an empty cell, a truth 0 or 1."""
    return [
        "" if cell != cell else int(cell) if isinstance(cell, bool) else cell
        for cell in msgspec.structs.astuple(row)
    ]


class Payloads(Results):
    """Events as the device publishes them, one JSON a line; ``seq`` counts from 1."""

    def __init__(self) -> None:
        self._out = sys.stdout.buffer
        self._seq = 0

    def take(self, outcome: Outcome) -> None:
        """Print the events of a batch."""
        for event in outcome.events:
            self._seq += 1
            self._out.write(event_message(event, seq=self._seq, replay=event.replay).encode() + b"\n")


class _Count(msgspec.Struct):
    """Sums of one column."""

    readings: int = 0
    learning: int = 0
    abnormal: int = 0
    events: int = 0


class _Span(msgspec.Struct):
    """One event of the table."""

    opened: Event
    peak: float
    last_ns: int
    closed: bool = False


class Table(Results):
    """Events in a table, and a line of sums for each column."""

    def begin(self, recording: Recording, plans: Sequence[Plan]) -> None:
        """Keep what the head of the table says."""
        self._recording = recording
        self._counts = {plan.series_id: _Count() for plan in plans}
        self._spans: list[_Span] = []
        self._open: dict[str, _Span] = {}

    def take(self, outcome: Outcome) -> None:
        """Count a batch and keep its events."""
        told = {(event.verdict.series_id, event.verdict.time_ns): event for event in outcome.events}
        for verdict in outcome.verdicts:
            count = self._counts[verdict.series_id]
            count.readings += 1
            count.learning += verdict.phase == "learning"
            count.abnormal += verdict.is_anomaly
            if told and (event := told.get((verdict.series_id, verdict.time_ns))) is not None:
                self._note(event)
            if verdict.is_anomaly and (span := self._open.get(verdict.series_id)) is not None:
                span.peak = max(span.peak, verdict.score)
                span.last_ns = verdict.time_ns

    def _note(self, event: Event) -> None:
        verdict = event.verdict
        if event.event == "open":
            span = _Span(event, verdict.score, verdict.time_ns)
            self._spans.append(span)
            self._open[verdict.series_id] = span
            self._counts[verdict.series_id].events += 1
        elif event.event == "close":
            self._open.pop(verdict.series_id).closed = True

    def end(self) -> None:
        """Print."""
        recording = self._recording
        rows, step = len(recording.times_ns), show_duration(recording.step_ns)
        first, last = (iso(int(recording.times_ns[at])) for at in (0, -1))
        click.echo(f"{recording.path}: {rows} rows every {step}, {first} to {last}")
        for note in recording.notes:
            click.echo(f"note: {note}")
        if self._spans:
            click.echo()
            for line in aligned([_EVENT_COLUMNS, *(_cells(span, recording.step_ns) for span in self._spans)]):
                click.echo(line)
            click.echo()
        for series, count in self._counts.items():
            click.echo(f"{series}: {_sums(count, rows)}")


def _sums(count: _Count, rows: int) -> str:
    gaps = f", {rows - count.readings} without value" if count.readings < rows else ""
    if count.learning == count.readings:
        return f"{count.readings} readings{gaps}, all of them taken for learning: too few to judge"
    judged = count.readings - count.learning
    events = f"{count.events} event{'s' * (count.events != 1)}"
    rate = 1000 * count.events / judged
    return (
        f"{events} ({rate:.2g} per 1000 readings), {count.abnormal} abnormal of {judged} judged readings, "
        f"{count.learning} for learning{gaps}"
    )


def _cells(span: _Span, step_ns: int) -> tuple[str, ...]:
    verdict = span.opened.verdict
    lasted = lasting(span.last_ns - span.opened.since_ns + step_ns)
    return (
        verdict.series_id,
        iso(span.opened.since_ns),
        lasted if span.closed else f"{lasted}, still open",
        f"{verdict.value:.6g}",
        f"{verdict.expected:.6g}",
        f"{verdict.lower:.6g} .. {verdict.upper:.6g}",
        f"{span.peak:.3g}",
    )


def lasting(ns: int) -> str:
    """A duration for people: whole seconds above a minute, whole milliseconds below."""
    unit = 10**9 if ns >= 60 * 10**9 else 10**6
    return show_duration(ns // unit * unit)


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows as lines, columns under each other."""
    widths = [max(len(row[at]) for row in rows) for at in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths)).rstrip() for row in rows]

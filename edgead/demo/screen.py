"""What the demo shows: a live table on a terminal, plain lines elsewhere, and the report at the end."""

from collections.abc import Sequence
from datetime import UTC, datetime

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from edgead.demo.scoring import FALSE_PER_1000, FOUND_SHARE, Grade
from edgead.demo.watch import Anomaly, State, Watch, Whole
from edgead.simulate import Label, Scenario

RECENT, FALSE_SHOWN, MIN_SHOWN = 6, 5, 8
PLAIN_EVERY_S = 5.0
#: Variables named as the cause of an anomaly of the whole.
CAUSES = 3


def clock(time_ns: int) -> str:
    """Time of day of an event time, UTC."""
    return datetime.fromtimestamp(time_ns / 1e9, UTC).strftime("%H:%M:%S")


def name_of(label: Label) -> str:
    """``pump.flow step -5.1 sigma at 10:02:13``."""
    return f"{label.series_id} {label.kind} {label.size:+.1f} sigma at {clock(label.start_ns)}"


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.4g}"


def _band(state: State) -> str:
    if state.lower is None or state.upper is None:
        return ""
    return f"{state.lower:.4g}..{state.upper:.4g}"


class Screen:
    """Shows what a subscriber sees.

    Parameters
    ----------
    scenario : Scenario
        For units, and to say which fault is going on.
    headlines : sequence of str
        What is above everything.
    """

    def __init__(self, scenario: Scenario, headlines: Sequence[str]) -> None:
        self._scenario = scenario
        self._headlines = headlines
        self._console = Console(highlight=False)
        self._live: Live | None = None
        self._told: set[str] = set()
        self._next_plain_s = 0.0

    def __enter__(self) -> "Screen":
        for line in self._headlines:
            self.say(line)
        if self._console.is_terminal:
            self._live = Live(console=self._console, auto_refresh=False)
            self._live.start()
        return self

    def __exit__(self, *exc: object) -> None:
        if self._live is not None:
            self._live.stop()

    def say(self, line: str) -> None:
        """One plain line."""
        self._console.print(line, markup=False, soft_wrap=True)

    def show(self, elapsed_s: float, row: int, seen: Watch) -> None:
        """Bring the table up to date, or print what is new.

        Parameters
        ----------
        elapsed_s : float
            Wall time since the plant started.
        row : int
            Rows published.
        seen : Watch
            What the agent has told.
        """
        states, anomalies, wholes = seen.states(), seen.anomalies(), seen.wholes()
        progress = self._progress(elapsed_s, row, states, len(anomalies))
        if self._live is not None:
            self._live.update(self.picture(progress, row, states, anomalies, wholes), refresh=True)
        else:
            self._plain(elapsed_s, progress, anomalies)
            self._plain_wholes(wholes)

    def _plain(self, elapsed_s: float, progress: str, anomalies: list[Anomaly]) -> None:
        for anomaly in anomalies:
            if anomaly.id not in self._told:
                self._told.add(anomaly.id)
                self.say("  " + self._describe(anomaly))
        if elapsed_s >= self._next_plain_s:
            self._next_plain_s = elapsed_s + PLAIN_EVERY_S
            self.say(progress)

    def _plain_wholes(self, wholes: list[Whole]) -> None:
        """Each once it is over, when its highest score is known."""
        for whole in wholes:
            if whole.closed_ns is not None and whole.id not in self._told:
                self._told.add(whole.id)
                self.say("  " + self._describe_whole(whole))

    def _progress(self, elapsed_s: float, row: int, states: dict[str, State], anomalies: int) -> str:
        rows, width = self._scenario.rows, len(self._scenario.columns)
        ready = sum(state.phase == "ready" for state in states.values())
        return (
            f"{elapsed_s:3.0f} s  {clock(self._time_of(row))}  row {row} of {rows}  {row * width} readings  "
            f"{ready} of {width} ready  {anomalies} anomalies"
        )

    def _time_of(self, row: int) -> int:
        return self._scenario.start_ns + row * self._scenario.step_ns

    def _describe(self, anomaly: Anomaly) -> str:
        label = self._fault_at(anomaly.series, anomaly.opened_ns)
        return (
            f"{clock(anomaly.opened_ns)} {anomaly.series:20} {_number(anomaly.value):>6} "
            f"expected {_number(anomaly.expected):>6} score {anomaly.score:4.1f}  "
            + (f"<- {label.kind} {label.size:+.1f}" if label else "no fault")
        )

    def _describe_whole(self, whole: Whole) -> str:
        causes = ", ".join(f"{name} {share:.0%}" for name, share in whole.causes[:CAUSES])
        changed = f"; correlations changed: {', '.join(whole.changed[:CAUSES])}" if whole.changed else ""
        until_ns = whole.closed_ns or whole.opened_ns
        faults = ", ".join(
            f"{label.series_id.partition('.')[2]} {label.kind} {label.size:+.1f}"
            for label in self._scenario.labels
            if label.series_id.startswith(f"{whole.group}.")
            and label.start_ns <= until_ns
            and whole.opened_ns <= label.end_ns + 10 * self._scenario.step_ns
        )
        return (
            f"{clock(whole.opened_ns)} {whole.group} as a whole, score {whole.score:.1f}: {causes}{changed}  "
            + (f"<- {faults}" if faults else "no fault")
        )

    def _fault_at(self, series_id: str, time_ns: int) -> Label | None:
        for label in self._scenario.labels:
            if (
                label.series_id == series_id
                and label.start_ns <= time_ns <= label.end_ns + 10 * self._scenario.step_ns
            ):
                return label
        return None

    # ------------------------------------------------------------------ the table

    def picture(
        self,
        progress: str,
        row: int,
        states: dict[str, State],
        anomalies: list[Anomaly],
        wholes: list[Whole],
    ) -> Group:
        """The whole screen at one moment; on a low terminal the series that are busy go first."""
        open_series = {anomaly.series for anomaly in anomalies if anomaly.closed_ns is None}
        table = Table(box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
        for name in ("series", "value", "expected", "band", "unit", "state", "injected"):
            right = name in ("value", "expected", "band")
            table.add_column(name, justify="right" if right else "left", no_wrap=True)
        faults = {each: self._fault_at(each, self._time_of(row)) for each in self._scenario.columns}
        room = max(MIN_SHOWN, self._console.height - RECENT - 8)
        busy = sorted(faults, key=lambda each: each not in open_series and faults[each] is None)
        for series_id in [each for each in faults if each in busy[:room]]:
            state, label = states.get(series_id, State()), faults[series_id]
            style = "green" if state.phase == "ready" else "yellow"
            table.add_row(
                series_id,
                _number(state.value),
                _number(state.expected),
                _band(state),
                self._scenario.units[series_id],
                Text("ANOMALY", "bold red") if series_id in open_series else Text(state.phase, style),
                Text(f"{label.kind} {label.size:+.1f}" if label else "", "magenta"),
            )
        lines = [self._describe(anomaly) for anomaly in anomalies[-RECENT:]]
        recent = Text("\n".join(["recent anomalies", *lines, *[""] * (RECENT - len(lines))]), no_wrap=True)
        whole = Text(self._describe_whole(wholes[-1]) if wholes else "", no_wrap=True)
        return Group(Text(progress, no_wrap=True), table, recent, whole)


def report(grade: Grade) -> list[str]:
    """The end of the demo in lines; the last three hold ``found``, ``missed`` and ``false alarms``."""
    lines = ["", f"{'fault':8}  {'found':>9}  median delay"]
    for kind, (found, total, delay) in grade.by_kind().items():
        lines.append(
            f"{kind:8}  {found:3} of {total:2}  {'' if delay is None else f'{delay:10.0f} s'}".rstrip()
        )
    lines += [f"missed: {name_of(label)}" for label in grade.missed]
    shown = grade.false_alarms[:FALSE_SHOWN]
    lines += [f"false alarm: {one.series_id} at {clock(one.open_ns)}" for one in shown]
    if len(grade.false_alarms) > len(shown):
        lines.append(f"... and {len(grade.false_alarms) - len(shown)} more")
    faults = len(grade.found) + len(grade.missed)
    lines += [
        "",
        "passed" if grade.passed else "NOT passed",
        f"found         {len(grade.found):3} of {faults} labelled faults "
        f"({grade.found_share:.0%}; at least {FOUND_SHARE:.0%} wanted)",
        f"missed        {len(grade.missed):3}",
        f"false alarms  {len(grade.false_alarms):3} "
        f"({grade.false_per_1000:.2f} per 1000 readings; at most {FALSE_PER_1000:.0f} wanted)",
    ]
    return lines

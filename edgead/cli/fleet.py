"""A back-test of many files: results in a folder, a summary, and what was done before is not done again."""

import csv
import os
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import click
import msgspec

from edgead.backtest import Answer, ColumnSums, Task
from edgead.cli.options import progress
from edgead.cli.results import aligned

_SHOWN = 10
_SUMMARY = ("file", "column", *ColumnSums.__struct_fields__, "seconds", "error")
_decoder = msgspec.json.Decoder(Answer)


class Totals(msgspec.Struct):
    """``summary.json``: the sums of all files; rates are means over the series."""

    files: int
    kept_from_before: int
    without_result: int
    series: int
    readings: int
    abnormal: int
    events: int
    alarms_per_day_and_series: float
    seconds: float
    seconds_of_all_processes: float
    failed: dict[str, str]


class Folder:
    """The result files of a back-test.

    Parameters
    ----------
    out : str
        Made when missing.
    files : sequence of str
        Their common folder is taken away from the names of the result files.
    """

    def __init__(self, out: str, files: Sequence[str]) -> None:
        self._out = Path(out)
        self._base = os.path.commonpath([os.path.dirname(os.path.abspath(file)) for file in files])

    def result_of(self, file: str) -> Path:
        """Where the result of a file goes."""
        return self._out / (os.path.relpath(os.path.abspath(file), self._base) + ".json")

    def earlier(self, task: Task) -> Answer | None:
        """The answer of an earlier run to the same task on the same file, if it was one without error."""
        try:
            answer = _decoder.decode(self.result_of(task.path).read_bytes())
            same = not answer.error and answer.task == task.digest()
        except (OSError, msgspec.MsgspecError):
            return None
        return answer if same else None

    def keep(self, answer: Answer) -> None:
        """Write a result file, whole or not at all."""
        path = self.result_of(answer.file)
        _write(path, msgspec.json.format(msgspec.json.encode(answer), indent=1) + b"\n")

    def summarise(self, answers: Sequence[Answer], totals: Totals) -> None:
        """Write ``summary.csv`` (a row for each file and column) and ``summary.json`` (the sums of all)."""
        path = self._out / "summary.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        with open(path, "w", newline="", encoding="utf-8") as file:
            writer = csv.writer(file)
            writer.writerow(_SUMMARY)
            writer.writerows(_rows(answers))
        _write(self._out / "summary.json", msgspec.json.format(msgspec.json.encode(totals)) + b"\n")


def _write(path: Path, data: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(path.name + ".part")
    partial.write_bytes(data)
    os.replace(partial, path)


def _rows(answers: Iterable[Answer]) -> Iterator[list[object]]:
    for answer in answers:
        if answer.error:
            yield [answer.file, *[""] * (len(_SUMMARY) - 3), answer.seconds, answer.error]
        for name, sums in answer.columns.items():
            yield [answer.file, name, *msgspec.structs.astuple(sums), answer.seconds, ""]


def backtest(tasks: Sequence[Task], *, out: str, jobs: int, scheduler: str | None) -> int:
    """Judge every file that has no result yet, write results and summary, and print the sums.

    Parameters
    ----------
    tasks : sequence of Task
        One a file.
    out : str
        Folder of the results.
    jobs : int, >= 1
        Processes of this machine.
    scheduler : str or None
        Address of a Dask scheduler to use instead.

    Returns
    -------
    int
        Exit code: 2 when a file had no result.
    """
    from edgead.backtest import run_local, run_scheduler

    start = time.monotonic()
    folder = Folder(out, [task.path for task in tasks])
    answers = {task.path: answer for task in tasks if (answer := folder.earlier(task)) is not None}
    kept = len(answers)
    left = [task for task in tasks if task.path not in answers]
    ready = run_scheduler(left, address=scheduler) if scheduler else run_local(left, jobs=jobs)
    with progress("judging", len(left)) as advance:
        for answer in ready if left else ():
            folder.keep(answer)
            answers[answer.file] = answer
            advance(1)
    ordered = [answers[task.path] for task in tasks]
    totals = _totals(ordered, kept, time.monotonic() - start)
    folder.summarise(ordered, totals)
    _print(ordered, totals, out)
    return 2 if totals.without_result else 0


def _totals(answers: Sequence[Answer], kept: int, seconds: float) -> Totals:
    columns = [sums for answer in answers for sums in answer.columns.values()]
    failed = {answer.file: answer.error for answer in answers if answer.error}
    rate = sum(sums.alarms_per_day for sums in columns) / len(columns) if columns else 0.0
    return Totals(
        files=len(answers),
        kept_from_before=kept,
        without_result=len(failed),
        series=len(columns),
        readings=sum(sums.readings for sums in columns),
        abnormal=sum(sums.abnormal for sums in columns),
        events=sum(sums.events for sums in columns),
        alarms_per_day_and_series=round(rate, 4),
        seconds=round(seconds, 3),
        seconds_of_all_processes=round(sum(answer.seconds for answer in answers), 3),
        failed=failed,
    )


def _print(answers: Sequence[Answer], totals: Totals, out: str) -> None:
    """The loudest series, the sums, and what has no result."""
    series = [(answer.file, name, sums) for answer in answers for name, sums in answer.columns.items()]
    loud = sorted((row for row in series if row[2].events), key=lambda row: -row[2].events)
    if loud:
        head = ("file", "column", "events", "alarms a day")
        rows = [
            (file, name, str(sums.events), f"{sums.alarms_per_day:.3g}") for file, name, sums in loud[:_SHOWN]
        ]
        for line in aligned([head, *rows]):
            click.echo(line)
        if len(loud) > _SHOWN:
            click.echo(f"... and {len(loud) - _SHOWN} more with events")
        click.echo()
    click.echo(
        f"{totals.files} files ({totals.kept_from_before} judged before), {totals.series} series, "
        f"{totals.readings} readings: {totals.events} events, "
        f"{totals.alarms_per_day_and_series} alarms a day and series, {totals.seconds:.1f} s"
    )
    click.echo(f"results in {out}, summary in {Path(out) / 'summary.csv'}")
    failed = list(totals.failed.values())
    for error in failed[:_SHOWN]:
        click.echo(f"edgead: no result: {error}", err=True)
    if len(failed) > _SHOWN:
        click.echo(f"edgead: no result for {len(failed) - _SHOWN} more, see the summary", err=True)

"""Detectors over recordings: one file, or thousands on many processes."""

from edgead.backtest.fleet import find_files, run_local, run_scheduler
from edgead.backtest.judging import Plan, judge
from edgead.backtest.task import Answer, ColumnSums, Task, run_task

__all__ = [
    "Answer",
    "ColumnSums",
    "Plan",
    "Task",
    "find_files",
    "judge",
    "run_local",
    "run_scheduler",
    "run_task",
]

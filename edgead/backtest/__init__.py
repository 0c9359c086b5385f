"""Detectors over recordings: one file, or thousands on many processes."""

from edgead.backtest.batch import BATCH_MODES, Judged, judge_column
from edgead.backtest.fleet import find_files, run_local, run_scheduler
from edgead.backtest.judging import Plan, judge
from edgead.backtest.task import Answer, ColumnSums, Task, run_task

__all__ = [
    "BATCH_MODES",
    "Answer",
    "ColumnSums",
    "Judged",
    "Plan",
    "Task",
    "find_files",
    "judge",
    "judge_column",
    "run_local",
    "run_scheduler",
    "run_task",
]

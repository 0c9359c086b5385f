"""Many files on many processes: of this machine, or of a Dask cluster.

One bad file is an answer with an error; a file that brings its process down (memory, a fault of a library) is found
by running the suspects alone, and is an answer with an error too.
"""

import glob
import os
import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from contextlib import contextmanager
from itertools import islice
from multiprocessing import get_context
from pathlib import Path

from edgead.backtest.task import Answer, Task, run_task
from edgead.errors import InvalidInput, OuterWorldError
from edgead.recording import ENDINGS

#: Tasks handed out ahead for each process: enough to keep it busy, few enough to be done again after a crash.
AHEAD = 2
#: Seconds between two looks for Ctrl-C.
_LOOK_S = 0.2

Run = Callable[[Task], Answer]


def find_files(patterns: Sequence[str]) -> list[str]:
    """Files of folders (with all below them), glob patterns (``**`` is any depth) and plain names; sorted, each once.

    Raises
    ------
    InvalidInput
        If one of them finds nothing.
    """
    found: set[str] = set()
    for pattern in patterns:
        if os.path.isdir(pattern):
            files = [str(path) for path in Path(pattern).rglob("*") if path.suffix.lower() in ENDINGS]
        elif glob.has_magic(pattern) and not os.path.exists(pattern):
            files = [path for path in glob.glob(pattern, recursive=True) if os.path.isfile(path)]
        else:
            files = [pattern] if os.path.exists(pattern) else []
        if not files:
            raise InvalidInput(
                f"{pattern}: no files, expected a file, a folder or a pattern of {' '.join(ENDINGS)}"
            )
        found.update(files)
    return sorted(found)


def run_local(tasks: Sequence[Task], *, jobs: int, run: Run = run_task) -> Iterator[Answer]:
    """Answers in the order they are ready, from processes of this machine.

    Parameters
    ----------
    tasks : sequence of Task
        One a file.
    jobs : int, >= 1
        Processes.
    run : callable, optional
        What is done with a task.
    """
    waiting = list(reversed(tasks))
    while waiting:
        suspects: list[Task] = []
        yield from _run_pool(waiting, jobs, run, suspects)
        for task in suspects:
            alone: list[Task] = []
            yield from _run_pool([task], 1, run, alone)
            if alone:
                yield Answer(file=task.path, error="the process that judged it died: too little memory?")


def _run_pool(waiting: list[Task], jobs: int, run: Run, suspects: list[Task]) -> Iterator[Answer]:
    """Empty the list until it is done or a process dies; the tasks under way then are the suspects."""
    under_way: dict[Future[Answer], Task] = {}
    # spawned, not forked: a copy of a process with threads may hang
    processes, context = min(jobs, len(waiting)), get_context("spawn")
    with (
        _noted_interrupts() as heed,
        ProcessPoolExecutor(processes, mp_context=context, initializer=_leave_interrupts) as pool,
    ):
        try:
            while waiting or under_way:
                heed()
                while waiting and len(under_way) < AHEAD * jobs:
                    task = waiting.pop()
                    under_way[pool.submit(run, task)] = task
                done, _ = wait(under_way, _LOOK_S, return_when=FIRST_COMPLETED)
                for future in done:
                    answer = future.result()
                    del under_way[future]
                    yield answer
        except BrokenProcessPool:
            heed()  # it may have reached a process that did not leave it to this one yet
            suspects.extend(under_way.values())
            return
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


@contextmanager
def _noted_interrupts() -> Iterator[Callable[[], None]]:
    """Have Ctrl-C noted, and raised where it is asked for; the second one is raised at once.

    Raised wherever it comes, it may come between the taking of a lock of the pool and the block that gives it back
    (https://github.com/python/cpython/issues/148874): the pool would never end.
    """
    noted = False

    def note(number: int, frame: object) -> None:
        nonlocal noted
        if noted:
            raise KeyboardInterrupt
        noted = True

    def heed() -> None:
        if noted:
            raise KeyboardInterrupt

    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield heed
        return
    signal.signal(signal.SIGINT, note)
    try:
        yield heed
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _leave_interrupts() -> None:
    """Ctrl-C reaches every process of a terminal; the one that gave out the work ends the others."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def run_scheduler(tasks: Sequence[Task], *, address: str, run: Run = run_task) -> Iterator[Answer]:
    """Answers in the order they are ready, from the workers of a Dask cluster, which must see the same files.

    Parameters
    ----------
    tasks : sequence of Task
        One a file.
    address : str
        Of the scheduler, e.g. ``tcp://10.0.0.5:8786``.
    run : callable, optional
        What is done with a task.

    Raises
    ------
    InvalidInput
        If the ``fleet`` extra is not installed.
    OuterWorldError
        If the cluster cannot be reached or has no workers.
    """
    try:
        from distributed import Client, as_completed
    except ImportError:
        raise InvalidInput("--scheduler needs Dask: pip install 'edgead[fleet]'") from None
    try:
        client = Client(address, timeout=10, set_as_default=False)
    except (OSError, ValueError, TypeError) as error:
        raise OuterWorldError(f"--scheduler {address}: no Dask scheduler answers ({error})") from None
    with client:
        cores = sum(client.nthreads().values())
        if not cores:
            raise OuterWorldError(f"--scheduler {address}: the cluster has no workers")
        waiting = iter(tasks)
        futures = [client.submit(run, task, pure=False) for task in islice(waiting, AHEAD * cores)]
        paths = {future.key: task.path for future, task in zip(futures, tasks, strict=False)}
        queue = as_completed(futures, loop=client.loop)
        for future in queue:
            yield _dask_answer(future, paths.pop(future.key))
            for task in islice(waiting, 1):
                following = client.submit(run, task, pure=False)
                paths[following.key] = task.path
                queue.add(following)


def _dask_answer(future, path: str) -> Answer:  # type: ignore[no-untyped-def]
    """The answer of a worker; one that raised or died gives an answer with an error."""
    error = future.exception()
    if error is not None:
        return Answer(file=path, error=f"the worker that judged it failed: {error}")
    answer: Answer = future.result()
    return answer

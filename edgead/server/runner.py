"""The threads that carry out jobs: who is next, what its worker is told, and what becomes of it when that dies.

The job store is written by this process alone.  A worker tells what it finds, and only its whole outcome is saved, so
a kill of either side leaves a job as it was before: it is begun again, at most `Quotas.attempts` times, and is then
FAILED.
"""

import contextlib
import itertools
import logging
import re
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from edgead.errors import InvalidInput, ModelPackageError, StoreError
from edgead.package import read_package
from edgead.server import orders
from edgead.server.diagnostics import Diagnostics, faults
from edgead.server.launch import Launcher, WorkerDied
from edgead.server.quotas import Quotas
from edgead.server.requests import DetectRequest, TrainRequest
from edgead.server.shelf import Shelf
from edgead.server.sources import SourceSettings
from edgead.server.wire import time_text_ns
from edgead.server.work import UNEXPECTED
from edgead.store.jobs import JobStore, Kind, ModelRow, Queued

log = logging.getLogger("edgead")

#: Seconds between two sweeps of expired results, two looks for a job that nobody told of, two tries to save.
SWEEP_S = 60.0
IDLE_S = 60.0
SAVE_AGAIN_S = 2.0
#: Seconds that threads are waited for at a stop.
STOP_S = 20.0


class Runner:
    """The workers of one server.

    Parameters
    ----------
    store : JobStore
    shelf : Shelf
    launcher : Launcher
        Carries out the orders.
    quotas : Quotas
    work : Path
        Folder for the data of jobs under way; emptied at the start.
    sources : SourceSettings
        Of the reader of sources.
    trainer : str
        Module that trains; "" where this server cannot.
    now_ns : callable
        The wall clock.
    """

    def __init__(
        self,
        store: JobStore,
        shelf: Shelf,
        launcher: Launcher,
        *,
        quotas: Quotas,
        work: Path,
        sources: SourceSettings,
        trainer: str,
        now_ns: Callable[[], int],
    ) -> None:
        self._store, self._shelf, self._launcher, self._quotas = store, shelf, launcher, quotas
        self._work, self._trainer, self._now_ns = work, trainer, now_ns
        self._sources = msgspec.to_builtins(sources)
        self._turn = threading.Condition()
        self._under_way: dict[str, tuple[Queued, threading.Event]] = {}
        self._turns: Counter[str] = Counter()  # when each client's job was begun last
        self._begun = itertools.count(1)
        self._trouble = ""
        self._stopping = False
        self._ended = threading.Event()
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Take up what the last process left, and begin to work."""
        for notice in self._store.notices:
            log.error(notice)
            log.error(self._shelf.set_aside())
        shutil.rmtree(self._work, ignore_errors=True)
        self._work.mkdir(parents=True, mode=0o700)
        self._shelf.sweep(self._store.models())
        self.recover()
        kinds: tuple[Kind, ...] = ("models", "results")
        for kind in kinds:
            for _ in range(self._quotas.at_a_time):
                self._begin_thread(self._serve, kind)
        self._begin_thread(self._sweep)

    def recover(self) -> None:
        """Jobs whose worker went with the last process wait for another."""
        kinds: tuple[Kind, ...] = ("models", "results")
        for kind in kinds:
            for job in self._store.running(kind):
                self._again(job, job.attempts, "the server ended while it ran")

    @property
    def problem(self) -> str:
        """Why jobs cannot go on just now; "" when they can."""
        return self._trouble

    def wake(self) -> None:
        """There is a new job."""
        with self._turn:
            self._turn.notify_all()

    def abandon(self, identities: Iterable[str]) -> None:
        """These jobs are no longer wanted: whatever works for them ends."""
        with self._turn:
            for identity in identities:
                if identity in self._under_way:
                    self._under_way[identity][1].set()

    def stop(self) -> None:
        """End the jobs under way, which are begun again at the next start."""
        self._ended.set()
        with self._turn:
            self._stopping = True
            for _, unwanted in self._under_way.values():
                unwanted.set()
            self._turn.notify_all()
        deadline = time.monotonic() + STOP_S
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0.0))
        self._launcher.close()

    def _begin_thread(self, work: Callable[..., None], *given: Any) -> None:
        thread = threading.Thread(target=work, args=given, name="edgead-jobs", daemon=True)
        thread.start()
        self._threads.append(thread)

    def _serve(self, kind: Kind) -> None:
        while (taken := self._next(kind)) is not None:
            job, unwanted = taken
            try:
                self._work_on(job, unwanted)
            except Exception:
                # a fault of ours must not end the thread: the job is told as FAILED and the next begun
                log.exception("the server failed over a job", extra={"fields": {"job": job.id}})
                self._save(self._fail, job, UNEXPECTED, "the server failed over this job; its log says where")
            finally:
                with self._turn:
                    del self._under_way[job.id]
                self._clear(job)

    def _next(self, kind: Kind) -> tuple[Queued, threading.Event] | None:
        """The next job of a kind, marked as begun; None at a stop."""
        with self._turn:
            while not self._stopping:
                job = self._pick(kind)
                if job is not None:
                    unwanted = threading.Event()
                    self._under_way[job.id] = (job, unwanted)
                    return job, unwanted
                self._turn.wait(SAVE_AGAIN_S if self._trouble else IDLE_S)
        return None

    def _pick(self, kind: Kind) -> Queued | None:
        """The oldest job of the client with the fewest under way, of these the one whose last turn is longest ago."""
        try:
            waiting = self._store.queued(kind)
            busy = Counter(job.client for job, _ in self._under_way.values() if job.kind == kind)
            for job in sorted(waiting, key=lambda job: (busy[job.client], self._turns[job.client])):
                if self._store.begin(job, self._now_ns()):
                    self._trouble = ""
                    self._turns[job.client] = next(self._begun)
                    return msgspec.structs.replace(job, attempts=job.attempts + 1)
        except StoreError as error:
            self._trouble = str(error)
            log.error("no job can be begun", extra={"fields": {"reason": str(error)}})
        return None

    def _work_on(self, job: Queued, unwanted: threading.Event) -> None:
        diagnostics = Diagnostics()

        def tell(told: orders.Seen | orders.Epochs) -> None:
            if isinstance(told, orders.Seen):
                diagnostics.states = told.states
            else:
                diagnostics.model_state.add(told)
            if job.kind == "models":
                # the end is what counts, and it is saved again and again
                with contextlib.suppress(StoreError):
                    self._store.tell(job.id, self._now_ns(), diagnostics=msgspec.json.encode(diagnostics))

        try:
            order = self._order(job)
            try:
                outcome = None if order is None else self._launcher.run(order, tell, unwanted)
            finally:  # the copy of the data may be what fills the disk: nothing could be saved beside it
                self._clear(job)
            if isinstance(outcome, orders.Trained):
                read_package(outcome.package)
        except WorkerDied as error:
            fields = {"job": job.id, "reason": str(error), "log": error.log}
            log.warning("a job's process died", extra={"fields": fields})
            self._save(self._again, job, job.attempts, str(error))
            return
        except InvalidInput as error:  # the model was deleted just now
            outcome = orders.Failed(error.code, error.message)
        except ModelPackageError as error:
            outcome = orders.Failed(UNEXPECTED, f"the package of the model: {error}")
        if outcome is not None:
            self._save(self._finish, job, outcome, diagnostics)
            ended = f"{outcome.code}: {outcome.message}" if isinstance(outcome, orders.Failed) else "READY"
            log.info("job ended", extra={"fields": {"kind": job.kind, "job": job.id, "outcome": ended}})
        elif self._stopping:
            self._store.requeue(job, self._now_ns(), attempts=job.attempts - 1)

    def _clear(self, job: Queued) -> None:
        """Remove the folder of a job that has ended."""
        shutil.rmtree(self._work / job.id, ignore_errors=True)

    def _order(self, job: Queued) -> orders.Order | None:
        """What the worker is told; None when the job is no more."""
        folder = self._work / job.id
        folder.mkdir(mode=0o700, exist_ok=True)
        given = {"sources": self._sources, "limits": self._quotas.limits, "folder": str(folder)}
        if job.kind == "models":
            model = self._store.model(job.id)
            return None if model is None else self._train_order(model, given)
        result = self._store.result(job.id)
        if result is None or result.status == "FAILED":
            return None
        request = msgspec.json.decode(result.request, type=DetectRequest)
        return orders.DetectOrder(
            source=request.source,
            schema=request.schema or self._schema_of(result.model_id),
            start_ns=request.start_ns,
            end_ns=request.end_ns,
            package=self._shelf.read(result.model_id),
            **given,
        )

    def _train_order(self, model: ModelRow, given: dict[str, Any]) -> orders.TrainOrder:
        request = msgspec.json.decode(model.request, type=TrainRequest)
        return orders.TrainOrder(
            source=request.source,
            schema=request.schema,
            start_ns=request.start_ns,
            end_ns=request.end_ns,
            window=request.window,
            epochs=self._quotas.epochs,
            align=request.policy,
            name=package_name(request.display_name, model.id),
            version=package_version(model.created_ns),
            trainer=self._trainer,
            created=time_text_ns(model.created_ns),
            **given,
        )

    def _schema_of(self, model_id: str) -> str:
        """How the training data of a model lay; "" = either way, for an installed package."""
        row = self._store.model(model_id)
        return "" if row is None else msgspec.json.decode(row.request, type=TrainRequest).schema

    def _finish(self, job: Queued, outcome: orders.Outcome, diagnostics: Diagnostics) -> None:
        now_ns = self._now_ns()
        if isinstance(outcome, orders.Failed):
            self._fail(job, outcome.code, outcome.message, diagnostics)
        elif isinstance(outcome, orders.Trained):
            self._shelf.put(job.id, outcome.package)
            told = msgspec.json.encode(diagnostics)
            if not self._store.finish_model(job.id, now_ns, status="READY", diagnostics=told):
                self._shelf.drop(job.id)  # deleted meanwhile
        else:
            states = msgspec.json.encode(outcome.states)
            self._store.finish_result(job.id, now_ns, status="READY", states=states, parts=outcome.parts)

    def _again(self, job: Queued, attempts: int, reason: str) -> None:
        """Its worker is gone: to the queue once more, or FAILED when that was often enough."""
        if attempts < self._quotas.attempts:
            self._store.requeue(job, self._now_ns(), attempts=attempts)
            with self._turn:
                self._turn.notify_all()
        else:
            self._fail(
                job, UNEXPECTED, f"It was begun {attempts} times without an end; the last time {reason}."
            )

    def _fail(self, job: Queued, code: str, message: str, diagnostics: Diagnostics | None = None) -> None:
        errors, now_ns = faults(code, message), self._now_ns()
        known = diagnostics or Diagnostics()
        if job.kind == "models":
            told = msgspec.json.encode(known)
            self._store.finish_model(job.id, now_ns, status="FAILED", errors=errors, diagnostics=told)
        else:
            states = msgspec.json.encode(known.states)
            self._store.finish_result(job.id, now_ns, status="FAILED", errors=errors, states=states)

    def _save(self, save: Callable[..., None], *given: Any) -> None:
        """Save what became of a job, as often as the disk refuses; at a stop the next start begins it again."""
        while True:
            try:
                save(*given)
                self._trouble = ""
                return
            except (StoreError, ModelPackageError) as error:
                self._trouble = str(error)
                log.error("the end of a job cannot be saved yet", extra={"fields": {"reason": str(error)}})
                with self._turn:
                    if self._stopping:
                        return
                    self._turn.wait(SAVE_AGAIN_S)

    def _sweep(self) -> None:
        while True:
            with contextlib.suppress(StoreError):
                self._store.expire(self._now_ns() - self._quotas.keep_results_ns)
                if dropped := self._store.trim(self._quotas.results_bytes):
                    log.warning("results went before their time", extra={"fields": {"results": dropped}})
            if self._ended.wait(SWEEP_S):
                return


def package_name(display_name: str, model_id: str) -> str:
    """What a package is called: the display name as far as it is a plain name, else the beginning of the id."""
    plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", display_name).strip("-_.")
    return plain or f"model-{model_id[:8]}"


def package_version(created_ns: int) -> str:
    """Three numbers that rise with the time a model was asked for: year, month and day, hour minute second (UTC)."""
    moment = datetime.fromtimestamp(created_ns // 10**9, UTC)
    day, time_of_day = (
        moment.month * 100 + moment.day,
        moment.hour * 10_000 + moment.minute * 100 + moment.second,
    )
    return f"{moment.year}.{day}.{time_of_day}"

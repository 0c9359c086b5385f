"""The queue of trainings and detections: who may ask, who is next, and what becomes of a job whose worker is gone.

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
import uuid
from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec

from edgead.errors import InvalidInput, ModelPackageError, StoreError
from edgead.multivariate import VariableState
from edgead.package import read_package
from edgead.server import orders
from edgead.server.launch import Launcher, WorkerDied
from edgead.server.requests import DetectRequest, TrainRequest
from edgead.server.shelf import Shelf
from edgead.server.sources import Reader, SourceSettings
from edgead.server.wire import time_text_ns
from edgead.server.work import UNEXPECTED
from edgead.store.jobs import JobStore, Kind, ModelRow, Queued, ResultRow

log = logging.getLogger("edgead")

#: Seconds between two sweeps of expired results, and between two tries to save an outcome.
SWEEP_S = 60.0
SAVE_AGAIN_S = 2.0
#: Code of detections beyond the quota, which ends by itself.
BUSY = "TooManyRunningDetections"
#: Seconds that a worker's threads are waited for at a stop.
STOP_S = 20.0


class Fault(msgspec.Struct, frozen=True):
    """One entry of `errors`."""

    code: str
    message: str


class ModelState(msgspec.Struct, rename="camel"):
    """How training went: four lists of equal length."""

    epoch_ids: list[int] = []
    train_losses: list[float] = []
    validation_losses: list[float] = []
    latencies_in_seconds: list[float] = []

    def add(self, told: orders.Epochs) -> None:
        """One more entry."""
        self.epoch_ids.append(told.epoch)
        self.train_losses.append(told.loss)
        self.validation_losses.append(told.held_loss)
        self.latencies_in_seconds.append(round(told.latency_s, 6))


class Diagnostics(msgspec.Struct):
    """What is known of a training."""

    model_state: ModelState = msgspec.field(default_factory=ModelState)
    states: tuple[VariableState, ...] = ()


class Quotas(msgspec.Struct, frozen=True, kw_only=True):
    """What clients and jobs may take.

    Attributes
    ----------
    models, trainings, detections : int
        Of one client: models kept, jobs not finished.
    at_a_time : int
        Jobs of each kind that run at a time.
    keep_results_ns : int
        Life of a result, from when it was asked for.
    results_bytes : int
        Of all clients' results together; beyond it the oldest go before their time.
    attempts : int
        Times a job is begun whose worker dies.
    epochs : int
        Most epochs of a training.
    limits : Limits
        Memory and time of a job.
    shared : bool
        Whether every client sees the models and results of all, instead of its own.
    """

    models: int = 1000
    trainings: int = 20
    detections: int = 60
    at_a_time: int = 1
    keep_results_ns: int = 7 * 86_400 * 10**9
    results_bytes: int = 4 * 2**30
    attempts: int = 3
    epochs: int = 100
    limits: orders.Limits = orders.Limits(4 * 2**30, 6 * 3600.0)
    shared: bool = False


class Jobs:
    """Models and detections of one server.

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
    now_ns : callable, optional
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
        now_ns: Callable[[], int] = time.time_ns,
    ) -> None:
        self.store, self.shelf, self.quotas, self.trainer = store, shelf, quotas, trainer
        self._launcher = launcher
        self._work = work
        self._sources = msgspec.to_builtins(sources)
        self._reader = Reader(sources)
        self._now_ns = now_ns
        self._turn = threading.Condition()
        self._under_way: dict[str, tuple[Queued, threading.Event]] = {}
        self._turns: Counter[str] = Counter()  # when each client's job was begun last
        self._begun = itertools.count(1)
        self._trouble = ""
        self._stopping = False
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Take up what the last process left, and begin to work."""
        for notice in self.store.notices:
            log.error(notice)
            log.error(self.shelf.set_aside())
        shutil.rmtree(self._work, ignore_errors=True)
        self._work.mkdir(parents=True, mode=0o700)
        self.shelf.sweep(self.store.models())
        kinds: tuple[Kind, ...] = ("models", "results")
        for kind in kinds:
            for job in self.store.running(kind):
                self._again(job, job.attempts, "the server ended while it ran")
        for kind in kinds:
            for _ in range(self.quotas.at_a_time):
                self._begin_thread(self._serve, kind)
        self._begin_thread(self._sweep)

    @property
    def problem(self) -> str:
        """Why jobs cannot go on just now; "" when they can."""
        return self._trouble

    def stop(self) -> None:
        """End the jobs under way, which are begun again at the next start, and let go of everything."""
        with self._turn:
            self._stopping = True
            for _, unwanted in self._under_way.values():
                unwanted.set()
            self._turn.notify_all()
        deadline = time.monotonic() + STOP_S
        for thread in self._threads:
            thread.join(max(deadline - time.monotonic(), 0.0))
        self._launcher.close()
        self.store.close()

    # ---- what clients ask for

    def check_source(self, source: str) -> None:
        """Refuse at once what will not be read: `InvalidInput` with the codes of `edgead.server.sources`."""
        self._reader.check(source)

    def train(self, client: str, request: TrainRequest) -> ModelRow:
        """Take the order for a new model.

        Raises
        ------
        InvalidInput
            ``TooManyModels``, ``TooManyRunningModels``, or ``TrainingNotAvailable`` where nothing can train.
        """
        if not self.trainer:
            raise InvalidInput(
                "This server detects and does not train: install edgead[train] on it, or train elsewhere and install "
                "the package with 'edgead model install'.",
                code="TrainingNotAvailable",
            )
        with self._turn:
            quotas = self.quotas
            _within(self.store.count("models", client), quotas.models, "models", "TooManyModels")
            running = self.store.count("models", client, unfinished=True)
            _within(running, quotas.trainings, "trainings under way", "TooManyRunningModels")
            row = ModelRow(**self._new(client), request=msgspec.json.encode(request))
            self.store.add_model(row)
            self._turn.notify_all()
        return row

    def detect(self, client: str, model_id: str, request: DetectRequest) -> ResultRow:
        """Take the order for a detection.

        Raises
        ------
        InvalidInput
            ``ModelNotExist``, ``ModelNotReady``, ``ModelFailed`` or ``TooManyRunningDetections``.
        """
        self.expect_ready(client, model_id)
        with self._turn:
            running = self.store.count("results", client, unfinished=True)
            _within(running, self.quotas.detections, "detections under way", BUSY)
            row = ResultRow(**self._new(client), model_id=model_id, request=msgspec.json.encode(request))
            self.store.add_result(row)
            self._turn.notify_all()
        return row

    def model(self, client: str, model_id: str) -> ModelRow:
        """A model of the job store that the client may see.

        Raises
        ------
        InvalidInput
            ``ModelNotExist``.
        """
        row = self.store.model(model_id)
        if row is None or not self._may_see(client, row.client):
            raise InvalidInput("The model does not exist.", code="ModelNotExist")
        return row

    def models(self, client: str) -> dict[str, int]:
        """Ids and times of the last change of the models that the client may see, the one updated last first."""
        return self.store.models(None if self.quotas.shared else client)

    def expect_ready(self, client: str, model_id: str) -> None:
        """Raise `InvalidInput` (``ModelNotExist``, ``ModelNotReady``, ``ModelFailed``) unless a model can judge."""
        if model_id in self.shelf.installed():
            return
        row = self.model(client, model_id)
        if row.status == "FAILED":
            raise InvalidInput(
                "The model failed to train and cannot be used; train it anew.", code="ModelFailed"
            )
        if row.status != "READY":
            raise InvalidInput(
                f"The model is not ready yet, its status is {row.status}.", code="ModelNotReady"
            )

    def result(self, client: str, result_id: str) -> ResultRow:
        """A detection that the client may see.

        Raises
        ------
        InvalidInput
            ``ResultNotExist``.
        """
        row = self.store.result(result_id)
        if row is None or not self._may_see(client, row.client) or self._expired(row):
            raise InvalidInput("The result does not exist or has expired.", code="ResultNotExist")
        return row

    def delete(self, client: str, model_id: str) -> None:
        """Forget a model and stop its jobs.

        Raises
        ------
        InvalidInput
            ``ModelNotExist``; ``ModelInstalled`` for a package of this gateway's registry.
        """
        if model_id in self.shelf.installed():
            raise InvalidInput(
                "The model is a package installed on this machine: it is not deleted over HTTP.",
                code="ModelInstalled",
            )
        self.model(client, model_id)
        if not self.store.delete_model(model_id):
            raise InvalidInput("The model does not exist.", code="ModelNotExist")
        fault = _faults("ModelNotExist", "The model was deleted before the detection had ended.")
        with self._turn:
            stopped = self.store.unfinished_of(model_id)
            for result_id in stopped:
                self.store.finish_result(result_id, self._now_ns(), status="FAILED", errors=fault)
            for identity in (model_id, *stopped):
                if identity in self._under_way:
                    self._under_way[identity][1].set()
        self.shelf.drop(model_id)

    def _may_see(self, client: str, owner: str) -> bool:
        return self.quotas.shared or client == owner

    def _expired(self, row: ResultRow) -> bool:
        return (
            row.status in ("READY", "FAILED")
            and row.created_ns < self._now_ns() - self.quotas.keep_results_ns
        )

    def _new(self, client: str) -> dict[str, Any]:
        now_ns = self._now_ns()
        return {"id": str(uuid.uuid4()), "client": client, "created_ns": now_ns, "updated_ns": now_ns}

    # ---- the threads that work

    def _begin_thread(self, work: Callable[..., None], *given: Any) -> None:
        thread = threading.Thread(target=work, args=given, name="edgead-jobs", daemon=True)
        thread.start()
        self._threads.append(thread)

    def _serve(self, kind: Kind) -> None:
        while (taken := self._next(kind)) is not None:
            job, unwanted = taken
            try:
                self._work_on(job, unwanted)
            except (
                Exception
            ):  # a fault of ours must not end the thread: the job is told as FAILED and the next begun
                log.exception("the server failed over a job", extra={"fields": {"job": job.id}})
                self._save(self._fail, job, UNEXPECTED, "the server failed over this job; its log says where")
            finally:
                with self._turn:
                    del self._under_way[job.id]
                shutil.rmtree(self._work / job.id, ignore_errors=True)

    def _next(self, kind: Kind) -> tuple[Queued, threading.Event] | None:
        """The next job of a kind, marked as begun; None at a stop."""
        with self._turn:
            while not self._stopping:
                job = self._pick(kind)
                if job is not None:
                    unwanted = threading.Event()
                    self._under_way[job.id] = (job, unwanted)
                    return job, unwanted
                self._turn.wait(SWEEP_S)
        return None

    def _pick(self, kind: Kind) -> Queued | None:
        """The oldest job of the client with the fewest under way, of these the one whose last turn is longest ago."""
        try:
            waiting = self.store.queued(kind)
            busy = Counter(job.client for job, _ in self._under_way.values() if job.kind == kind)
            for job in sorted(waiting, key=lambda job: (busy[job.client], self._turns[job.client])):
                if self.store.begin(job, self._now_ns()):
                    self._trouble = ""
                    self._turns[job.client] = next(self._begun)
                    return msgspec.structs.replace(job, attempts=job.attempts + 1)
        except StoreError as error:
            self._trouble = str(error)
            log.error("no job can be begun", extra={"fields": {"reason": str(error)}})
            self._turn.wait(SAVE_AGAIN_S)
        return None

    def _work_on(self, job: Queued, unwanted: threading.Event) -> None:
        diagnostics = Diagnostics()

        def tell(told: orders.Seen | orders.Epochs) -> None:
            if isinstance(told, orders.Seen):
                diagnostics.states = told.states
            else:
                diagnostics.model_state.add(told)
            if job.kind == "models":
                with contextlib.suppress(
                    StoreError
                ):  # the end is what counts, and it is saved again and again
                    self.store.tell(job.id, self._now_ns(), diagnostics=msgspec.json.encode(diagnostics))

        try:
            order = self._order(job)
            outcome = None if order is None else self._launcher.run(order, tell, unwanted)
            if isinstance(outcome, orders.Trained):
                read_package(outcome.package)
        except WorkerDied as error:
            fields = {"job": job.id, "reason": str(error), "log": error.log}
            log.warning("a job's process died", extra={"fields": fields})
            self._save(self._again, job, job.attempts, str(error))
            return
        except ModelPackageError as error:
            outcome = orders.Failed(UNEXPECTED, f"the package of the model: {error}")
        if outcome is not None:
            self._save(self._finish, job, outcome, diagnostics)
            ended = f"{outcome.code}: {outcome.message}" if isinstance(outcome, orders.Failed) else "READY"
            log.info("job ended", extra={"fields": {"kind": job.kind, "job": job.id, "outcome": ended}})
        elif self._stopping:
            self.store.requeue(job, self._now_ns(), attempts=job.attempts - 1)

    def _order(self, job: Queued) -> orders.Order | None:
        """What the worker is told; None when the job is no more."""
        folder = self._work / job.id
        folder.mkdir(mode=0o700, exist_ok=True)
        given = {"sources": self._sources, "limits": self.quotas.limits, "folder": str(folder)}
        if job.kind == "models":
            model = self.store.model(job.id)
            return None if model is None else self._train_order(model, given)
        result = self.store.result(job.id)
        if result is None or result.status == "FAILED":
            return None
        request = msgspec.json.decode(result.request, type=DetectRequest)
        return orders.DetectOrder(
            source=request.source,
            schema=request.schema or self._schema_of(result.model_id),
            start_ns=request.start_ns,
            end_ns=request.end_ns,
            package=self.shelf.read(result.model_id),
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
            epochs=self.quotas.epochs,
            align=request.policy,
            name=package_name(request.display_name, model.id),
            version=package_version(model.created_ns),
            trainer=self.trainer,
            created=time_text_ns(model.created_ns),
            **given,
        )

    def _schema_of(self, model_id: str) -> str:
        """How the training data of a model lay; "" = either way, for an installed package."""
        row = self.store.model(model_id)
        return "" if row is None else msgspec.json.decode(row.request, type=TrainRequest).schema

    def _finish(self, job: Queued, outcome: orders.Outcome, diagnostics: Diagnostics) -> None:
        now_ns = self._now_ns()
        if isinstance(outcome, orders.Failed):
            self._fail(job, outcome.code, outcome.message, diagnostics)
        elif isinstance(outcome, orders.Trained):
            self.shelf.put(job.id, outcome.package)
            told = msgspec.json.encode(diagnostics)
            if not self.store.finish_model(job.id, now_ns, status="READY", diagnostics=told):
                self.shelf.drop(job.id)  # deleted meanwhile
        else:
            states = msgspec.json.encode(outcome.states)
            self.store.finish_result(job.id, now_ns, status="READY", states=states, answer=outcome.answer)

    def _again(self, job: Queued, attempts: int, reason: str) -> None:
        """Its worker is gone: to the queue once more, or FAILED when that was often enough."""
        if attempts < self.quotas.attempts:
            self.store.requeue(job, self._now_ns(), attempts=attempts)
            with self._turn:
                self._turn.notify_all()
        else:
            self._fail(
                job, UNEXPECTED, f"It was begun {attempts} times without an end; the last time {reason}."
            )

    def _fail(self, job: Queued, code: str, message: str, diagnostics: Diagnostics | None = None) -> None:
        faults, now_ns = _faults(code, message), self._now_ns()
        known = diagnostics or Diagnostics()
        if job.kind == "models":
            told = msgspec.json.encode(known)
            self.store.finish_model(job.id, now_ns, status="FAILED", errors=faults, diagnostics=told)
        else:
            states = msgspec.json.encode(known.states)
            self.store.finish_result(job.id, now_ns, status="FAILED", errors=faults, states=states)

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
                self.store.expire(self._now_ns() - self.quotas.keep_results_ns)
                if dropped := self.store.trim(self.quotas.results_bytes):
                    log.warning("results went before their time", extra={"fields": {"results": dropped}})
            with self._turn:
                if self._stopping:
                    return
                self._turn.wait(SWEEP_S)
                if self._stopping:
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


def _within(count: int, most: int, what: str, code: str) -> None:
    if count >= most:
        raise InvalidInput(
            f"There are {count} {what} already, at most {most} are allowed for a client.", code=code
        )


def _faults(code: str, message: str) -> bytes:
    return msgspec.json.encode([Fault(code, message)])

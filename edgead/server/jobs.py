"""What clients may ask of models and detections: orders taken within quotas, rows that are their own."""

import threading
import time
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec

from edgead.errors import InvalidInput
from edgead.server.diagnostics import faults
from edgead.server.launch import Launcher
from edgead.server.quotas import BUSY, Quotas, within
from edgead.server.requests import DetectRequest, TrainRequest
from edgead.server.runner import Runner
from edgead.server.shelf import Shelf
from edgead.server.sources import Reader, SourceSettings
from edgead.store.jobs import JobStore, ModelRow, ResultRow


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
        self._reader = Reader(sources)
        self._now_ns = now_ns
        self._asking = threading.Lock()  # a quota is looked at and used in one step
        self._runner = Runner(
            store,
            shelf,
            launcher,
            quotas=quotas,
            work=work,
            sources=sources,
            trainer=trainer,
            now_ns=now_ns,
        )

    def start(self) -> None:
        """Take up what the last process left, and begin to work."""
        self._runner.start()

    @property
    def problem(self) -> str:
        """Why jobs cannot go on just now; "" when they can."""
        return self._runner.problem

    def stop(self) -> None:
        """End the jobs under way, which are begun again at the next start, and let go of everything."""
        self._runner.stop()
        self.store.close()

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
        with self._asking:
            quotas = self.quotas
            within(self.store.count("models", client), quotas.models, "models", "TooManyModels")
            running = self.store.count("models", client, unfinished=True)
            within(running, quotas.trainings, "trainings under way", "TooManyRunningModels")
            row = ModelRow(**self._new(client), request=msgspec.json.encode(request))
            self.store.add_model(row)
            self._runner.wake()
        return row

    def detect(self, client: str, model_id: str, request: DetectRequest) -> ResultRow:
        """Take the order for a detection.

        Raises
        ------
        InvalidInput
            ``ModelNotExist``, ``ModelNotReady``, ``ModelFailed`` or ``TooManyRunningDetections``.
        """
        self.expect_ready(client, model_id)
        with self._asking:
            running = self.store.count("results", client, unfinished=True)
            within(running, self.quotas.detections, "detections under way", BUSY)
            row = ResultRow(**self._new(client), model_id=model_id, request=msgspec.json.encode(request))
            self.store.add_result(row)
            self._runner.wake()
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
        fault = faults("ModelNotExist", "The model was deleted before the detection had ended.")
        stopped = self.store.unfinished_of(model_id)
        for result_id in stopped:
            self.store.finish_result(result_id, self._now_ns(), status="FAILED", errors=fault)
        self._runner.abandon([model_id, *stopped])
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

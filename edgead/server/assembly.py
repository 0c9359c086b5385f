"""Builds the jobs of a server from its settings, and ties their life to the server's."""

import asyncio
import time
from collections.abc import Iterator

from prometheus_client.core import GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from edgead.server.context import ServerContext
from edgead.server.jobs import Jobs
from edgead.server.launch import Launcher, ProcessLauncher
from edgead.server.orders import Limits
from edgead.server.quotas import Quotas
from edgead.server.settings import ServerSettings
from edgead.server.shelf import Shelf
from edgead.server.sources import SourceSettings
from edgead.store.jobs import JobStore, Kind

#: Below the state directory.
FOLDER = "server"
#: Where an agent's registry keeps its packages, below the same state directory.
INSTALLED = "models"


def prepare_jobs(context: ServerContext) -> None:
    """Jobs begin with the server and end with it; `context.jobs` is there from the start to the stop."""

    async def start() -> None:
        context.jobs = await asyncio.to_thread(make_jobs, context.settings)
        context.at_stop.append(stop)
        await asyncio.to_thread(context.jobs.start)
        context.problems["jobs"] = lambda: context.jobs.problem

    async def stop() -> None:
        await asyncio.to_thread(context.jobs.stop)

    context.measures.registry.register(_Counts(context))
    context.at_start.append(start)


class _Counts(Collector):
    """Models and detections by status, counted when they are asked for."""

    def __init__(self, context: ServerContext) -> None:
        self._context = context

    def describe(self) -> list[Metric]:
        """Nothing is counted before the server has started."""
        return [self._family()]

    def collect(self) -> Iterator[Metric]:
        """Counts of now."""
        family = self._family()
        kinds: tuple[Kind, ...] = ("models", "results")
        for kind in kinds:
            for status, count in self._context.jobs.store.statuses(kind).items():
                family.add_metric([kind, status], count)
        yield family

    def _family(self) -> GaugeMetricFamily:
        return GaugeMetricFamily("edgead_jobs", "Models and detections by status.", labels=["kind", "status"])


def make_jobs(settings: ServerSettings) -> Jobs:
    """The jobs of a state directory, not started yet.

    Raises
    ------
    StoreError
        If another server has the directory, or the disk fails.
    ConfigError
        If a data root or a listed source is wrong.
    """
    folder = settings.state / FOLDER
    store = JobStore.open(folder, now_ns=time.time_ns())
    try:
        shelf = Shelf(folder / "models", settings.state / INSTALLED, memory_bytes=settings.model_memory)
        return Jobs(
            store,
            shelf,
            make_launcher(settings.scheduler),
            quotas=quotas_of(settings),
            work=folder / "work",
            sources=sources_of(settings),
            trainer=settings.trainer,
        )
    except BaseException:
        store.close()
        raise


def make_launcher(scheduler: str) -> Launcher:
    """Where jobs run: on a Dask cluster when there is one, else in processes of this machine."""
    if scheduler:
        from edgead.server.cluster import ClusterLauncher

        return ClusterLauncher(scheduler)
    return ProcessLauncher()


def quotas_of(settings: ServerSettings) -> Quotas:
    """What clients and jobs may take."""
    return Quotas(
        models=settings.max_models,
        trainings=settings.max_training,
        detections=settings.max_detections,
        at_a_time=settings.jobs,
        keep_results_ns=settings.keep_results,
        results_bytes=settings.results_size,
        epochs=settings.epochs,
        limits=Limits(settings.job_memory, settings.job_time / 1e9),
        shared=settings.shared_models,
    )


def sources_of(settings: ServerSettings) -> SourceSettings:
    """What may be read."""
    return SourceSettings(
        roots=settings.data_roots,
        allowed=settings.allow_sources,
        mapped=settings.blob_folders,
        ca=settings.source_ca,
        max_bytes=settings.source_size,
        max_seconds=settings.source_time / 1e9,
    )

"""Jobs on the workers of a Dask cluster that is there already; they must see the same files as the server.

The task on a worker starts the same process as `ProcessLauncher` and watches it, so that limits, kills and messages
are the same everywhere, and a worker that is told to forget the task ends the process.
"""

import logging
import threading
import uuid
from typing import Any

import msgspec

from edgead.errors import InvalidInput
from edgead.server import orders
from edgead.server.launch import LOOK_S, ProcessLauncher, Tell, WorkerDied

log = logging.getLogger("edgead")

_CONNECT_S = 10
#: Seconds to the next try while nobody answers or nobody works, at most.
_PATIENCE_S = 15.0
_TOPIC = "edgead-jobs"


class ClusterLauncher:
    """Every job as a task of a cluster.

    Parameters
    ----------
    address : str
        Of the scheduler, ``tcp://host:port``.

    Raises
    ------
    InvalidInput
        If the extra ``fleet`` is not installed.
    """

    def __init__(self, address: str) -> None:
        try:
            import distributed  # noqa: F401  # found out at the start and not at the first job
        except ImportError:
            raise InvalidInput("--scheduler needs Dask: pip install 'edgead[fleet]'") from None
        self._address = address
        self._turn = threading.Lock()
        self._client: Any = None
        self._tells: dict[str, Tell] = {}

    def run(self, order: orders.Order, tell: Tell, unwanted: threading.Event) -> orders.Outcome | None:
        """See `edgead.server.launch.Launcher`; waits as long as no cluster answers."""
        order = msgspec.structs.replace(order, folder="")  # a folder of this machine means nothing there
        name = f"edgead-{uuid.uuid4()}"
        self._tells[name] = tell
        try:
            while not unwanted.is_set():
                client = self._connected(unwanted)
                if client is None:
                    return None
                future = client.submit(run_there, orders.encode(order), key=name, pure=False)
                try:
                    return self._outcome(client, future, unwanted)
                except _SchedulerGone:
                    log.warning("the scheduler is lost, the job is given again", extra=self._fields())
                finally:
                    _let_go(future)
        finally:
            self._tells.pop(name, None)
        return None

    def close(self) -> None:
        """Leave the cluster; it forgets what is under way."""
        with self._turn:
            if self._client is not None:
                self._client.close(timeout=5)
                self._client = None

    def _outcome(self, client: Any, future: Any, unwanted: threading.Event) -> orders.Outcome | None:
        """What the task gave; how long it may take is its worker's to say, and one waits for a worker for ever."""
        while not future.done():
            if unwanted.wait(LOOK_S):
                return None
            if client.status not in ("running", "connecting"):
                raise _SchedulerGone
        if future.cancelled():
            raise _SchedulerGone
        error = future.exception()
        if error is not None:
            raise WorkerDied(f"its worker of the cluster failed: {error}"[:500])
        found = orders.decode_told(future.result())
        return found if isinstance(found, orders.Outcome) else None

    def _connected(self, unwanted: threading.Event) -> Any:
        """A client of the cluster, or None when the job is unwanted meanwhile."""
        from distributed import Client

        pause = 1.0
        while not unwanted.is_set():
            with self._turn:
                if self._client is not None and self._client.status == "running":
                    return self._client
                try:
                    self._client = Client(self._address, timeout=_CONNECT_S, set_as_default=False)
                    self._client.subscribe_topic(_TOPIC, self._hear)
                    return self._client
                except (OSError, ValueError, TypeError) as error:
                    log.warning("no Dask scheduler answers", extra=self._fields(str(error)))
            unwanted.wait(pause)
            pause = min(2 * pause, _PATIENCE_S)
        return None

    def _fields(self, reason: str = "") -> dict[str, dict[str, str]]:
        return {"fields": {"address": self._address, **({"reason": reason} if reason else {})}}

    def _hear(self, event: tuple[float, Any]) -> None:
        """What a job told on its way."""
        _, (name, message) = event
        tell = self._tells.get(name)
        if tell is None:
            return
        told = orders.decode_told(message)
        if isinstance(told, orders.Seen | orders.Epochs):
            tell(told)


class _SchedulerGone(Exception):
    """The cluster was lost while it had a job."""


def _let_go(future: Any) -> None:
    """The cluster forgets the task, and its worker then ends the process."""
    try:
        future.cancel()
    except Exception as error:  # the client's many, when the scheduler has gone
        log.debug("a task is not let go", extra={"fields": {"reason": str(error)}})


def run_there(order: bytes) -> bytes:
    """The task: runs on a worker of the cluster and gives the encoded outcome.

    Raises
    ------
    WorkerDied
        If the process of the job came to nothing.
    """
    from distributed import get_worker
    from distributed.worker import thread_state

    worker, name = get_worker(), thread_state.key
    unwanted, over = threading.Event(), threading.Event()

    def watch() -> None:
        while not over.wait(LOOK_S):
            task = worker.state.tasks.get(name)
            if task is None or task.state == "cancelled":
                unwanted.set()

    def tell(told: orders.Seen | orders.Epochs) -> None:
        worker.log_event(_TOPIC, (name, orders.encode(told)))

    threading.Thread(target=watch, daemon=True).start()
    try:
        outcome = ProcessLauncher().run(orders.decode_order(order), tell, unwanted)
    finally:
        over.set()
    return orders.encode(outcome or orders.Failed("UnexpectedError", "the cluster gave the job up"))

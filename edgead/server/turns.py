"""Short work by as many threads as there are processors; clients take turns, so that none starves the others."""

import asyncio
from collections import OrderedDict, deque
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeVar

from edgead.server.wire import GatewayError

Result = TypeVar("Result")

_RETRY_S = 1


class Turns:
    """A pool of threads with a queue for each client; belongs to one event loop.

    Parameters
    ----------
    threads : int
        Pieces of work at a time.
    max_waiting : int
        Pieces of work of one client that may wait.
    patience_s : float
        How long one may wait.
    """

    def __init__(self, threads: int, max_waiting: int, patience_s: float) -> None:
        self._pool = ThreadPoolExecutor(threads, thread_name_prefix="edgead-call")
        self._free = threads
        self._max_waiting = max_waiting
        self._patience_s = patience_s
        self._queues: OrderedDict[str, deque[asyncio.Future[None]]] = OrderedDict()

    @property
    def waiting(self) -> int:
        """Pieces of work that wait for a thread."""
        return sum(len(queue) for queue in self._queues.values())

    async def run(self, client: str, work: Callable[..., Result], *arguments: Any) -> Result:
        """Do a piece of work in a thread, when it is the client's turn.

        Raises
        ------
        GatewayError
            429, if too much of this client waits, or it waited too long.
        """
        await self._turn(client)
        future = asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)
        # the thread is busy until the work ends, even if whoever waits for it has gone
        future.add_done_callback(self._done)
        return await asyncio.shield(future)

    async def _turn(self, client: str) -> None:
        if self._free and not self._queues:
            self._free -= 1
            return
        queue = self._queues.setdefault(client, deque())
        if len(queue) >= self._max_waiting:
            raise busy(f"more than {self._max_waiting} calls of this client wait")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        queue.append(turn)
        try:
            async with asyncio.timeout(self._patience_s):
                await turn
        except BaseException as error:
            self._leave(client, turn)
            if isinstance(error, TimeoutError):
                raise busy(f"no thread came free within {self._patience_s:g} s") from None
            raise

    def _leave(self, client: str, turn: "asyncio.Future[None]") -> None:
        """Whoever waited has gone: leave the queue, or pass on the turn that came just then."""
        queue = self._queues.get(client)
        if queue and turn in queue:
            queue.remove(turn)
            if not queue:
                del self._queues[client]
        elif turn.done() and not turn.cancelled():
            self._pass_on()

    def _done(self, future: "asyncio.Future[Any]") -> None:
        if not future.cancelled():
            future.exception()  # nobody may be left to ask for it
        self._pass_on()

    def _pass_on(self) -> None:
        """Give the free thread to the next client in turn."""
        while self._queues:
            client, queue = next(iter(self._queues.items()))
            turn = queue.popleft()
            if queue:
                self._queues.move_to_end(client)
            else:
                del self._queues[client]
            if not turn.done():
                turn.set_result(None)
                return
        self._free += 1

    def close(self) -> None:
        """Wait for what is under way; nothing new is taken."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def busy(reason: str, *, retry_s: int = _RETRY_S) -> GatewayError:
    """429 with Retry-After."""
    message = f"Rate limit is exceeded: {reason}. Try again in {retry_s} seconds."
    return GatewayError(429, message, headers={"retry-after": str(retry_s)})

"""A TCP proxy that behaves like a bad network: cuts, stalls, cuts in the middle of a packet, and dribbles.

One thread copies bytes both ways for each connection; `trouble` hits all connections there are.  TCP keeps bytes in
order, so reordering shows as what it becomes: delay.
"""

import random
import select
import socket
import struct
import threading
import time
from types import TracebackType
from typing import Literal

Kind = Literal["cut", "truncate", "stall", "dribble"]
KINDS: tuple[Kind, ...] = ("cut", "truncate", "stall", "dribble")


class FlakyProxy:
    """Listens on a free loopback port and forwards to another.

    Parameters
    ----------
    target : int
        Port to forward to; may be set later.
    rng : random.Random
        Draws where packets are cut and how long trouble lasts.

    Attributes
    ----------
    open : bool
        Whether connections are let through; False keeps new ones waiting.
    """

    def __init__(self, target: int, rng: random.Random) -> None:
        self.target = target
        self._rng = rng
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port = int(self._listener.getsockname()[1])
        self._stopping = threading.Event()
        self._generation = 0
        self.open = True
        self._truncate_after: int | None = None
        self._stalled_until = self._slow_until = 0.0
        self._threads: list[threading.Thread] = []

    def __enter__(self) -> "FlakyProxy":
        self._start(self._accept)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stopping.set()
        self._listener.close()
        for thread in self._threads:
            thread.join(5)

    def _start(self, work, *arguments: object) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def trouble(self, kind: Kind) -> None:
        """Let something happen to the connections there are."""
        now = time.monotonic()
        if kind == "cut":
            self._generation += 1
        elif kind == "truncate":
            self._truncate_after = self._rng.randrange(1, 300)
        elif kind == "stall":
            self._stalled_until = now + self._rng.uniform(0.2, 1.0)
        else:
            self._slow_until = now + self._rng.uniform(0.2, 1.0)

    def _accept(self) -> None:
        while not self._stopping.is_set():
            if not self.open or not select.select([self._listener], [], [], 0.02)[0]:
                self._stopping.wait(0.02)
                continue
            try:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self.target), 5)
            except OSError:
                continue
            self._start(self._serve, client, server, self._generation)

    def _serve(self, client: socket.socket, server: socket.socket, generation: int) -> None:
        other = {client: server, server: client}
        try:
            while not self._stopping.is_set() and generation == self._generation:
                if time.monotonic() < self._stalled_until:
                    time.sleep(0.02)
                    continue
                for source in select.select([client, server], [], [], 0.02)[0]:
                    if not self._copy(source, other[source]):
                        return
        except OSError:
            return
        finally:
            for each in (
                client,
                server,
            ):  # a reset, as a cable that is pulled looks to a device with keepalive
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                each.close()

    def _copy(self, source: socket.socket, target: socket.socket) -> bool:
        slow = time.monotonic() < self._slow_until
        data = source.recv(7 if slow else 65536)
        if not data:
            return False
        cut_at = self._truncate_after
        if cut_at is not None:
            self._truncate_after = None
            target.sendall(data[: min(cut_at, len(data) - 1)])
            return False
        target.sendall(data)
        if slow:
            time.sleep(0.001)
        return True

"""A TCP proxy that misbehaves: cuts connections in the middle of a packet, delays, goes silent.

TCP itself keeps the order of bytes, so a proxy cannot reorder them; what a network can do to a connection
is to lose it, at any byte, in one direction first, or without a word.
"""

import random
import select
import socket
import struct
import threading
import time
from types import TracebackType
from typing import Literal, get_args

Kind = Literal["cut", "stall", "delay"]
KINDS: tuple[Kind, ...] = get_args(Kind)


class FlakyProxy:
    """Forwards loopback connections to a broker until told otherwise.

    Parameters
    ----------
    target : int
        The broker's port.
    rng : random.Random
        Where in a piece of data a cut falls, how it is done, how long a delay is.
    max_delay_s : float
        Each piece of data waits up to this long.

    Attributes
    ----------
    open : bool
        Whether new connections are let through; False keeps them waiting.
    silent : bool
        Nothing is passed on, and nobody is told.
    cuts : int
        Connections cut.
    """

    def __init__(self, target: int, rng: random.Random, *, max_delay_s: float = 0.0) -> None:
        self._target = target
        self._rng = rng
        self._max_delay_s = max_delay_s
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.cuts = 0
        self.open = True
        self.silent = False
        self._silent_until = 0.0
        self._to_cut = False
        self._ending = False
        self._pairs: list[threading.Thread] = []
        self._thread = threading.Thread(target=self._accept, daemon=True)

    def __enter__(self) -> "FlakyProxy":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ending = True
        for thread in (self._thread, *self._pairs):
            thread.join(10)
        self._listener.close()

    def cut(self) -> None:
        """Cut the connection with the next data that comes, in the middle of it."""
        self._to_cut = True

    def trouble(self, kind: Kind) -> None:
        """Let one thing happen to the connections there are; a stall passes by itself, delays come and go."""
        if kind == "cut":
            self.cut()
        elif kind == "stall":
            self._silent_until = time.monotonic() + self._rng.uniform(0.2, 1.0)
        else:
            self._max_delay_s = 0.0 if self._max_delay_s else 0.02

    def _accept(self) -> None:
        while not self._ending:
            if not self.open or not select.select([self._listener], [], [], 0.05)[0]:
                time.sleep(0.01)
                continue
            near, _ = self._listener.accept()
            try:
                far = socket.create_connection(("127.0.0.1", self._target), timeout=5)
            except OSError:
                near.close()
                continue
            pair = threading.Thread(target=self._forward, args=(near, far), daemon=True)
            self._pairs.append(pair)
            pair.start()

    def _forward(self, near: socket.socket, far: socket.socket) -> None:
        with near, far:
            while not self._ending:
                silent = self.silent or time.monotonic() < self._silent_until
                ready = [] if silent else select.select([near, far], [], [], 0.05)[0]
                if silent:
                    time.sleep(0.05)
                for source in ready:
                    try:
                        going_on = self._pass_on(source, far if source is near else near)
                    except OSError:
                        going_on = False
                    if not going_on:
                        return

    def _pass_on(self, source: socket.socket, sink: socket.socket) -> bool:
        data = source.recv(self._rng.choice((7, 1000, 65_536)))
        if not data:
            return False
        if self._max_delay_s:
            time.sleep(self._rng.uniform(0, self._max_delay_s))
        if not self._to_cut:
            sink.sendall(data)
            return True
        self._to_cut = False
        self.cuts += 1
        sink.sendall(data[: self._rng.randrange(len(data))])
        if self._rng.random() < 0.5:  # a reset, which also throws away what is still in the buffers
            for each in (source, sink):
                each.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        return False

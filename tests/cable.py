"""A cable between a device and a server, cut and mended at will: nobody answers on a cut one."""

import contextlib
import selectors
import socket
import threading
from types import TracebackType


class Cable:
    """Forwards TCP connections to a port while it is whole.

    Parameters
    ----------
    host, port
        The server's end.
    end : str
        Address of the device's end; its port is free at first, and the same after each mending.
    """

    def __init__(self, host: str, port: int, *, end: str = "127.0.0.1") -> None:
        self._server = (host, port)
        self._sockets: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._listener: socket.socket | None = socket.create_server((end, 0))
        self.address = self._listener.getsockname()
        self.url = f"http://{end}:{self.address[1]}"
        self._accept_in_thread(self._listener)

    def cut(self) -> None:
        """End every connection, and refuse others."""
        with self._lock:
            listener, self._listener = self._listener, None
            ends, self._sockets = self._sockets, set()
        for one in (*ends, *((listener,) if listener else ())):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def mend(self) -> None:
        """Be whole again."""
        self._listener = socket.create_server(self.address)
        self._accept_in_thread(self._listener)

    def _accept_in_thread(self, listener: socket.socket) -> None:
        threading.Thread(target=self._accept, args=(listener,), daemon=True).start()

    def _accept(self, listener: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while True:
                near, _ = listener.accept()
                threading.Thread(target=self._carry, args=(near,), daemon=True).start()

    def _carry(self, near: socket.socket) -> None:
        with contextlib.suppress(OSError, ValueError):
            far = socket.create_connection(self._server, timeout=10)
            far.settimeout(None)
            with self._lock:
                self._sockets |= {near, far}
            with near, far, selectors.DefaultSelector() as ready:
                ready.register(near, selectors.EVENT_READ, far)
                ready.register(far, selectors.EVENT_READ, near)
                while True:
                    for key, _ in ready.select():
                        data = key.fileobj.recv(65536)  # type: ignore[union-attr]
                        if not data:
                            return
                        key.data.sendall(data)

    def __enter__(self) -> "Cable":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.cut()

"""A TCP proxy that stops at a chosen byte, so that a disconnect happens where a test wants it."""

from __future__ import annotations

import contextlib
import socket
import threading


class CuttingProxy:
    """Forwards to `target`; holds still once `up` or `down` bytes went through, until `release`."""

    def __init__(self, target: str, *, up: int | None = None, down: int | None = None) -> None:
        self.reached = threading.Event()
        """The limit was reached and nothing moves any more."""
        host, _, port = target.rpartition(":")
        self._target = (host, int(port))
        self._left = {"up": up, "down": down}
        self._open = threading.Event()
        self._lock = threading.Lock()  # protects _left and _sockets
        self._sockets: list[socket.socket] = []
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.endpoint = f"127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> CuttingProxy:
        return self

    def __exit__(self, *error: object) -> None:
        self.release()
        self._listener.close()

    def release(self) -> None:
        """Cut what is open, and forward everything from now on."""
        with self._lock:
            self._left = {"up": None, "down": None}
            sockets, self._sockets = self._sockets, []
        self._open.set()
        for each in sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            try:
                server = socket.create_connection(self._target)
            except OSError:  # it is being restarted
                client.close()
                continue
            with self._lock:
                self._sockets += [client, server]
            for source, sink, way in ((client, server, "up"), (server, client, "down")):
                threading.Thread(target=self._forward, args=(source, sink, way), daemon=True).start()

    def _forward(self, source: socket.socket, sink: socket.socket, way: str) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(1 << 16):
                if self._is_over(way, len(data)):
                    self.reached.set()
                    self._open.wait()
                    return
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)

    def _is_over(self, way: str, size: int) -> bool:
        with self._lock:
            left = self._left[way]
            if left is None:
                return False
            self._left[way] = left - size
            return left < size

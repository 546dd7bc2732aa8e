"""A real HTTP endpoint for webhooks: in this process with any behaviour, or a process of its own that can be killed."""

from __future__ import annotations

import contextlib
import json
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Received:
    """One request."""

    path: str
    headers: Message
    body: bytes

    @property
    def document(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body)
        return found

    @property
    def seq(self) -> int:
        return int(self.document["data"]["seq"])


Behaviour = Callable[["Handler", Received], None]


class Handler(BaseHTTPRequestHandler):
    """Notes a request, then behaves."""

    server: Receiver

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        received = Received(self.path, self.headers, body)
        self.server.received.append(received)
        with contextlib.suppress(OSError):  # whoever was told enough has gone
            self.server.behaviour(self, received)

    def answer(self, status: int, **headers: str) -> None:
        self.send_response_only(status)
        for name, value in {"content_length": "0", **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()

    def do_GET(self) -> None:
        self.server.received.append(Received(self.path, self.headers, b""))
        self.answer(200)

    def log_message(self, *_: object) -> None:
        pass


class Receiver(ThreadingHTTPServer):
    """Use as a context manager. `behaviour` may be changed at any time; without one all is well."""

    daemon_threads = True

    def __init__(self, behaviour: Behaviour | None = None, certificate: Path | None = None):
        super().__init__(("127.0.0.1", 0), Handler)
        self.behaviour = behaviour or (lambda handler, received: handler.answer(204))
        self.received: list[Received] = []
        self.scheme = "http"
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(certificate)
            self.socket = context.wrap_socket(self.socket, server_side=True)
            self.scheme = "https"

    @property
    def url(self) -> str:
        return f"{self.scheme}://127.0.0.1:{self.server_port}/hook"

    @property
    def seqs(self) -> list[int]:
        return [each.seq for each in list(self.received)]

    def __enter__(self) -> Receiver:
        threading.Thread(target=self.serve_forever, args=[0.02], daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()

    def handle_error(self, *_: object) -> None:
        """Connections that break are what some tests are about."""


class ReceiverProcess:
    """A process that notes the number of each event in a file before it answers."""

    def __init__(self, folder: Path):
        self.file = folder / "received"
        self.file.touch()
        self.port = 0
        self.process: subprocess.Popen[str] | None = None

    def start(self) -> ReceiverProcess:
        command = [sys.executable, __file__, str(self.file), str(self.port)]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None
        self.port = int(self.process.stdout.readline())
        return self

    def kill(self) -> None:
        """SIGKILL."""
        if self.process is not None:
            self.process.kill()
            self.process.communicate()
            self.process = None

    @property
    def seqs(self) -> list[int]:
        return [int(line) for line in self.file.read_text().splitlines()]


def main(file: Path, port: int) -> None:
    class Noting(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            document = json.loads(self.rfile.read(int(self.headers["content-length"])))
            with file.open("a") as notes:
                notes.write(f"{document['data']['seq']}\n")
            self.send_response_only(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", port), Noting)
    sys.stdout.write(f"{server.server_port}\n")
    sys.stdout.flush()
    os.close(1)
    server.serve_forever()


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]))

"""docs/webhooks.md and docs/events.md are run: the receiver, the filters, the code."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from support import Server

import regsvc

from .reading import ROOT, blocks, indented

WEBHOOKS = ROOT / "docs/webhooks.md"
EVENTS = ROOT / "docs/events.md"


def test_the_receiver_takes_what_is_signed_and_nothing_else(
    start_server: Callable[..., Server], tmp_path: Path
) -> None:
    server = start_server("--webhook-allow-private", "1")
    [script] = [block.text for block in blocks(WEBHOOKS) if block.file == "receiver.py"]
    (tmp_path / "receiver.py").write_text(script)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with regsvc.connect(server.endpoint) as client:
        url = f"http://127.0.0.1:{port}/"
        _, secret = client.create_webhook("right", url, disabled=True)
        client.create_webhook("wrong", url, disabled=True)
        receiver = subprocess.Popen(
            [sys.executable, str(tmp_path / "receiver.py")],
            env={**os.environ, "WEBHOOK_SECRET": secret, "PORT": str(port)},
            stdout=subprocess.PIPE,
            text=True,
        )
        try:
            while client.test_webhook("right").status != 204:
                assert receiver.poll() is None
            assert client.test_webhook("wrong").status == 401
            # The old secret is signed with too, so the receiver need not be told at once.
            client.rotate_webhook_secret("right")
            assert client.test_webhook("right").status == 204
            assert receiver.stdout is not None
            assert receiver.stdout.readline() == "webhook.test webhooks/right\n"
        finally:
            receiver.kill()
            receiver.communicate()


def test_the_code_runs(server: Server) -> None:
    with regsvc.connect(server.endpoint) as client:
        with client.build("team/fraud") as build:
            build.log("hello\n")
            path = server.data.parent / "model"
            path.write_bytes(b"weights")
            build.publish(path)
    for document in (WEBHOOKS, EVENTS):
        for block in blocks(document):
            if block.language == "python" and not block.file:
                subprocess.run(
                    [sys.executable, "-c", block.text],
                    check=True,
                    timeout=120,
                    env={**os.environ, "REGSVC_ENDPOINT": server.endpoint},
                )


def test_the_filters_can_be_read(server: Server) -> None:
    filters = [line for line in indented(EVENTS) if line.startswith(("kind ", "has("))]
    filters += [line.split("'")[1] for line in indented(EVENTS) if "--filter '" in line]
    assert len(filters) == 6
    with regsvc.connect(server.endpoint) as client:
        for number, text in enumerate(filters):
            client.create_webhook(f"w{number}", "https://example.com/", filter=text, disabled=True)

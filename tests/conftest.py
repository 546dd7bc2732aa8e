"""Fixtures: real server processes on free ports and temporary folders."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import Server


@pytest.fixture(autouse=True)
def of_its_own(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Cache and state of pushed files are each test's own, for child processes too."""
    folder = tmp_path_factory.getbasetemp() / f"own-{uuid.uuid4().hex}"
    monkeypatch.setenv("REGSVC_CACHE", str(folder / "cache"))
    monkeypatch.setenv("REGSVC_STATE", str(folder / "state"))
    monkeypatch.setenv("REGSVC_CAPTURE", "off")  # what a test pushes should not depend on where the tests run


@pytest.fixture
def start_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Server]]:
    """A function that starts servers: start_server(*flags, data=..., env=...); all stopped at the end."""
    started: list[Server] = []

    def start(*flags: str, data: Path | None = None, **kwargs: object) -> Server:
        server = Server(data or tmp_path_factory.mktemp("data"), *flags, **kwargs)  # type: ignore[arg-type]
        started.append(server)
        return server.start()

    yield start
    for server in started:
        if server.process is not None:
            server.stop()


@pytest.fixture
def server(start_server: Callable[..., Server]) -> Server:
    """One fresh server for one test."""
    return start_server()


@pytest.fixture(scope="module")
def shared_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for a whole module, for tests that do not disturb each other."""
    server = Server(tmp_path_factory.mktemp("shared")).start()
    yield server
    server.stop()

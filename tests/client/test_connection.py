"""Connections: errors as our classes, restarts outlasted, a wrong address told soon."""

from __future__ import annotations

import socket
import threading
import time

import grpc
import pytest
from support import Server

import regsvc
from regsvc import errors
from regsvc.client.connection import Connection, translate
from regsvc.client.resume import Patience, resumed
from regsvc.v1 import registry_pb2


def test_capabilities_are_asked_for_once(shared_server: Server) -> None:
    with Connection(shared_server.endpoint) as connection:
        assert connection.capabilities().max_chunk_bytes == 2 << 20
        assert connection.capabilities() is connection.capabilities()


def test_an_error_comes_back_as_its_class_with_metadata(shared_server: Server) -> None:
    request = registry_pb2.GetModelRequest(name="namespaces/team/models/nope")
    with Connection(shared_server.endpoint) as connection:
        method = connection.registry.GetModel
        with pytest.raises(regsvc.NotFound) as caught:
            connection.call(method, request)
    assert "nope" in caught.value.message


def test_a_server_that_never_answered_is_given_up_soon() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    started = time.monotonic()
    with Connection(f"127.0.0.1:{port}", first_contact=0.5) as connection:
        with pytest.raises(regsvc.Unavailable, match=f"127.0.0.1:{port}"):
            connection.capabilities()
    assert time.monotonic() - started < 30


def test_a_call_outlasts_a_restart(server: Server) -> None:
    with Connection(server.endpoint) as connection:
        connection.capabilities()
        server.kill()
        found: list[object] = []
        request = registry_pb2.ListModelsRequest(parent="namespaces/-")
        calling = threading.Thread(
            target=lambda: found.append(connection.call(connection.registry.ListModels, request))
        )
        calling.start()
        server.start()
        calling.join(60)
    assert len(found) == 1


class _RpcError(grpc.RpcError):
    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        self._code, self._details = code, details

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._details

    def trailing_metadata(self) -> tuple[()]:
        return ()


@pytest.mark.parametrize(
    ("code", "details", "expected"),
    [
        (grpc.StatusCode.UNAVAILABLE, "Socket closed", errors.Unavailable),
        (grpc.StatusCode.INTERNAL, "Received RST_STREAM with error code 2", errors.Unavailable),
        (grpc.StatusCode.INTERNAL, "", errors.Internal),
        (grpc.StatusCode.UNKNOWN, "Stream removed", errors.Unavailable),
        (grpc.StatusCode.DATA_LOSS, "gone", errors.DataLoss),
        (grpc.StatusCode.PERMISSION_DENIED, "no", errors.Unknown),
    ],
)
def test_an_error_without_our_reason_goes_by_its_code(
    code: grpc.StatusCode, details: str, expected: type[errors.RegsvcError]
) -> None:
    assert type(translate(_RpcError(code, details))) is expected


def test_patience_starts_anew_after_progress() -> None:
    gone = errors.Unavailable("gone")
    patience = Patience(0.0)
    with pytest.raises(errors.Unavailable):
        patience.wait(gone)
    patience = Patience(60.0)
    patience.wait(gone)
    patience.reset()
    patience.wait(gone)


class _Broken:
    """A stream that breaks off after each item until it has given `count`."""

    def __init__(self, count: int) -> None:
        self.given = 0
        self.recovered = 0
        self._count = count

    def open(self):
        yield self.given + 1
        if self.given < self._count:
            raise errors.Unavailable("gone")

    def take(self, response):
        self.given = response
        return (response,)

    def recover(self, error: errors.RegsvcError) -> None:
        self.recovered += 1

    def progress(self) -> object:
        return self.given


def test_resumed_goes_on_until_the_regular_end() -> None:
    strategy = _Broken(4)
    assert list(resumed(strategy, translate=translate, patience=0.5)) == [1, 2, 3, 4]
    assert strategy.recovered == 3


class _Silent:
    """A call that never says a word, until it is cancelled; the second one ends at once."""

    def __init__(self) -> None:
        self.opened = 0

    def open(self):
        self.opened += 1
        return _SilentCall() if self.opened == 1 else ()

    def take(self, response):
        return ()

    def recover(self, error: errors.RegsvcError) -> None:
        assert "nothing was heard" in error.message

    def progress(self) -> object:
        return self.opened


class _SilentCall:
    def __init__(self) -> None:
        self._cancelled = threading.Event()

    def __iter__(self):
        self._cancelled.wait(60)
        raise _RpcError(grpc.StatusCode.CANCELLED, "Locally cancelled by application!")
        yield

    def cancel(self) -> None:
        self._cancelled.set()


def test_a_stream_that_goes_silent_is_opened_again() -> None:
    strategy = _Silent()
    assert list(resumed(strategy, translate=translate, silence=0.2)) == []
    assert strategy.opened == 2

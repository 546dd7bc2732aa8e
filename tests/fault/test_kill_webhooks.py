"""Webhooks outlast kills: of the server in the middle of deliveries, and of those who receive."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from receiver import ReceiverProcess
from support import Server, wait_until

import regsvc

FLAGS = ("--webhook-allow-private", "1", "--webhook-pace", "1e-4")
MODELS = 40


def first_times(seqs: list[int]) -> list[int]:
    return list(dict.fromkeys(seqs))


def expected(server: Server) -> list[int]:
    """Numbers of all events of models."""
    with regsvc.connect(server.endpoint) as client:
        found = []
        for event in client.watch(after=0, filter='kind == "model.created"'):
            found.append(event.seq)
            if len(found) == MODELS:
                return found
    raise AssertionError


def make_models(server: Server, stop: threading.Event) -> None:
    with regsvc.connect(server.endpoint) as client:
        for number in range(MODELS):
            client.build(f"team/m{number}").finish()
    stop.set()


def test_each_event_arrives_in_order_though_the_server_is_killed(
    start_server: Callable[..., Server], tmp_path: Path
) -> None:
    receiver = ReceiverProcess(tmp_path).start()
    try:
        server = start_server(*FLAGS)
        with regsvc.connect(server.endpoint) as client:
            url = f"http://127.0.0.1:{receiver.port}/"
            client.create_webhook("models", url, filter='kind == "model.created"')
        done = threading.Event()
        making = threading.Thread(target=make_models, args=[server, done])
        making.start()
        for count in (3, 10, 20):
            wait_until(lambda count=count: len(set(receiver.seqs)) >= count)  # type: ignore[misc]
            server.kill()
            server.start()
        making.join()
        assert done.is_set()
        wanted = expected(server)
        wait_until(lambda: len(set(receiver.seqs)) == MODELS)
        # What was not known to have arrived came again; nothing is missing, and nothing overtook.
        assert first_times(receiver.seqs) == wanted
        assert receiver.seqs == sorted(receiver.seqs)
    finally:
        receiver.kill()


def test_each_event_arrives_in_order_though_the_receiver_is_killed(
    start_server: Callable[..., Server], tmp_path: Path
) -> None:
    receiver = ReceiverProcess(tmp_path).start()
    try:
        server = start_server(*FLAGS)
        with regsvc.connect(server.endpoint) as client:
            url = f"http://127.0.0.1:{receiver.port}/"
            client.create_webhook("models", url, filter='kind == "model.created"')
        done = threading.Event()
        making = threading.Thread(target=make_models, args=[server, done])
        making.start()
        for count in (3, 10):
            wait_until(lambda count=count: len(set(receiver.seqs)) >= count)  # type: ignore[misc]
            receiver.kill()
            receiver.start()
        making.join()
        assert done.is_set()
        wanted = expected(server)
        wait_until(lambda: len(set(receiver.seqs)) == MODELS)
        assert first_times(receiver.seqs) == wanted
        assert receiver.seqs == sorted(receiver.seqs)
    finally:
        receiver.kill()

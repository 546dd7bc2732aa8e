"""The one loop by which streams outlast a disconnect: push, pull, log tails and watches are strategies of it.

Shape from google-cloud-storage `asyncio/retry/`: make requests from state, take a response, recover state.
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Protocol, TypeVar

import grpc

from regsvc import errors

DEFAULT_PATIENCE = 90.0
"""Seconds to wait for a server that went away: a restart with recovery fits in."""

FIRST_WAIT = 0.1
LONGEST_WAIT = 5.0
_GROWTH = 1.5
_BUSY_PATIENCE = 600.0
"""Seconds to go on asking a server that answers, but is busy: a fleet pulls one version at once."""
_LONGEST_ASKED = 30.0
"""Seconds that a server may ask a client to wait."""

Item_co = TypeVar("Item_co", covariant=True)


class Strategy(Protocol[Item_co]):
    """One kind of stream: what to send, what to do with an answer, how to go on after a disconnect."""

    def open(self) -> Iterable[Any]:
        """Start the call from the present state. A gRPC call object, or any iterable of responses."""

    def take(self, response: Any) -> Iterable[Item_co]:
        """Move the state on by one response, and return what the caller of `resumed` gets of it."""

    def recover(self, error: errors.RegsvcError) -> None:
        """Before the next `open`: learn from the server where to go on, or raise to give up."""

    def progress(self) -> object:
        """A value that differs whenever something was achieved; patience then starts anew."""


def resumed(
    strategy: Strategy[Item_co],
    *,
    translate: Callable[[grpc.RpcError], errors.RegsvcError],
    patience: float = DEFAULT_PATIENCE,
    silence: float | None = None,
) -> Iterator[Item_co]:
    """Run a strategy to the regular end of its stream, across any number of disconnects.

    `patience`: seconds without progress after which a server that is away is given up (`errors.Unavailable`).
    `silence`: seconds without any response after which the stream is taken for dead and opened again;
    None for streams without heartbeats. Other errors raise at once. Closing the generator cancels the call.
    """
    waiting = Patience(patience)
    achieved = strategy.progress()
    while True:
        call = None
        watchdog = None
        try:
            call = strategy.open()
            watchdog = _Watchdog(call, silence) if silence is not None else None
            for response in _guarded(call, watchdog):
                waiting.reset()
                yield from strategy.take(response)
            return
        except (grpc.RpcError, errors.Unavailable, errors.Busy) as error:
            failure = error if isinstance(error, errors.RegsvcError) else translate(error)
            if watchdog is not None and watchdog.fired:
                failure = errors.Unavailable(f"nothing was heard from the server for {silence:g} s")
            if not is_transient(failure):
                raise failure from None
        finally:
            if watchdog is not None:
                watchdog.stop()
            if call is not None and hasattr(call, "cancel"):
                call.cancel()
        if strategy.progress() != achieved:
            achieved = strategy.progress()
            waiting.reset()
        waiting.wait(failure)
        strategy.recover(failure)


def is_transient(error: errors.RegsvcError) -> bool:
    """Whether the same call may succeed later with nothing changed."""
    return isinstance(error, errors.Unavailable) or error.retry_after is not None


class Patience:
    """Exponential waits with jitter, until `limit` seconds have gone by since the first failure in a row."""

    def __init__(self, limit: float) -> None:
        self._limit = limit
        self._since: float | None = None
        self._next = FIRST_WAIT

    def reset(self) -> None:
        """The server answered: the next failure is the first again."""
        self._since = None
        self._next = FIRST_WAIT

    def wait(self, error: errors.RegsvcError) -> None:
        """Sleep before the next attempt, or raise `error` when patience is over."""
        now = time.monotonic()
        if self._since is None:
            self._since = now
        limit = self._limit if error.retry_after is None else max(self._limit, _BUSY_PATIENCE)
        left = self._since + limit - now
        if left <= 0:
            raise error
        wait = max(self._next, min(error.retry_after or 0.0, _LONGEST_ASKED))
        time.sleep(min(left, wait * random.uniform(1.0, 1.5)))
        self._next = min(LONGEST_WAIT, self._next * _GROWTH)


def _guarded(call: Iterable[Any], watchdog: _Watchdog | None) -> Iterator[Any]:
    """The responses of `call`, with the watchdog awake only while one is waited for."""
    if watchdog is None:
        yield from call
        return
    responses = iter(call)
    while True:
        watchdog.arm()
        try:
            response = next(responses)
        except StopIteration:
            return
        finally:
            watchdog.disarm()
        yield response


class _Watchdog:
    """Cancels a call on which nothing was heard for `silence` seconds."""

    def __init__(self, call: Any, silence: float) -> None:
        self.fired = False
        self._call = call
        self._silence = silence
        self._deadline = math.inf
        self._stopped = threading.Event()
        threading.Thread(target=self._watch, name="regsvc-watchdog", daemon=True).start()

    def arm(self) -> None:
        self._deadline = time.monotonic() + self._silence

    def disarm(self) -> None:
        self._deadline = math.inf

    def stop(self) -> None:
        self._stopped.set()

    def _watch(self) -> None:
        while not self._stopped.wait(self._silence / 4):
            if time.monotonic() > self._deadline:
                self.fired = True
                self._call.cancel()
                return

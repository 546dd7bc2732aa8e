"""Blocking work beside the event loop: bounded, in bounded threads, and never left running by a caller's end."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterator
from contextlib import aclosing
from typing import Any

import pytest

from regsvc.server.workers import Workers

LIMIT = 30.0


def run(test: Callable[[Workers], Coroutine[Any, Any, None]], threads: int = 2, together: int = 1) -> None:
    async def body() -> None:
        workers = Workers("test", threads, together=together)
        try:
            await asyncio.wait_for(test(workers), LIMIT)
        finally:
            workers.close()

    asyncio.run(body())


@pytest.mark.parametrize("together", [1, 4, 1000])
def test_every_caller_gets_its_own_result_or_error(together: int) -> None:
    def work(number: int) -> int:
        if number % 7 == 3:
            raise ValueError(str(number))
        return number

    async def test(workers: Workers) -> None:
        found = await asyncio.gather(*(workers.run(work, n) for n in range(500)), return_exceptions=True)
        for number, result in enumerate(found):
            if number % 7 == 3:
                assert isinstance(result, ValueError)
                assert str(result) == str(number)
            else:
                assert result == number

    run(test, threads=3, together=together)


def test_no_more_threads_than_allowed() -> None:
    names: set[str] = set()
    barrier = threading.Barrier(3)

    def work() -> None:
        names.add(threading.current_thread().name)
        barrier.wait(LIMIT)

    async def test(workers: Workers) -> None:
        await asyncio.gather(*(workers.run(work) for _ in range(9)))
        assert len(names) == 3

    run(test, threads=3)


def test_a_result_is_not_kept_back_by_another_that_takes_long() -> None:
    gate = threading.Event()

    async def test(workers: Workers) -> None:
        slow = asyncio.ensure_future(workers.run(gate.wait, LIMIT))
        assert await workers.run(lambda: "quick") == "quick"
        assert not slow.done()
        gate.set()
        assert await slow

    run(test, together=1000)


def test_results_of_short_items_are_handed_over_together(monkeypatch: pytest.MonkeyPatch) -> None:
    async def test(workers: Workers) -> None:
        gate, wakes = threading.Event(), []
        loop = asyncio.get_running_loop()
        first = asyncio.ensure_future(workers.run(gate.wait, LIMIT))
        others = [asyncio.ensure_future(workers.run(int)) for _ in range(40)]
        await asyncio.sleep(0)  # all of them are queued now
        wake = loop.call_soon_threadsafe
        monkeypatch.setattr(loop, "call_soon_threadsafe", lambda *args: (wakes.append(1), wake(*args)))
        gate.set()
        await asyncio.gather(first, *others)
        assert len(wakes) <= 5

    run(test, threads=1, together=10)


def test_what_has_not_begun_is_dropped_when_its_caller_leaves() -> None:
    gate, ran = threading.Event(), []

    async def test(workers: Workers) -> None:
        first = asyncio.ensure_future(workers.run(gate.wait, LIMIT))
        left = asyncio.ensure_future(workers.run(ran.append, "left"))
        await asyncio.sleep(0)
        left.cancel()
        await asyncio.wait([left])
        gate.set()
        await first
        await workers.run(ran.append, "after")
        assert ran == ["after"]

    run(test, threads=1)


def test_an_iterator_is_closed_only_when_no_thread_is_inside() -> None:
    inside, gate, closed = threading.Event(), threading.Event(), threading.Event()

    def items() -> Iterator[int]:
        try:
            yield 1
            inside.set()
            gate.wait(LIMIT)
            yield 2
        finally:
            closed.set()

    async def read(workers: Workers) -> None:
        async with aclosing(workers.iterate(items())) as found:
            async for _ in found:
                pass

    async def test(workers: Workers) -> None:
        reading = asyncio.ensure_future(read(workers))
        while not inside.is_set():
            await asyncio.sleep(0.001)
        reading.cancel()
        await asyncio.sleep(0.01)
        assert not closed.is_set()
        gate.set()
        with pytest.raises(asyncio.CancelledError):
            await reading
        assert closed.is_set()

    run(test)


def test_closing_waits_for_what_runs_and_cancels_the_rest() -> None:
    done = []

    async def body() -> None:
        workers = Workers("test", 1)
        begun = threading.Event()

        def work() -> None:
            begun.set()
            threading.Event().wait(0.05)
            done.append("running")

        running = asyncio.ensure_future(workers.run(work))
        waiting = asyncio.ensure_future(workers.run(done.append, "waiting"))
        while not begun.is_set():
            await asyncio.sleep(0.001)
        workers.close()
        assert done == ["running"]
        await running
        with pytest.raises(asyncio.CancelledError):
            await waiting
        with pytest.raises(RuntimeError):
            await workers.run(int)

    asyncio.run(body())

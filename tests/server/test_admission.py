"""Slots for bulk streams: fair, bounded in number and in time."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from contextlib import AsyncExitStack

import pytest

from regsvc.errors import Busy
from regsvc.server.admission import QUEUE, Admission, host_of

LONG = 60.0


def peer(host: str, port: int = 1) -> str:
    return f"ipv4:{host}:{port}"


async def settle() -> None:
    for _ in range(5):
        await asyncio.sleep(0)


class Stream:
    """One stream that holds its slot until it is told to end."""

    def __init__(self, admission: Admission, name: str, order: list[str]) -> None:
        self.name = name
        self._end = asyncio.Event()
        self.task = asyncio.ensure_future(self._run(admission, order))

    async def _run(self, admission: Admission, order: list[str]) -> None:
        async with admission.slot(peer(self.name.partition("/")[0], random.randrange(1 << 16))):
            order.append(self.name)
            await self._end.wait()

    async def end(self) -> None:
        self._end.set()
        await self.task
        await settle()


async def streams(admission: Admission, order: list[str], *names: str) -> list[Stream]:
    begun = []
    for name in names:
        begun.append(Stream(admission, name, order))
        await settle()
    return begun


def test_connections_of_one_machine_are_one_host() -> None:
    assert host_of("ipv4:10.0.0.1:4711") == host_of("ipv4:10.0.0.1:4712") != host_of("ipv4:10.0.0.2:4711")
    assert host_of("ipv6:%5B::1%5D:4711") == host_of("ipv6:%5B::1%5D:4712")
    assert host_of("unix:/run/regsvc.sock") == host_of("unix:/run/regsvc.sock")


def test_no_more_than_the_slots_run_and_the_others_come_in_order() -> None:
    async def run() -> None:
        order: list[str] = []
        begun = await streams(Admission(2, LONG), order, "a/1", "a/2", "a/3", "a/4", "a/5")
        assert order == ["a/1", "a/2"]
        await begun[1].end()
        assert order == ["a/1", "a/2", "a/3"]
        for stream in begun:
            await stream.end()
        assert order == ["a/1", "a/2", "a/3", "a/4", "a/5"]

    asyncio.run(run())


def test_a_host_with_fewer_streams_goes_first() -> None:
    async def run() -> None:
        order: list[str] = []
        begun = await streams(Admission(3, LONG), order, "a/1", "a/2", "b/1", "a/3", "a/4", "b/2", "c/1")
        await begun[0].end()
        assert order[3:] == ["c/1"]  # a runs one and b runs one
        await begun[1].end()
        assert order[3:] == ["c/1", "a/3"]  # a runs none any more
        for stream in begun:
            await stream.end()

    asyncio.run(run())


def test_a_stream_that_waited_in_vain_is_told_when_to_ask_again() -> None:
    async def run() -> None:
        order: list[str] = []
        admission = Admission(1, 0.05)
        (first,) = await streams(admission, order, "a/1")
        with pytest.raises(Busy) as refused:
            async with admission.slot(peer("b")):
                pass
        assert refused.value.retry_after
        await first.end()
        async with admission.slot(peer("b")):  # its place in the queue is gone with it
            pass

    asyncio.run(run())


def test_a_full_queue_refuses_at_once_and_makes_room_for_who_has_little() -> None:
    async def run() -> None:
        order: list[str] = []
        admission = Admission(1, LONG)
        begun = await streams(admission, order, *(f"a/{number}" for number in range(1 + QUEUE)))
        with pytest.raises(Busy):
            async with admission.slot(peer("a")):
                pass
        (late,) = await streams(admission, order, "b/1")
        with pytest.raises(Busy):
            await begun[-1].task  # the last in the queue of the host with most
        assert not begun[-2].task.done()
        await begun[0].end()
        assert order == ["a/0", "b/1"]  # hosts take turns
        await late.end()
        for stream in begun[1:-1]:
            await stream.end()
        assert order == ["a/0", "b/1", "a/1", "a/2", "a/3"]

    asyncio.run(run())


def test_slots_survive_clients_that_leave_at_any_moment() -> None:
    async def run(seed: int) -> None:
        draw = random.Random(seed)
        admission = Admission(3, draw.choice([0.0, 0.001, LONG]))
        running: Counter[str] = Counter()

        async def stream(host: str) -> None:
            async with admission.slot(peer(host)):
                running["all"] += 1
                assert running["all"] <= 3
                try:
                    await asyncio.sleep(draw.choice([0, 0.0005, 0.002]))
                finally:
                    running["all"] -= 1

        tasks = []
        for _ in range(60):
            tasks.append(asyncio.ensure_future(stream(draw.choice("abcd"))))
            if draw.random() < 0.4:
                draw.choice(tasks).cancel()
            if draw.random() < 0.5:
                await asyncio.sleep(draw.choice([0, 0, 0.0007]))
        for ended in await asyncio.gather(*tasks, return_exceptions=True):
            assert ended is None or isinstance(ended, Busy | asyncio.CancelledError), repr(ended)
        async with AsyncExitStack() as stack:  # every slot came back, and no more than there were
            for _ in range(3):
                await asyncio.wait_for(stack.enter_async_context(admission.slot(peer("e"))), 1)
            extra = asyncio.ensure_future(stack.enter_async_context(admission.slot(peer("e"))))
            await settle()
            assert not extra.done() or isinstance(extra.exception(), Busy)
            extra.cancel()
            await asyncio.wait([extra])

    for seed in range(60):
        asyncio.run(run(seed))

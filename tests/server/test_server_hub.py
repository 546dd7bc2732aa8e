"""Those who wait for a topic are woken soon, together, and not too often."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack

import pytest

from regsvc.errors import Unavailable
from regsvc.server import hub as hub_module
from regsvc.server.hub import Hub, Subscription

LONG = 60.0


def test_a_single_waiter_is_woken_by_every_change() -> None:
    async def run() -> None:
        hub = Hub(asyncio.get_running_loop())
        with hub.subscribe("topic") as changes:
            for _ in range(5):
                hub.publish(frozenset({"topic", "another"}))
                assert await changes.wait(LONG)
            assert not await changes.wait(0.01)

    asyncio.run(run())


def test_changes_for_many_are_told_together_and_none_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "PACE", 0.01)

    async def run() -> None:
        hub = Hub(asyncio.get_running_loop())
        woken, state = [0] * 20, [0]
        seen: list[asyncio.Task[None]] = []

        async def follow(place: int, changes: Subscription) -> None:
            while state[0] < 200:
                assert await changes.wait(LONG)
                woken[place] += 1

        with ExitStack() as stack:
            for place in range(len(woken)):
                changes = stack.enter_context(hub.subscribe("topic"))
                seen.append(asyncio.ensure_future(follow(place, changes)))
            began = asyncio.get_running_loop().time()
            for number in range(1, 201):
                state[0] = number
                hub.publish(frozenset({"topic"}))
                await asyncio.sleep(0.001)
            await asyncio.gather(*seen)  # all of them saw the last change
            took = asyncio.get_running_loop().time() - began
        assert max(woken) <= took / (0.01 * len(woken)) + 2

    asyncio.run(run())


def test_a_drain_wakes_those_whose_turn_has_not_come(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub_module, "PACE", LONG)
    monkeypatch.setattr(hub_module, "LONGEST_PAUSE", LONG)

    async def run() -> None:
        hub = Hub(asyncio.get_running_loop())
        with hub.subscribe("topic") as changes:
            hub.publish(frozenset({"topic"}))
            assert await changes.wait(LONG)
            hub.publish(frozenset({"topic"}))
            waiting = asyncio.ensure_future(changes.wait(LONG))
            await asyncio.sleep(0.01)
            assert not waiting.done()
            hub.drain()
            with pytest.raises(Unavailable):
                await asyncio.wait_for(waiting, 5)

    asyncio.run(run())

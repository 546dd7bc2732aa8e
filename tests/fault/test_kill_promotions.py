"""kill -9 of the server under promotions and rollbacks: what was acknowledged is in the history, once and in order."""

from __future__ import annotations

import itertools
import random
import threading
from concurrent.futures import ThreadPoolExecutor

from server.promoting import Model
from server.wire import LIMIT, Wire
from support import Server, wait_until

import regsvc
from regsvc.errors import EtagMismatch, NoHistory

MOVERS = 3
KILLS = 4
VERSIONS = 6


def test_acknowledged_moves_survive_kills_and_the_history_stays_a_chain(server: Server) -> None:
    with Wire(server) as wire:
        model = Model(wire, *[0.9] * VERSIONS)
        model.rules(gate="version.metrics.f1 > 0.5")
        model.promote(1)
    stop = threading.Event()
    acknowledged: list[list[str]] = [[] for _ in range(MOVERS)]
    """Reasons of the moves of each mover, in order."""

    def move(mover: int) -> None:
        """Promotions and rollbacks, each repeated by the client until it is answered."""
        chance = random.Random(mover)
        for number in itertools.count():
            if stop.is_set():
                return
            reason = f"{mover}-{number}"
            now = client.resolve(f"{model.short}@prod").version
            try:
                if chance.random() < 0.3:
                    client.rollback(f"{model.short}@prod", expect=now.reference, reason=reason)
                else:
                    to = chance.choice([each for each in range(1, VERSIONS + 1) if each != now.number])
                    client.promote(f"{model.short}:{to}", "prod", expect=now.reference, reason=reason)
            except (EtagMismatch, NoHistory):
                continue
            acknowledged[mover].append(reason)

    with regsvc.connect(server.endpoint) as client, ThreadPoolExecutor(MOVERS) as pool:
        moving = [pool.submit(move, mover) for mover in range(MOVERS)]
        try:
            for _ in range(KILLS):
                before = sum(map(len, acknowledged))
                wait_until(
                    lambda before=before: sum(map(len, acknowledged)) > before + 20,  # type: ignore[misc]
                    what="moves",
                )
                server.kill()
                server.start()
        finally:
            stop.set()
        for each in moving:
            each.result(LIMIT)

    with Wire(server) as wire:
        model.wire = wire
        changes, now = model.history(), model.now()
        moved = [attributes for kind, _, attributes in model.events() if kind == "alias.set"]
    assert changes[-1].version == model.version(now)
    assert all(later.previous_version == earlier.version for earlier, later in itertools.pairwise(changes))
    assert all(
        later.time.ToMicroseconds() >= earlier.time.ToMicroseconds()
        for earlier, later in itertools.pairwise(changes)
    )
    assert [each["reason"] for each in moved] == [change.reason for change in changes]
    reasons = [change.reason for change in changes[1:]]
    for mover, expected in enumerate(acknowledged):
        assert [reason for reason in reasons if reason.startswith(f"{mover}-")] == expected

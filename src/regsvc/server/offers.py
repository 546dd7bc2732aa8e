"""Which builds were just offered to whom: a hundred idle runners need not race for each build."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Iterator, Sequence
from typing import Protocol

from regsvc.refs import BuildName

HOLD = 1.0
"""Seconds for which a build that was offered to one runner is not offered to others."""


class Offered(Protocol):
    """The stream of a runner."""

    offered: set[BuildName]


class Offers:
    """Belongs to the event loop."""

    def __init__(self) -> None:
        self._held: dict[BuildName, tuple[Offered, float]] = {}

    def of_others(self, stream: Offered) -> Sequence[BuildName]:
        """What is held for others."""
        now = asyncio.get_running_loop().time()
        self._held = {build: held for build, held in self._held.items() if held[1] > now}
        return [build for build, (whose, _) in self._held.items() if whose is not stream]

    def made(self, stream: Offered, waiting: Sequence[BuildName], slots: int) -> Iterator[BuildName]:
        """Of the builds that wait those to offer now, so that no more than `slots` are."""
        others = set(self.of_others(stream))
        until = asyncio.get_running_loop().time() + HOLD
        for build in [each for each in waiting if each not in others][:slots]:
            if build not in stream.offered:
                stream.offered.add(build)
                self._held[build] = stream, until
                yield build

    def held(self, stream: Offered, waiting: Sequence[BuildName]) -> float:
        """Seconds until one of the builds that wait is not held for another any more."""
        now = asyncio.get_running_loop().time()
        held = [self._held[build] for build in waiting if build in self._held]
        return min((max(0.0, until - now) for whose, until in held if whose is not stream), default=math.inf)

    def withdraw(self, stream: Offered) -> None:
        """The runner has gone."""
        self._held = {build: held for build, held in self._held.items() if held[0] is not stream}

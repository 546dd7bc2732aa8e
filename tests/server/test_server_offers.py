"""Who is offered which build, and for how long others are not."""

from __future__ import annotations

import asyncio

from regsvc.refs import BuildName, ModelName
from regsvc.server.offers import HOLD, Offers

FIRST, SECOND, THIRD = (BuildName(ModelName("a", "b"), number) for number in (1, 2, 3))


class Stream:
    def __init__(self) -> None:
        self.offered: set[BuildName] = set()


def test_what_one_is_offered_others_are_not_until_it_goes() -> None:
    async def scene() -> None:
        offers, one, other = Offers(), Stream(), Stream()
        assert list(offers.made(one, [FIRST, SECOND], 1)) == [FIRST]
        assert list(offers.made(one, [FIRST, SECOND], 1)) == []
        assert offers.of_others(other) == [FIRST]
        assert 0 < offers.held(other, [FIRST]) <= HOLD
        assert list(offers.made(other, [FIRST, SECOND, THIRD], 2)) == [SECOND, THIRD]
        offers.withdraw(one)
        assert list(offers.made(other, [FIRST, SECOND, THIRD], 3)) == [FIRST]

    asyncio.run(scene())

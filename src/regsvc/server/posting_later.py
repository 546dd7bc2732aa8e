"""Webhooks are sent by a module that takes a while to import; a server that sends none does without it."""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

from regsvc.service.outgoing import Message
from regsvc.service.webhooks import Outcome

if TYPE_CHECKING:
    from regsvc.server.posting import Poster


class PosterLater:
    """A `Poster` that is made when it is first used. Belongs to one event loop; `close` it there."""

    def __init__(self, timeout: float, *, allow_private: bool):
        self._timeout = timeout
        self._allow_private = allow_private
        self._making = asyncio.Lock()
        self._made: Poster | None = None

    async def check(self, url: str) -> None:
        """As `Poster.check`."""
        await (await self._poster()).check(url)

    async def post(self, url: str, message: Message, secrets: Sequence[str]) -> Outcome:
        """As `Poster.post`."""
        return await (await self._poster()).post(url, message, secrets)

    async def close(self) -> None:
        """As `Poster.close`."""
        if self._made is not None:
            await self._made.close()

    async def _poster(self) -> Poster:
        async with self._making:
            if self._made is None:
                module = await asyncio.to_thread(importlib.import_module, "regsvc.server.posting")
                self._made = module.Poster(self._timeout, allow_private=self._allow_private)
            return self._made

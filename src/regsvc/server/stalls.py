"""Streams of bulk bytes whose client stopped sending, or taking, end; what they held is free for others."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import grpc

from regsvc.errors import Stalled
from regsvc.server.accesslog import current_call
from regsvc.server.context import Context
from regsvc.server.handlers import Handler, wrap
from regsvc.v1 import artifact_pb2

_METHODS = frozenset(
    f"/{artifact_pb2.DESCRIPTOR.package}.ArtifactService/{name}"
    for name in ("WriteChunks", "WriteFile", "ReadChunks", "ReadFile")
)


class StallInterceptor(grpc.aio.ServerInterceptor):
    """Raises `Stalled` around the handler of a bulk stream when its client is waited for longer than `limit` seconds.

    Only the client's time counts, never the server's own work nor its wait for a slot. Stands inside the
    interceptor that turns errors into statuses.
    """

    def __init__(self, limit: float) -> None:
        self._limit = limit

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Handler]], details: grpc.HandlerCallDetails
    ) -> Handler:
        """Wrap the handlers of bulk streams."""
        handler = await continuation(details)
        return wrap(handler, self._sender, self._taker) if details.method in _METHODS else handler

    def _sender(self, behavior: Handler) -> Handler:
        async def call(requests: AsyncIterator[Any], context: Context) -> Any:
            return await behavior(self._sent(requests), context)

        return call

    async def _sent(self, requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
        arriving = aiter(requests)
        while True:
            try:
                async with asyncio.timeout(self._limit):
                    request = await anext(arriving)
            except StopAsyncIteration:
                return
            except TimeoutError:
                raise self._stalled("sent") from None
            yield request

    def _taker(self, behavior: Handler) -> Handler:
        async def call(request: Any, context: Context) -> None:
            # Written from here: a generator would not learn that its message is not taken.
            async with aclosing(behavior(request, context)) as responses:
                async for response in responses:
                    try:
                        async with asyncio.timeout(self._limit):
                            await context.write(response)
                    except TimeoutError:
                        raise self._stalled("took") from None
                    current_call().sent += 1

        return call

    def _stalled(self, did: str) -> Stalled:
        return Stalled(f"the client {did} nothing for {self._limit:g} s; resume where it stopped")

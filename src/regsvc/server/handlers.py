"""Wrapping the handlers of calls, as interceptors do, whatever their arity."""

from __future__ import annotations

import inspect
from collections.abc import AsyncIterator, Callable
from typing import Any

import grpc

from regsvc.server.context import Context

Handler = Any
"""A `grpc.RpcMethodHandler`, or the behaviour of one: grpc types neither."""


def wrap(
    handler: Handler, unary: Callable[[Handler], Handler], stream: Callable[[Handler], Handler]
) -> Handler:
    """The same handler around its behaviour; `unary` and `stream` wrap by what the response is."""
    if handler.response_streaming:
        make = (
            grpc.stream_stream_rpc_method_handler
            if handler.request_streaming
            else grpc.unary_stream_rpc_method_handler
        )
        behavior = stream(_as_generator(handler.stream_stream or handler.unary_stream))
    else:
        make = (
            grpc.stream_unary_rpc_method_handler
            if handler.request_streaming
            else grpc.unary_unary_rpc_method_handler
        )
        behavior = unary(handler.stream_unary or handler.unary_unary)
    return make(behavior, handler.request_deserializer, handler.response_serializer)


def _as_generator(behavior: Handler) -> Handler:
    """Some handlers write through the context instead of yielding; all are generators from here on."""
    if inspect.isasyncgenfunction(behavior):
        return behavior

    async def call(request: Any, context: Context) -> AsyncIterator[Any]:
        result = behavior(request, context)
        if hasattr(result, "__aiter__"):
            async for response in result:
                yield response
        else:
            await result

    return call

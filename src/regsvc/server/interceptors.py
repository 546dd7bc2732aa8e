"""Errors become statuses."""

from __future__ import annotations

import asyncio
import logging
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from typing import Any

import grpc
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from regsvc.errors import ERROR_DOMAIN, Internal, InvalidArgument, RegsvcError, StorageFull
from regsvc.server.accesslog import current_call
from regsvc.server.context import Context
from regsvc.server.handlers import Handler, wrap
from regsvc.store import StoreFull

log = logging.getLogger("regsvc.server")

_LONGEST = 400
"""Characters of a message, or of one value in the metadata, of an error."""


class ErrorInterceptor(grpc.aio.ServerInterceptor):
    """Turns domain errors into `google.rpc.Status` with `ErrorInfo`, and `RetryInfo`, while streaming too.

    Anything else is a defect: the client sees INTERNAL and nothing more, the log sees its type and place.
    """

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Handler]], details: grpc.HandlerCallDetails
    ) -> Handler:
        """Wrap the handler, with its own arity."""
        handler = await continuation(details)
        if handler is None:
            return None
        guarded = wrap(handler, _guard_unary, _guard_stream)
        return guarded._replace(request_deserializer=_lenient(handler.request_deserializer))


def status_of(error: RegsvcError) -> status_pb2.Status:
    """The wire form of an error."""
    metadata = {key: _short(value) for key, value in error.metadata.items()}
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=ERROR_DOMAIN, metadata=metadata)
    status = status_pb2.Status(code=error.code, message=_short(error.message))
    status.details.add().Pack(info)
    if error.retry_after is not None:
        delay = Duration()
        delay.FromMilliseconds(int(error.retry_after * 1000))
        status.details.add().Pack(error_details_pb2.RetryInfo(retry_delay=delay))
    return status


def _short(text: str) -> str:
    """One line of bounded length: all of an error travels in the trailers, which clients bound to 8 KiB."""
    shown = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text[:_LONGEST])
    return shown if len(text) <= _LONGEST else shown + "..."


class _Undecodable:
    """Stands for a message that is none. Raised where it is read: gRPC would tell the client our exception."""


def _lenient(deserialize: Callable[[bytes], Any]) -> Callable[[bytes], Any]:
    def call(encoded: bytes) -> Any:
        try:
            return deserialize(encoded)
        except DecodeError:
            return _Undecodable()

    return call


def _checked(request: Any) -> Any:
    """The request, or the stream of requests, without what is no message. Raises `InvalidArgument`."""
    if hasattr(request, "__aiter__"):
        return _checked_stream(request)
    if isinstance(request, _Undecodable):
        raise InvalidArgument("the request is not a message of its type")
    return request


async def _checked_stream(requests: AsyncIterator[Any]) -> AsyncIterator[Any]:
    async for request in requests:
        yield _checked(request)


def _guard_unary(behavior: Handler) -> Handler:
    async def call(request: Any, context: Context) -> Any:
        try:
            return await behavior(_checked(request), context)
        except (asyncio.CancelledError, grpc.aio.AbortError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets a status
            await _abort(context, error)

    return call


def _guard_stream(behavior: Handler) -> Handler:
    async def call(request: Any, context: Context) -> AsyncIterator[Any]:
        try:
            # Closed here and now, so that what the handler holds is free before the client gets its answer.
            async with aclosing(behavior(_checked(request), context)) as responses:
                async for response in responses:
                    yield response
        except (asyncio.CancelledError, grpc.aio.AbortError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets a status
            await _abort(context, error)

    return call


async def _abort(context: Context, error: Exception) -> None:
    failure = _domain_error(error)
    current_call().reason = failure.reason
    status = rpc_status.to_status(status_of(failure))
    await context.abort(status.code, status.details, status.trailing_metadata)


def _domain_error(error: Exception) -> RegsvcError:
    if isinstance(error, RegsvcError):
        return error
    if isinstance(error, StoreFull):
        return StorageFull("the registry's disk is full")
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{frames[-1].name}:{frames[-1].lineno}" if frames else "?"
    log.error("a call failed", extra={"error": type(error).__name__, "at": place})
    log.debug("its traceback", exc_info=error)
    return Internal("internal error")

"""What happens around every call: errors become statuses, and each call leaves one line in the log."""

from __future__ import annotations

import asyncio
import logging
import time
import traceback
from collections.abc import AsyncIterator, Awaitable, Callable
from contextvars import ContextVar
from typing import Any

import grpc
from google.protobuf import any_pb2
from google.protobuf.message import DecodeError
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from regsvc.errors import ERROR_DOMAIN, Internal, InvalidArgument, RegsvcError, StorageFull
from regsvc.server.context import Context
from regsvc.server.logging import milliseconds_since
from regsvc.store import StoreFull

log = logging.getLogger("regsvc.server")
access = logging.getLogger("regsvc.access")

Handler = Any
_reason: ContextVar[str] = ContextVar("reason", default="")
"""Why the call that this task serves has failed: set by the inner interceptor, logged by the outer one."""
_LONGEST = 400
"""Characters of a message, or of one value in the metadata, of an error."""
_RESOURCES = ("name", "parent", "build", "upload", "version")
"""Request fields that name what a call is about, best first."""


class ErrorInterceptor(grpc.aio.ServerInterceptor):
    """Turns domain errors into `google.rpc.Status` with `ErrorInfo`, while streaming too.

    Anything else is a defect: the client sees INTERNAL and nothing more, the log sees its type and place.
    """

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Handler]], details: grpc.HandlerCallDetails
    ) -> Handler:
        """Wrap the handler, with its own arity."""
        handler = await continuation(details)
        if handler is None:
            return None
        guarded = _wrap(handler, _guard_unary, _guard_stream)
        return guarded._replace(request_deserializer=_lenient(handler.request_deserializer))


class AccessLogInterceptor(grpc.aio.ServerInterceptor):
    """Writes one line per call at its end: method, code, duration, peer, resource, messages."""

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Handler]], details: grpc.HandlerCallDetails
    ) -> Handler:
        """Wrap the handler, with its own arity."""
        handler = await continuation(details)
        if handler is None:
            return None
        method = details.method

        def unary(behavior: Handler) -> Handler:
            async def call(request: Any, context: Context) -> Any:
                ended = _Ended(method, request, context)
                try:
                    return await behavior(request, context)
                except asyncio.CancelledError:
                    ended.cancelled = True
                    raise
                finally:
                    ended.log(sent=1)

            return call

        def stream(behavior: Handler) -> Handler:
            async def call(request: Any, context: Context) -> AsyncIterator[Any]:
                ended, sent = _Ended(method, request, context), 0
                try:
                    async for response in behavior(request, context):
                        sent += 1
                        yield response
                except (asyncio.CancelledError, GeneratorExit):
                    ended.cancelled = True
                    raise
                finally:
                    ended.log(sent)

            return call

        return _wrap(handler, unary, stream)


def status_of(error: RegsvcError) -> status_pb2.Status:
    """The wire form of an error."""
    metadata = {key: _short(value) for key, value in error.metadata.items()}
    info = error_details_pb2.ErrorInfo(reason=error.reason, domain=ERROR_DOMAIN, metadata=metadata)
    detail = any_pb2.Any()
    detail.Pack(info)
    return status_pb2.Status(code=error.code, message=_short(error.message), details=[detail])


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
            async for response in behavior(_checked(request), context):
                yield response
        except (asyncio.CancelledError, grpc.aio.AbortError):
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, the client gets a status
            await _abort(context, error)

    return call


async def _abort(context: Context, error: Exception) -> None:
    failure = _domain_error(error)
    _reason.set(failure.reason)
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


def _wrap(
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
    """Health and reflection write through the context instead of yielding; both are generators from here on."""

    async def call(request: Any, context: Context) -> AsyncIterator[Any]:
        result = behavior(request, context)
        if hasattr(result, "__aiter__"):
            async for response in result:
                yield response
        else:
            await result

    return call


class _Ended:
    """One call, from its start to its line in the log."""

    def __init__(self, method: str, request: Any, context: Context):
        self.cancelled = False
        self._method = method
        self._request = request
        self._context = context
        self._start = time.monotonic()
        # Now, not at the end: a stream that its client dropped ends after gRPC has freed the call, and asking
        # that for its peer is a segmentation fault.
        self._peer = context.peer()

    def log(self, sent: int) -> None:
        """Write the line; `sent` counts response messages."""
        if self._method.startswith("/grpc.health."):
            return
        extra = {
            "method": self._method,
            "code": "CANCELLED" if self.cancelled else _code_name(self._context.code()),
            "ms": milliseconds_since(self._start),
            "peer": self._peer,
            "messages": sent,
        }
        if _reason.get() and not self.cancelled:
            extra["reason"] = _reason.get()
        for field in _RESOURCES:
            value = getattr(self._request, field, None)
            if isinstance(value, str) and value:
                extra["resource"] = value[:200]
                break
        access.info("call", extra=extra)


def _code_name(code: object) -> str:
    if code is None:
        return "OK"
    if isinstance(code, int):
        return next((status.name for status in grpc.StatusCode if status.value[0] == code), str(code))
    return str(getattr(code, "name", code))

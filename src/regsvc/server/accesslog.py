"""One line in the log for each call, at its end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from contextvars import ContextVar
from typing import Any

import grpc

from regsvc.server.context import Context
from regsvc.server.handlers import Handler, wrap
from regsvc.server.logging import milliseconds_since

log = logging.getLogger("regsvc.access")

_RESOURCES = ("name", "parent", "build", "upload", "version")
"""Request fields that name what a call is about, best first."""


class AccessLogInterceptor(grpc.aio.ServerInterceptor):
    """The outermost interceptor: method, code, duration, peer, resource, messages of every call.

    gRPC asks the interceptors for the handler at every call; this one keeps what it and those inside it made.
    """

    def __init__(self) -> None:
        self._wrapped: dict[str, Handler] = {}

    async def intercept_service(
        self, continuation: Callable[[Any], Awaitable[Handler]], details: grpc.HandlerCallDetails
    ) -> Handler:
        """Wrap the handler, with its own arity."""
        found = self._wrapped.get(details.method)
        if found is None:
            handler = await continuation(details)
            if handler is None:  # not kept: there is no end of names that are no method
                return None
            found = self._wrapped[details.method] = self._wrap(details.method, handler)
        return found

    def _wrap(self, method: str, handler: Handler) -> Handler:
        def unary(behavior: Handler) -> Handler:
            async def call(request: Any, context: Context) -> Any:
                record = _begin(method, request, context)
                try:
                    response = await behavior(request, context)
                    record.sent = 1
                    return response
                except asyncio.CancelledError:
                    record.cancelled = True
                    raise
                finally:
                    record.write()

            return call

        def stream(behavior: Handler) -> Handler:
            async def call(request: Any, context: Context) -> AsyncIterator[Any]:
                record = _begin(method, request, context)
                try:
                    async with aclosing(behavior(request, context)) as responses:
                        async for response in responses:
                            record.sent += 1
                            yield response
                except (asyncio.CancelledError, GeneratorExit):
                    record.cancelled = True
                    raise
                finally:
                    record.write()

            return call

        return wrap(handler, unary, stream)


class CallRecord:
    """One call, from its start to its line in the log."""

    def __init__(self, method: str, request: Any, context: Context):
        self.reason = ""
        """Why it has failed, as `ErrorInfo` names it."""
        self.sent = 0
        """Response messages."""
        self.cancelled = False
        self._method = method
        self._request = request
        self._context = context
        self._start = time.monotonic()
        # Now, not at the end: a stream that its client dropped ends after gRPC has freed the call, and asking
        # that for its peer is a segmentation fault.
        self._peer = context.peer()

    def write(self) -> None:
        """Write the line."""
        if self._method.startswith("/grpc.health.") or not log.isEnabledFor(logging.INFO):
            return
        extra = {
            "method": self._method,
            "code": "CANCELLED" if self.cancelled else _code_name(self._context.code()),
            "ms": milliseconds_since(self._start),
            "peer": self._peer,
            "messages": self.sent,
        }
        if self.reason and not self.cancelled:
            extra["reason"] = self.reason
        for field in _RESOURCES:
            value = getattr(self._request, field, None)
            if isinstance(value, str) and value:
                extra["resource"] = value[:200]
                break
        log.info("call", extra=extra)


_current: ContextVar[CallRecord] = ContextVar("call")


def current_call() -> CallRecord:
    """The call that this task serves."""
    return _current.get()


def _begin(method: str, request: Any, context: Context) -> CallRecord:
    record = CallRecord(method, request, context)
    _current.set(record)
    return record


def _code_name(code: object) -> str:
    if code is None:
        return "OK"
    if isinstance(code, int):
        return next((status.name for status in grpc.StatusCode if status.value[0] == code), str(code))
    return str(getattr(code, "name", code))

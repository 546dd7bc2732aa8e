"""Page tokens: where a list goes on, opaque to clients and bound to the request that made them."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from blake3 import blake3

from regsvc.errors import InvalidArgument, PageTokenInvalid

T = TypeVar("T")

DEFAULT_SIZE = 100
MAX_SIZE = 1000
PAGE_BYTES = 2 << 20
"""A page ends early when it is about this large: gRPC's own default refuses messages over 4 MiB."""
_STEP = 16
_SEAL = 8
"""Bytes of the keyed hash that binds a token to its request."""


@dataclass(frozen=True)
class Page(Generic[T]):
    """One page of a list."""

    items: Sequence[T]
    next_token: str
    """Empty on the last page."""


@dataclass(frozen=True)
class PageRequest:
    """What a client asks of a list."""

    size: int
    token: str


class Pager:
    """Makes and opens page tokens; `secret` binds them to this registry."""

    def __init__(self, secret: str):
        self._key = blake3(secret.encode()).digest()

    @staticmethod
    def size(request: PageRequest) -> int:
        """How many items a page has at most. Raises `InvalidArgument`."""
        if request.size < 0:
            raise InvalidArgument("page_size is negative", page_size=request.size)
        return min(request.size or DEFAULT_SIZE, MAX_SIZE)

    def page(
        self,
        request: PageRequest,
        scope: str,
        first: Any,
        fetch: Callable[[Any, int], list[T]],
        key: Callable[[T], Any],
        weigh: Callable[[T], int],
    ) -> Page[T]:
        """Fetch a page: `fetch(position, limit)` from the token's position, or from `first`.

        `scope` names the list; a token of another list is refused with `PageTokenInvalid`. `weigh` tells about
        how many bytes an item takes in the answer.
        """
        size = self.size(request)
        position = self._open(request.token, scope) if request.token else first
        items: list[T] = []
        weight = 0
        # A few at a time: items may be large, and a page of 1,000 must not be in memory before it is weighed.
        while True:
            wanted = min(_STEP, size - len(items))
            found = fetch(position, wanted + 1)
            for item in found[:wanted]:
                weight += weigh(item)
                if items and weight > PAGE_BYTES:
                    return Page(items, self._make(position, scope))
                items.append(item)
                position = key(item)
            if len(found) <= wanted:
                return Page(items, "")
            if len(items) >= size:
                return Page(items, self._make(position, scope))

    def _make(self, position: Any, scope: str) -> str:
        body = json.dumps(position, ensure_ascii=False).encode()
        return base64.urlsafe_b64encode(self._seal(body, scope) + body).decode().rstrip("=")

    def _open(self, token: str, scope: str) -> Any:
        try:
            sealed = base64.urlsafe_b64decode(token + "=" * (-len(token) % 4))
        except (binascii.Error, ValueError) as error:
            raise PageTokenInvalid("the page token is malformed") from error
        seal, body = sealed[:_SEAL], sealed[_SEAL:]
        if seal != self._seal(body, scope):
            raise PageTokenInvalid("the page token is not of this list")
        return json.loads(body)

    def _seal(self, body: bytes, scope: str) -> bytes:
        return blake3(scope.encode() + b"\0" + body, key=self._key).digest(_SEAL)

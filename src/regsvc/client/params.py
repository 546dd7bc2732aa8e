"""Params, tags and metrics that a build may record, checked at the call that gives them.

They are sent later, from another thread; so what the server would refuse is refused here, where the
traceback still shows who asked for it.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from regsvc.client.records import Param, finite, param_message, params_from
from regsvc.content.comparison import Direction
from regsvc.errors import InvalidArgument

MAX_KEY_BYTES = 250
MAX_STRING_BYTES = 16 << 10
MAX_STEP = (1 << 63) - 1


def check_params(params: Mapping[str, object]) -> dict[str, Param]:
    """The params as they will be recorded, NumPy scalars as Python's own. Raises `InvalidArgument`."""
    plain = params_from({check_key("param", key): param_message(key, value) for key, value in params.items()})
    for key, value in plain.items():
        if isinstance(value, str):
            _check_text("param", key, value)
        elif isinstance(value, float) and not math.isfinite(value):
            raise InvalidArgument(f"param {key!r} is {value}; record it as text", key=key)
    return plain


def check_tags(tags: Mapping[str, object]) -> dict[str, str]:
    """The tags, their values as text. Raises `InvalidArgument`."""
    return {check_key("tag", key): _check_text("tag", key, str(value)) for key, value in tags.items()}


def check_metric(key: str, value: object) -> float:
    """A metric's value as a float. Raises `MetricNotFinite`, `InvalidArgument`."""
    return finite(check_key("metric", key), value)


def check_step(step: object) -> int:
    """A step as an integer of 64 bits. Raises `InvalidArgument`."""
    try:
        number: int = int(step)  # type: ignore[call-overload]
    except (TypeError, ValueError, OverflowError):
        number = MAX_STEP + 1
    if not -MAX_STEP - 1 <= number <= MAX_STEP:
        shown = repr(step)[:80]
        raise InvalidArgument(f"step {shown} is no integer of 64 bits", step=shown)
    return number


def check_direction(direction: str | Direction) -> Direction:
    """`higher`, `lower` or `unknown`. Raises `InvalidArgument`."""
    if isinstance(direction, Direction):
        return direction
    try:
        return Direction[direction.upper()]
    except (AttributeError, KeyError):
        shown = repr(direction)[:80]
        raise InvalidArgument(f"{shown} is no direction: higher, lower or unknown", direction=shown) from None


def check_key(what: str, key: str, limit: int = MAX_KEY_BYTES) -> str:
    """A name of 1 to `limit` bytes of UTF-8 without control characters. Raises `InvalidArgument`."""
    if not isinstance(key, str) or not 1 <= _size(key) <= limit or _has_control(key):
        shown = repr(key)[:80]
        raise InvalidArgument(
            f"bad {what} name {shown}: 1 to {limit} bytes of UTF-8 without control characters", name=shown
        )
    return key


def _check_text(what: str, key: str, value: str) -> str:
    if not 0 <= _size(value) <= MAX_STRING_BYTES:
        raise InvalidArgument(
            f"{what} {key!r} is longer than {MAX_STRING_BYTES} bytes, or no Unicode", key=key
        )
    return value


def _size(text: str) -> int:
    """Bytes of UTF-8; -1 when there is none, as for a lone surrogate."""
    try:
        return len(text.encode())
    except UnicodeEncodeError:
        return -1


def _has_control(text: str) -> bool:
    return any(ord(char) < 0x20 or 0x7F <= ord(char) < 0xA0 for char in text)

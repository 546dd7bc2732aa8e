"""Checks of what clients record: keys, values, metrics."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from typing import Any

from regsvc.catalog.records import Metadata
from regsvc.errors import InvalidArgument, MetricNotFinite, NameInvalid, ResourceExhausted
from regsvc.service.limits import Limits

MAX_STEP_NAME = 100
"""Bytes of a step's name."""
MAX_REQUEST_ID = 64
LAST_AT = 253_402_300_799_999_999
"""The last microsecond of the year 9999, the end of google.protobuf.Timestamp."""
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


def check_metadata(data: Metadata, limits: Limits) -> None:
    """Raises `InvalidArgument`, `MetricNotFinite` or `ResourceExhausted`."""
    check_text(data.description, "description", limits.max_description_bytes)
    for what, entries in (("params", data.params), ("metrics", data.metrics), ("tags", data.tags)):
        if len(entries) > limits.max_record_entries:
            raise ResourceExhausted(
                f"{len(entries)} {what}, at most {limits.max_record_entries}", limit=limits.max_record_entries
            )
        for key in entries:
            check_key(key, limits)
    for texts, what in ((data.params, "param"), (data.tags, "tag")):
        for key, value in texts.items():
            if isinstance(value, str):
                check_text(value, f"{what} '{key}'", limits.max_value_bytes)
    for key, number in data.params.items():
        if isinstance(number, float) and not math.isfinite(number):
            raise InvalidArgument(f"param '{key}' is {number}; record it as text", key=key)
    check_finite(data.metrics.items())
    check_record_size(data, limits)


def record_size(data: Metadata) -> int:
    """Bytes that a record takes in a message, about."""
    entries: list[tuple[str, object]] = [*data.params.items(), *data.tags.items(), *data.metrics.items()]
    return len(data.description) + sum(
        24 + len(key.encode()) + (len(value.encode()) if isinstance(value, str) else 8)
        for key, value in entries
    )


def check_record_size(data: Metadata, limits: Limits) -> None:
    """Raises `ResourceExhausted`: a record must fit one message."""
    size = record_size(data)
    if size > limits.max_record_bytes:
        raise ResourceExhausted(
            f"a record of {size} bytes, at most {limits.max_record_bytes}", limit=limits.max_record_bytes
        )


def check_time(at: int, what: str) -> None:
    """Raises `InvalidArgument` outside of what google.protobuf.Timestamp can say from 1970 on."""
    if not 0 <= at <= LAST_AT:
        raise InvalidArgument(f"{what} has a time outside 1970 to 9999")


def check_finite(metrics: Iterable[tuple[str, float]]) -> None:
    """Raises `MetricNotFinite`, naming the first culprit."""
    for key, value in metrics:
        if not math.isfinite(value):
            raise MetricNotFinite(f"metric '{key}' is {value}", key=key, value=value)


def check_key(key: str, limits: Limits) -> None:
    """Raises `InvalidArgument`."""
    if not key or len(key.encode()) > limits.max_key_bytes or _CONTROL.search(key):
        shown = key[:60].encode("unicode_escape").decode()
        raise InvalidArgument(
            f"bad key '{shown}': 1 to {limits.max_key_bytes} bytes without control characters", key=shown
        )


def check_text(text: str, what: str, limit: int) -> None:
    """Raises `ResourceExhausted`."""
    if len(text) > limit or len(text.encode()) > limit:
        raise ResourceExhausted(f"{what} is longer than {limit} bytes", limit=limit)


def check_step_name(name: str, what: str = "step", *, optional: bool = False) -> None:
    """Of a step, or of `what` is named like one. Raises `NameInvalid`."""
    if (not name and not optional) or len(name.encode()) > MAX_STEP_NAME or _CONTROL.search(name):
        shown: Any = name[:60].encode("unicode_escape").decode()
        text = f"bad {what} name '{shown}': 1 to {MAX_STEP_NAME} bytes without control characters"
        raise NameInvalid(text, **{what: shown})


def check_request_id(request_id: str) -> None:
    """Raises `InvalidArgument`."""
    if len(request_id) > MAX_REQUEST_ID:
        raise InvalidArgument(f"request_id is longer than {MAX_REQUEST_ID} characters", limit=MAX_REQUEST_ID)

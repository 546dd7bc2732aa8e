"""Webhooks, as the server knows them."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.duration_pb2 import Duration

from regsvc.client.connection import Connection
from regsvc.v1 import webhook_pb2 as pb

_PREFIX = "webhooks/"
_SENDING = 120.0
"""Seconds for calls in which the server sends something."""


@dataclass(frozen=True)
class Webhook:
    """An endpoint that events go to."""

    name: str
    url: str
    filter: str
    """CEL; empty means all events."""
    disabled: bool
    disabled_reason: str
    """Why the server disabled it, or empty."""
    seq: int
    """All events up to this one are delivered or filtered out."""
    failed_tries: int
    """Of the event that is next."""
    next_try: datetime | None
    created: datetime


@dataclass(frozen=True)
class Delivery:
    """One try."""

    seq: int
    """The event's number; 0 of a test."""
    webhook_id: str
    """The header of that name, the same at every try."""
    time: datetime
    duration: timedelta
    status: int
    """Of HTTP; 0 when there was none."""
    error: str
    """Why it counts as failed; empty when it is a success."""
    number: int
    """Counted from 1."""
    redelivery: bool


def create(
    connection: Connection, name: str, url: str, filter: str, after: int | None, disabled: bool
) -> tuple[Webhook, str]:
    """The webhook, and its secret."""
    request = pb.CreateWebhookRequest(
        webhook=pb.Webhook(name=_PREFIX + name, url=url, filter=filter, disabled=disabled),
        after_seq=after,
        request_id=uuid.uuid4().hex,
    )
    made = connection.call(connection.webhooks.CreateWebhook, request)
    return _webhook(made.webhook), made.secret


def get(connection: Connection, name: str) -> Webhook:
    """Raises `NotFound`."""
    request = pb.GetWebhookRequest(name=_PREFIX + name)
    return _webhook(connection.call(connection.webhooks.GetWebhook, request).webhook)


def list_all(connection: Connection) -> Iterator[Webhook]:
    """By name."""
    token = ""
    while True:
        page = connection.call(connection.webhooks.ListWebhooks, pb.ListWebhooksRequest(page_token=token))
        yield from map(_webhook, page.webhooks)
        token = page.next_page_token
        if not token:
            return


def update(
    connection: Connection, name: str, url: str | None, filter: str | None, disabled: bool | None
) -> Webhook:
    """Change what is not None."""
    request = pb.UpdateWebhookRequest(
        name=_PREFIX + name, url=url, filter=filter, disabled=disabled, request_id=uuid.uuid4().hex
    )
    return _webhook(connection.call(connection.webhooks.UpdateWebhook, request).webhook)


def delete(connection: Connection, name: str) -> None:
    """With its history."""
    request = pb.DeleteWebhookRequest(name=_PREFIX + name, request_id=uuid.uuid4().hex)
    connection.call(connection.webhooks.DeleteWebhook, request)


def rotate(connection: Connection, name: str, overlap: timedelta) -> str:
    """The new secret."""
    length = Duration()
    length.FromTimedelta(overlap)
    request = pb.RotateWebhookSecretRequest(name=_PREFIX + name, overlap=length, request_id=uuid.uuid4().hex)
    secret: str = connection.call(connection.webhooks.RotateWebhookSecret, request).secret
    return secret


def deliveries(connection: Connection, name: str) -> Iterator[Delivery]:
    """Newest first."""
    token = ""
    while True:
        request = pb.ListDeliveriesRequest(parent=_PREFIX + name, page_token=token)
        page = connection.call(connection.webhooks.ListDeliveries, request)
        yield from map(_delivery, page.deliveries)
        token = page.next_page_token
        if not token:
            return


def redeliver(connection: Connection, name: str, seq: int) -> Delivery:
    """What came of it."""
    request = pb.RedeliverRequest(name=_PREFIX + name, seq=seq)
    return _delivery(connection.call(connection.webhooks.Redeliver, request, timeout=_SENDING).delivery)


def test(connection: Connection, name: str) -> Delivery:
    """What came of it."""
    request = pb.TestWebhookRequest(name=_PREFIX + name)
    return _delivery(connection.call(connection.webhooks.TestWebhook, request, timeout=_SENDING).delivery)


def _webhook(found: Any) -> Webhook:
    next_try = found.next_try_time.ToDatetime(UTC) if found.HasField("next_try_time") else None
    return Webhook(
        found.name.removeprefix(_PREFIX),
        found.url,
        found.filter,
        found.disabled,
        found.disabled_reason,
        found.seq,
        found.failed_tries,
        next_try,
        found.create_time.ToDatetime(UTC),
    )


def _delivery(made: Any) -> Delivery:
    return Delivery(
        made.seq,
        made.webhook_id,
        made.time.ToDatetime(UTC),
        made.duration.ToTimedelta(),
        made.status,
        made.error,
        getattr(made, "try"),
        made.redelivery,
    )

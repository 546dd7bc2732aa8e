"""What a webhook is sent: the body of an event, and its id, which stays the same at every try."""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from regsvc.catalog.events import Event

TEST = "webhook.test"


@dataclass(frozen=True)
class Message:
    """One message."""

    id: str
    seq: int
    """Of its event; 0 of a test."""
    body: bytes


def of_event(event: Event, store_id: str) -> Message:
    """The message of an event of this registry."""
    return Message(f"evt_{store_id}_{event.seq}", event.seq, _body(event))


def of_test(webhook: str, now: int) -> Message:
    """The message of a test of a webhook (`webhooks/{webhook}`)."""
    return Message(f"test_{secrets.token_hex(16)}", 0, _body(Event(0, now, TEST, webhook, {})))


def _body(event: Event) -> bytes:
    at = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=event.at)
    document = {
        "type": event.kind,
        "timestamp": at.isoformat().replace("+00:00", "Z"),
        "data": {"seq": event.seq, "resource": event.resource, "attributes": dict(event.attributes)},
    }
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode()

"""Webhooks: where events go, how far they have got, their secrets, and what was tried.

Secrets stay within this module and what signs: no event, list or error holds one.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass

from regsvc.catalog import events
from regsvc.catalog.database import Reader, Row, Transaction
from regsvc.errors import AlreadyExists, NotFound, ResourceExhausted

TOPIC = "webhooks"
MAX_WEBHOOKS = 1000
MAX_DELIVERIES = 10_000
"""Tries that are kept of one webhook."""
KEEP_US = 30 * 24 * 3600 * 1_000_000
"""How long they are kept."""
MAX_SECRETS = 5
"""Signatures of one message, however often the secret was changed lately."""
KEEP_SECRETS_US = 8 * 24 * 3600 * 1_000_000
"""For as long a changed secret is still known, so that a repeated request gets its first answer."""

_COLUMNS = (
    "id, name, url, filter, disabled, disabled_reason, seq, failed_tries, next_try_at, revision, created_at"
)


@dataclass(frozen=True)
class Webhook:
    """An endpoint that events go to."""

    id: int
    name: str
    """Without `webhooks/`."""
    url: str
    filter: str
    disabled: bool
    disabled_reason: str
    seq: int
    """All events up to this one are delivered or filtered out."""
    failed_tries: int
    """Of the event that is next."""
    next_try_at: int
    """Microseconds since 1970; 0 means now."""
    revision: int
    """Counts what clients change, so that a try of before does not count against what is set now."""
    created_at: int

    @property
    def wire(self) -> str:
        """`webhooks/{webhook}`"""
        return f"webhooks/{self.name}"


@dataclass(frozen=True)
class Try:
    """One try to deliver an event."""

    seq: int
    """0 of a test."""
    message_id: str
    at: int
    duration_us: int
    status: int
    """Of HTTP; 0 when there was none."""
    error: str
    """Empty when it is a success."""
    number: int
    """Counted from 1."""
    redelivery: bool


def create(tx: Transaction, name: str, url: str, filter: str, disabled: bool, after: int | None) -> Webhook:
    """For events after `after`, else from now on. Raises `AlreadyExists`, `ResourceExhausted`."""
    if tx.row("SELECT 1 FROM webhooks WHERE name = ?", [name]) is not None:
        raise AlreadyExists(f"webhook {name} exists", webhook=f"webhooks/{name}")
    if tx.value("SELECT count(*) FROM webhooks") >= MAX_WEBHOOKS:
        raise ResourceExhausted(f"there are {MAX_WEBHOOKS} webhooks already", limit=MAX_WEBHOOKS)
    _tell(tx, "webhook.created", name)
    made = tx.insert(
        "INSERT INTO webhooks (name, url, filter, disabled, seq, created_at) VALUES (?, ?, ?, ?, ?, ?) RETURNING id",
        [name, url, filter, int(disabled), events.bounds(tx)[1] if after is None else after, tx.now],
    )
    return find_id(tx, made)


def find(db: Reader, name: str) -> Webhook:
    """Raises `NotFound`."""
    row = db.row(f"SELECT {_COLUMNS} FROM webhooks WHERE name = ?", [name])  # noqa: S608
    if row is None:
        raise NotFound(f"webhook {name} does not exist", webhook=f"webhooks/{name}")
    return _webhook(row)


def get(db: Reader, webhook_id: int) -> Webhook | None:
    """None when it was deleted."""
    row = db.row(f"SELECT {_COLUMNS} FROM webhooks WHERE id = ?", [webhook_id])  # noqa: S608
    return None if row is None else _webhook(row)


def find_id(db: Reader, webhook_id: int) -> Webhook:
    """Raises `NotFound`."""
    found = get(db, webhook_id)
    if found is None:
        raise NotFound("the webhook does not exist any more")
    return found


def page(db: Reader, after: str, limit: int) -> list[Webhook]:
    """By name."""
    rows = db.rows(
        f"SELECT {_COLUMNS} FROM webhooks WHERE name > ? ORDER BY name LIMIT ?",  # noqa: S608
        [after, limit],
    )
    return [_webhook(row) for row in rows]


def enabled(db: Reader) -> list[int]:
    """Ids of those that want events."""
    return [row[0] for row in db.rows("SELECT id FROM webhooks WHERE disabled = 0")]


def update(tx: Transaction, old: Webhook, url: str | None, filter: str | None, disabled: bool | None) -> None:
    """Change what is given; tries begin anew. Nothing happens when it is so already."""
    new = (
        old.url if url is None else url,
        old.filter if filter is None else filter,
        old.disabled if disabled is None else disabled,
    )
    # Enabling what is enabled, but waits for its next try, asks for that now.
    if new == (old.url, old.filter, old.disabled) and not (disabled is False and old.failed_tries):
        return
    tx.run(
        "UPDATE webhooks SET url = ?, filter = ?, disabled = ?, disabled_reason = ?,"
        " failed_tries = 0, next_try_at = 0, revision = revision + 1 WHERE id = ?",
        [new[0], new[1], int(new[2]), old.disabled_reason if new[2] and old.disabled else "", old.id],
    )
    _tell(tx, "webhook.updated", old.name, disabled=str(new[2]).lower())


def delete(tx: Transaction, webhook: Webhook) -> None:
    """With its secrets and its history."""
    for table in ("webhook_deliveries", "webhook_secrets"):
        tx.run(f"DELETE FROM {table} WHERE webhook_id = ?", [webhook.id])  # noqa: S608
    tx.run("DELETE FROM webhooks WHERE id = ?", [webhook.id])
    _tell(tx, "webhook.deleted", webhook.name)


def add_secret(tx: Transaction, webhook: Webhook, secret: str, overlap_us: int = 0) -> int:
    """A new secret, and for so long the ones before it; gives its id."""
    replaced = tx.run(
        "UPDATE webhook_secrets SET expires_at = ? WHERE webhook_id = ? AND expires_at IS NULL",
        [tx.now + overlap_us, webhook.id],
    )
    if replaced:
        _tell(tx, "webhook.secret_rotated", webhook.name)
    return tx.insert(
        "INSERT INTO webhook_secrets (webhook_id, secret) VALUES (?, ?) RETURNING id", [webhook.id, secret]
    )


def secrets(db: Reader, webhook_id: int, now: int) -> list[str]:
    """Those to sign with, newest first."""
    rows = db.rows(
        "SELECT secret FROM webhook_secrets WHERE webhook_id = ? AND (expires_at IS NULL OR expires_at > ?)"
        " ORDER BY id DESC LIMIT ?",
        [webhook_id, now, MAX_SECRETS],
    )
    return [row[0] for row in rows]


def made_with(db: Reader, secret_id: int) -> tuple[Webhook, str]:
    """The webhook that got this secret, and the secret. Raises `NotFound`."""
    row = db.row("SELECT webhook_id, secret FROM webhook_secrets WHERE id = ?", [secret_id])
    if row is None:
        raise NotFound("the webhook that this request made does not exist any more")
    return find_id(db, row[0]), row[1]


def move(tx: Transaction, webhook: Webhook, seq: int) -> None:
    """All events up to this one are dealt with."""
    tx.run(
        "UPDATE webhooks SET seq = ?, failed_tries = 0, next_try_at = 0 WHERE id = ? AND seq < ?",
        [seq, webhook.id, seq],
    )


def failed(tx: Transaction, webhook: Webhook, next_try_at: int) -> None:
    """The try of the next event failed; unless a client has changed the webhook meanwhile."""
    tx.run(
        "UPDATE webhooks SET failed_tries = failed_tries + 1, next_try_at = ? WHERE id = ? AND revision = ?",
        [next_try_at, webhook.id, webhook.revision],
    )


def disable(tx: Transaction, webhook: Webhook, reason: str) -> None:
    """By the server; unless a client has changed the webhook meanwhile."""
    changed = tx.run(
        "UPDATE webhooks SET disabled = 1, disabled_reason = ?, failed_tries = failed_tries + 1, next_try_at = 0"
        " WHERE id = ? AND revision = ? AND disabled = 0",
        [reason, webhook.id, webhook.revision],
    )
    if changed:
        _tell(tx, "webhook.disabled", webhook.name, reason=reason)


def note(tx: Transaction, webhook: Webhook, made: Try) -> None:
    """Keep a try in the history; of a webhook that was deleted meanwhile, nothing."""
    row = tx.row(
        "UPDATE webhooks SET last_delivery = last_delivery + 1 WHERE id = ? RETURNING last_delivery",
        [webhook.id],
    )
    if row is None:
        return
    tx.run(
        "INSERT INTO webhook_deliveries"
        " (webhook_id, number, seq, message_id, at, duration_us, status, error, try, redelivery)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            webhook.id,
            row[0],
            made.seq,
            made.message_id,
            made.at,
            made.duration_us,
            made.status,
            made.error,
            made.number,
            int(made.redelivery),
        ],
    )
    tx.run(
        "DELETE FROM webhook_deliveries WHERE webhook_id = ? AND number <= ?",
        [webhook.id, row[0] - MAX_DELIVERIES],
    )


def tries(db: Reader, webhook: Webhook, since: int, before: int, limit: int) -> list[tuple[int, Try]]:
    """With their numbers, newest first."""
    rows = db.rows(
        "SELECT number, seq, message_id, at, duration_us, status, error, try, redelivery FROM webhook_deliveries"
        " WHERE webhook_id = ? AND number < ? AND at >= ? ORDER BY number DESC LIMIT ?",
        [webhook.id, min(before, sys.maxsize), since, limit],
    )
    return [(row[0], _made(row[1:])) for row in rows]


def tries_of(db: Reader, webhook: Webhook, seq: int) -> int:
    """How often an event has been tried."""
    count: int = db.value(
        "SELECT count(*) FROM webhook_deliveries WHERE webhook_id = ? AND seq = ?", [webhook.id, seq]
    )
    return count


def forget_old(tx: Transaction) -> None:
    """Drop tries, and secrets that were replaced, which are older than the promise."""
    tx.run("DELETE FROM webhook_deliveries WHERE at < ?", [tx.now - KEEP_US])
    tx.run("DELETE FROM webhook_secrets WHERE expires_at < ?", [tx.now - KEEP_SECRETS_US])


def _tell(tx: Transaction, kind: str, name: str, **attributes: object) -> None:
    events.record(tx, kind, f"webhooks/{name}", **attributes)
    tx.notify(TOPIC)


def _webhook(row: Row) -> Webhook:
    webhook_id, name, url, filter, disabled, *rest = row
    return Webhook(webhook_id, name, url, filter, bool(disabled), *rest)


def _made(row: Row) -> Try:
    seq, message_id, at, duration_us, status, error, number, redelivery = row
    return Try(seq, message_id, at, duration_us, status, error, number, bool(redelivery))

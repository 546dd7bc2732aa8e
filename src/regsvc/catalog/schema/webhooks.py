"""Webhooks, their secrets, and what was tried."""

from __future__ import annotations

from sqlite_utils import Database

from regsvc.catalog.schema.statements import run

# Ids are not used again: a worker, and a repeated request, know a webhook and a secret by them after it is deleted.
_WEBHOOKS = """
CREATE TABLE webhooks (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  name TEXT NOT NULL UNIQUE,
  url TEXT NOT NULL,
  filter TEXT NOT NULL,
  disabled INTEGER NOT NULL,
  disabled_reason TEXT NOT NULL DEFAULT '',
  seq INTEGER NOT NULL,
  failed_tries INTEGER NOT NULL DEFAULT 0,
  next_try_at INTEGER NOT NULL DEFAULT 0,
  revision INTEGER NOT NULL DEFAULT 1,
  last_delivery INTEGER NOT NULL DEFAULT 0,
  created_at INTEGER NOT NULL
);

CREATE TABLE webhook_secrets (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  webhook_id INTEGER NOT NULL REFERENCES webhooks(id),
  secret TEXT NOT NULL,
  expires_at INTEGER
);
CREATE INDEX webhook_secrets_by_webhook ON webhook_secrets(webhook_id);

CREATE TABLE webhook_deliveries (
  webhook_id INTEGER NOT NULL REFERENCES webhooks(id),
  number INTEGER NOT NULL,
  seq INTEGER NOT NULL,
  message_id TEXT NOT NULL,
  at INTEGER NOT NULL,
  duration_us INTEGER NOT NULL,
  status INTEGER NOT NULL,
  error TEXT NOT NULL,
  try INTEGER NOT NULL,
  redelivery INTEGER NOT NULL,
  PRIMARY KEY (webhook_id, number)
) WITHOUT ROWID;
CREATE INDEX webhook_deliveries_by_age ON webhook_deliveries(at);
"""


def webhooks(db: Database) -> None:
    """Webhooks, their secrets, and what was tried."""
    run(db, _WEBHOOKS)

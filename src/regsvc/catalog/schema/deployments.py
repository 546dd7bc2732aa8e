"""Who follows which alias, and what each of them serves."""

from __future__ import annotations

from sqlite_utils import Database

from regsvc.catalog.schema.statements import run

_DEPLOYMENTS = """
CREATE TABLE deployments (
  id INTEGER PRIMARY KEY,
  model_id INTEGER NOT NULL REFERENCES models(id),
  name TEXT NOT NULL,
  alias TEXT NOT NULL,
  host TEXT NOT NULL,
  labels TEXT NOT NULL DEFAULT '{}',
  lease INTEGER NOT NULL,
  version_id INTEGER REFERENCES versions(id),
  serving_at INTEGER,
  state INTEGER NOT NULL,
  error TEXT NOT NULL DEFAULT '',
  seen_at INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  UNIQUE (model_id, name)
);
CREATE INDEX deployments_by_alias ON deployments(model_id, alias, name);
CREATE INDEX deployments_by_version ON deployments(version_id) WHERE version_id IS NOT NULL;
"""


def deployments(db: Database) -> None:
    """Deployments, as their followers report them."""
    run(db, _DEPLOYMENTS)

"""Who moved aliases and why, what aliases may name, who approved what, and which versions are bad."""

from __future__ import annotations

from sqlite_utils import Database

from regsvc.catalog.schema.statements import run

_PROMOTION = """
ALTER TABLE versions ADD COLUMN author TEXT NOT NULL DEFAULT '';
ALTER TABLE versions ADD COLUMN bad INTEGER NOT NULL DEFAULT 0;
ALTER TABLE versions ADD COLUMN bad_reason TEXT NOT NULL DEFAULT '';
CREATE INDEX versions_by_author ON versions(author, id) WHERE author <> '';
CREATE INDEX versions_bad ON versions(id) WHERE bad = 1;

ALTER TABLE alias_changes ADD COLUMN author TEXT NOT NULL DEFAULT '';
ALTER TABLE alias_changes ADD COLUMN reason TEXT NOT NULL DEFAULT '';
ALTER TABLE alias_changes ADD COLUMN kind INTEGER NOT NULL DEFAULT 0;
CREATE INDEX alias_changes_by_time ON alias_changes(alias_id, at, id);

CREATE TABLE alias_rules (
  id INTEGER PRIMARY KEY,
  model_id INTEGER NOT NULL REFERENCES models(id),
  alias TEXT NOT NULL,
  protected INTEGER NOT NULL,
  gate TEXT NOT NULL,
  approvals INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  UNIQUE (model_id, alias)
);

CREATE TABLE approvals (
  id INTEGER PRIMARY KEY,
  version_id INTEGER NOT NULL REFERENCES versions(id),
  alias TEXT NOT NULL,
  author TEXT NOT NULL,
  comment TEXT NOT NULL DEFAULT '',
  at INTEGER NOT NULL,
  UNIQUE (version_id, alias, author)
);
"""


def promotion(db: Database) -> None:
    """Aliases of older catalogs were all moved by SetAlias, by nobody known: the defaults say so."""
    run(db, _PROMOTION)

"""Templates, their revisions and triggers, and the builds that they queued."""

from __future__ import annotations

from sqlite_utils import Database

from regsvc.catalog.schema.statements import run

# Ids of triggers are not used again: what looks at the events knows a trigger by its id.
# A deleted template keeps its row and its revisions: builds name them, and its revisions go on if it is set again.
_AUTOMATION = """
CREATE TABLE templates (
  id INTEGER PRIMARY KEY,
  model_id INTEGER NOT NULL REFERENCES models(id),
  name TEXT NOT NULL,
  revision INTEGER NOT NULL DEFAULT 0,
  deleted INTEGER NOT NULL DEFAULT 0,
  next_run_at INTEGER,
  UNIQUE (model_id, name)
);
CREATE INDEX templates_by_next_run ON templates(next_run_at) WHERE next_run_at IS NOT NULL;

CREATE TABLE template_revisions (
  id INTEGER PRIMARY KEY,
  template_id INTEGER NOT NULL REFERENCES templates(id),
  revision INTEGER NOT NULL,
  body TEXT NOT NULL,
  author TEXT NOT NULL,
  created_at INTEGER NOT NULL,
  UNIQUE (template_id, revision)
);

CREATE TABLE template_triggers (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  template_id INTEGER NOT NULL REFERENCES templates(id),
  filter TEXT NOT NULL,
  seq INTEGER NOT NULL,
  build_id INTEGER REFERENCES builds(id),
  UNIQUE (template_id, filter)
);

CREATE TABLE runs (
  build_id INTEGER PRIMARY KEY REFERENCES builds(id),
  template_id INTEGER NOT NULL REFERENCES templates(id),
  revision_id INTEGER NOT NULL REFERENCES template_revisions(id),
  inputs TEXT NOT NULL,
  source TEXT NOT NULL,
  params TEXT NOT NULL,
  labels TEXT NOT NULL,
  trigger_kind TEXT NOT NULL,
  origin TEXT NOT NULL,
  cause TEXT NOT NULL,
  author TEXT NOT NULL,
  lost INTEGER NOT NULL,
  failed INTEGER NOT NULL,
  retry_of INTEGER REFERENCES builds(id),
  rerun_of INTEGER REFERENCES builds(id),
  not_before INTEGER NOT NULL DEFAULT 0,
  runner TEXT NOT NULL DEFAULT '',
  session TEXT NOT NULL DEFAULT '',
  started_at INTEGER
);
CREATE INDEX runs_by_template ON runs(template_id, build_id);
CREATE INDEX runs_by_retry ON runs(retry_of) WHERE retry_of IS NOT NULL;
CREATE INDEX runs_by_rerun ON runs(rerun_of) WHERE rerun_of IS NOT NULL;
"""


def automation(db: Database) -> None:
    """Templates, their revisions and triggers, and the builds that they queued."""
    run(db, _AUTOMATION)

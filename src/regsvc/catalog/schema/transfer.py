"""What came from other registries: states as they came, builds awaited, how they were run, how far mirrors are."""

from __future__ import annotations

from sqlite_utils import Database

from regsvc.catalog.schema.statements import run

_TRANSFER = """
CREATE TABLE imported_states (
  source TEXT NOT NULL,
  name TEXT NOT NULL,
  state BLOB NOT NULL,
  PRIMARY KEY (source, name)
) WITHOUT ROWID;

CREATE TABLE awaited_builds (
  version_id INTEGER PRIMARY KEY REFERENCES versions(id),
  build_number INTEGER NOT NULL,
  source TEXT NOT NULL
);

CREATE TABLE imported_runs (
  build_id INTEGER PRIMARY KEY REFERENCES builds(id),
  body TEXT NOT NULL,
  retry_of INTEGER NOT NULL,
  rerun_of INTEGER NOT NULL
);
CREATE INDEX imported_runs_by_retry ON imported_runs(retry_of) WHERE retry_of > 0;
CREATE INDEX imported_runs_by_rerun ON imported_runs(rerun_of) WHERE rerun_of > 0;

CREATE TABLE mirrors (
  source TEXT NOT NULL,
  filter TEXT NOT NULL,
  seq INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  PRIMARY KEY (source, filter)
);

CREATE TABLE upload_points (
  upload_id TEXT NOT NULL REFERENCES uploads(id),
  place INTEGER NOT NULL,
  key TEXT NOT NULL,
  value DOUBLE PRECISION NOT NULL,
  step INTEGER NOT NULL,
  at INTEGER NOT NULL,
  PRIMARY KEY (upload_id, place)
) WITHOUT ROWID;

CREATE INDEX evaluation_points_by_arrival ON evaluation_points(series_id, id);
"""


def transfer(db: Database) -> None:
    """Import and mirrors; points of a build that is on its way belong to the upload of its blobs."""
    run(db, _TRANSFER)

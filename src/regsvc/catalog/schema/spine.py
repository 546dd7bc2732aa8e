"""Models, versions, aliases, builds, uploads, chunks, packs, files, events."""

from __future__ import annotations

import secrets

from sqlite_utils import Database

from regsvc.catalog.schema.statements import run

_SPINE = """
CREATE TABLE settings (
  key TEXT PRIMARY KEY,
  value TEXT NOT NULL
);

CREATE TABLE namespaces (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  created_at INTEGER NOT NULL
);

CREATE TABLE models (
  id INTEGER PRIMARY KEY,
  namespace_id INTEGER NOT NULL REFERENCES namespaces(id),
  name TEXT NOT NULL,
  description TEXT NOT NULL DEFAULT '',
  created_at INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  last_version INTEGER NOT NULL DEFAULT 0,
  last_build INTEGER NOT NULL DEFAULT 0,
  UNIQUE (namespace_id, name)
);

CREATE TABLE packs (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  size INTEGER NOT NULL,
  records INTEGER NOT NULL,
  created_at INTEGER NOT NULL
);

CREATE TABLE chunks (
  id INTEGER PRIMARY KEY,
  digest BLOB NOT NULL UNIQUE,
  pack_id INTEGER NOT NULL REFERENCES packs(id),
  record_offset INTEGER NOT NULL,
  stored_size INTEGER NOT NULL,
  raw_size INTEGER NOT NULL,
  codec INTEGER NOT NULL,
  damaged INTEGER NOT NULL DEFAULT 0
);
CREATE INDEX chunks_by_pack ON chunks(pack_id);

CREATE TABLE files (
  id INTEGER PRIMARY KEY,
  digest BLOB NOT NULL UNIQUE,
  size INTEGER NOT NULL,
  sha256 BLOB
);

CREATE TABLE file_chunks (
  file_id INTEGER NOT NULL REFERENCES files(id),
  file_offset INTEGER NOT NULL,
  chunk_id INTEGER NOT NULL REFERENCES chunks(id),
  PRIMARY KEY (file_id, file_offset)
) WITHOUT ROWID;

CREATE TABLE builds (
  id INTEGER PRIMARY KEY,
  model_id INTEGER NOT NULL REFERENCES models(id),
  number INTEGER NOT NULL,
  state INTEGER NOT NULL,
  reason TEXT NOT NULL DEFAULT '',
  description TEXT NOT NULL DEFAULT '',
  created_at INTEGER NOT NULL,
  ended_at INTEGER,
  lease_until INTEGER NOT NULL,
  cancel_requested INTEGER NOT NULL DEFAULT 0,
  log_seq INTEGER NOT NULL DEFAULT 0,
  log_bytes INTEGER NOT NULL DEFAULT 0,
  log_file_id INTEGER REFERENCES files(id),
  revision INTEGER NOT NULL DEFAULT 1,
  changed_revision INTEGER NOT NULL DEFAULT 1,
  UNIQUE (model_id, number)
);
CREATE INDEX builds_by_state ON builds(state, lease_until);

CREATE TABLE steps (
  build_id INTEGER NOT NULL REFERENCES builds(id),
  number INTEGER NOT NULL,
  name TEXT NOT NULL,
  state INTEGER NOT NULL,
  reason TEXT NOT NULL DEFAULT '',
  started_at INTEGER NOT NULL,
  ended_at INTEGER,
  revision INTEGER NOT NULL,
  PRIMARY KEY (build_id, number)
) WITHOUT ROWID;

CREATE TABLE log_batches (
  build_id INTEGER NOT NULL REFERENCES builds(id),
  first_seq INTEGER NOT NULL,
  last_seq INTEGER NOT NULL,
  size INTEGER NOT NULL,
  payload BLOB,
  blob_offset INTEGER,
  PRIMARY KEY (build_id, first_seq)
);
CREATE INDEX log_batches_by_end ON log_batches(build_id, last_seq);

CREATE TABLE metric_series (
  id INTEGER PRIMARY KEY,
  build_id INTEGER NOT NULL REFERENCES builds(id),
  key TEXT NOT NULL,
  last_value DOUBLE PRECISION NOT NULL,
  UNIQUE (build_id, key)
);

CREATE TABLE metric_points (
  id INTEGER PRIMARY KEY,
  series_id INTEGER NOT NULL REFERENCES metric_series(id),
  build_id INTEGER NOT NULL REFERENCES builds(id),
  revision INTEGER NOT NULL,
  step INTEGER NOT NULL,
  value DOUBLE PRECISION NOT NULL,
  at INTEGER NOT NULL
);
CREATE INDEX metric_points_by_build ON metric_points(build_id, revision);

CREATE TABLE versions (
  id INTEGER PRIMARY KEY,
  model_id INTEGER NOT NULL REFERENCES models(id),
  number INTEGER NOT NULL,
  digest BLOB NOT NULL,
  file_count INTEGER NOT NULL,
  size INTEGER NOT NULL,
  stored_size INTEGER NOT NULL,
  description TEXT NOT NULL DEFAULT '',
  build_id INTEGER REFERENCES builds(id),
  created_at INTEGER NOT NULL,
  UNIQUE (model_id, number)
);
CREATE INDEX versions_by_digest ON versions(model_id, digest);
CREATE INDEX versions_by_build ON versions(build_id);

CREATE TABLE version_files (
  version_id INTEGER NOT NULL REFERENCES versions(id),
  path TEXT NOT NULL,
  file_id INTEGER NOT NULL REFERENCES files(id),
  PRIMARY KEY (version_id, path)
) WITHOUT ROWID;
CREATE INDEX version_files_by_file ON version_files(file_id);

CREATE TABLE aliases (
  id INTEGER PRIMARY KEY,
  model_id INTEGER NOT NULL REFERENCES models(id),
  name TEXT NOT NULL,
  version_id INTEGER NOT NULL REFERENCES versions(id),
  updated_at INTEGER NOT NULL,
  UNIQUE (model_id, name)
);
CREATE INDEX aliases_by_version ON aliases(version_id);

CREATE TABLE alias_changes (
  id INTEGER PRIMARY KEY,
  alias_id INTEGER NOT NULL REFERENCES aliases(id),
  version_id INTEGER NOT NULL REFERENCES versions(id),
  previous_version_id INTEGER REFERENCES versions(id),
  at INTEGER NOT NULL
);
CREATE INDEX alias_changes_by_alias ON alias_changes(alias_id, id);

CREATE TABLE uploads (
  id TEXT PRIMARY KEY,
  namespace TEXT NOT NULL,
  model TEXT NOT NULL,
  build_id INTEGER REFERENCES builds(id),
  state INTEGER NOT NULL,
  lease_until INTEGER NOT NULL,
  created_at INTEGER NOT NULL,
  version_id INTEGER REFERENCES versions(id)
);
CREATE INDEX uploads_by_state ON uploads(state, lease_until);

CREATE TABLE upload_files (
  upload_id TEXT NOT NULL REFERENCES uploads(id),
  path TEXT NOT NULL,
  PRIMARY KEY (upload_id, path)
) WITHOUT ROWID;

CREATE TABLE upload_chunks (
  upload_id TEXT NOT NULL REFERENCES uploads(id),
  path TEXT NOT NULL,
  file_offset INTEGER NOT NULL,
  chunk_id INTEGER NOT NULL REFERENCES chunks(id),
  PRIMARY KEY (upload_id, path, file_offset)
) WITHOUT ROWID;

CREATE TABLE pins (
  upload_id TEXT NOT NULL REFERENCES uploads(id),
  chunk_id INTEGER NOT NULL REFERENCES chunks(id),
  PRIMARY KEY (upload_id, chunk_id)
) WITHOUT ROWID;

CREATE TABLE requests (
  id TEXT PRIMARY KEY,
  method TEXT NOT NULL,
  fingerprint BLOB NOT NULL,
  result TEXT NOT NULL,
  at INTEGER NOT NULL
);
CREATE INDEX requests_by_age ON requests(at);

CREATE TABLE events (
  seq INTEGER PRIMARY KEY AUTOINCREMENT,
  at INTEGER NOT NULL,
  kind TEXT NOT NULL,
  resource TEXT NOT NULL,
  attributes TEXT NOT NULL
);
"""

_RECORDS = """
CREATE TABLE {owner}_params (
  {owner}_id INTEGER NOT NULL REFERENCES {owner}s(id),
  key TEXT NOT NULL,
  string_value TEXT,
  int_value INTEGER,
  double_value DOUBLE PRECISION,
  bool_value INTEGER,
  PRIMARY KEY ({owner}_id, key)
) WITHOUT ROWID;

CREATE TABLE {owner}_tags (
  {owner}_id INTEGER NOT NULL REFERENCES {owner}s(id),
  key TEXT NOT NULL,
  value TEXT NOT NULL,
  PRIMARY KEY ({owner}_id, key)
) WITHOUT ROWID;
"""

_VERSION_METRICS = """
CREATE TABLE version_metrics (
  version_id INTEGER NOT NULL REFERENCES versions(id),
  key TEXT NOT NULL,
  value DOUBLE PRECISION NOT NULL,
  PRIMARY KEY (version_id, key)
) WITHOUT ROWID;
"""


def spine(db: Database) -> None:
    """Models, versions, aliases, builds, uploads, chunks, packs, files, events."""
    run(db, _SPINE, _RECORDS.format(owner="version"), _RECORDS.format(owner="build"), _VERSION_METRICS)
    for key in ("store_id", "page_secret"):
        db.conn.execute("INSERT INTO settings (key, value) VALUES (?, ?)", [key, secrets.token_hex(16)])


def damaged_chunks(db: Database) -> None:
    """The damaged chunks, which are few, without looking at all the others."""
    db.conn.execute("CREATE INDEX chunks_damaged ON chunks(digest) WHERE damaged = 1")

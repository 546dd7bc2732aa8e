"""The tables, as migrations of sqlite-utils. A migration that has been released is never edited.

Types and statements keep to what PostgreSQL also runs; `docs/architecture.md` draws the relations.
"""

from __future__ import annotations

import secrets

from sqlite_utils import Database, Migrations

MIGRATIONS = Migrations("regsvc")

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


@MIGRATIONS()
def spine(db: Database) -> None:
    """Models, versions, aliases, builds, uploads, chunks, packs, files, events."""
    _run(db, _SPINE, _RECORDS.format(owner="version"), _RECORDS.format(owner="build"), _VERSION_METRICS)
    for key in ("store_id", "page_secret"):
        db.conn.execute("INSERT INTO settings (key, value) VALUES (?, ?)", [key, secrets.token_hex(16)])


@MIGRATIONS()
def damaged_chunks(db: Database) -> None:
    """The damaged chunks, which are few, without looking at all the others."""
    db.conn.execute("CREATE INDEX chunks_damaged ON chunks(digest) WHERE damaged = 1")


_THE_RECORD = """
ALTER TABLE versions ADD COLUMN record_digest BLOB;

CREATE TABLE environments (
  id INTEGER PRIMARY KEY,
  digest BLOB NOT NULL UNIQUE,
  body TEXT NOT NULL
);

CREATE TABLE environment_packages (
  environment_id INTEGER NOT NULL REFERENCES environments(id),
  name TEXT NOT NULL,
  version TEXT NOT NULL,
  PRIMARY KEY (environment_id, name)
) WITHOUT ROWID;
CREATE INDEX environment_packages_by_name ON environment_packages(name, version);

CREATE TABLE version_labels (
  version_id INTEGER NOT NULL REFERENCES versions(id),
  label TEXT NOT NULL,
  PRIMARY KEY (version_id, label)
) WITHOUT ROWID;
CREATE INDEX version_labels_by_label ON version_labels(label, version_id);

CREATE TABLE version_parents (
  version_id INTEGER NOT NULL REFERENCES versions(id),
  position INTEGER NOT NULL,
  relation INTEGER NOT NULL,
  name TEXT NOT NULL,
  parent_id INTEGER REFERENCES versions(id),
  PRIMARY KEY (version_id, position)
) WITHOUT ROWID;
CREATE INDEX version_parents_by_parent ON version_parents(parent_id);
CREATE INDEX version_parents_by_name ON version_parents(name);

CREATE TABLE notes (
  id INTEGER PRIMARY KEY,
  version_id INTEGER NOT NULL REFERENCES versions(id),
  author TEXT NOT NULL,
  text TEXT NOT NULL,
  at INTEGER NOT NULL
);
CREATE INDEX notes_by_version ON notes(version_id, id);

CREATE TABLE datasets (
  id INTEGER PRIMARY KEY,
  namespace_id INTEGER NOT NULL REFERENCES namespaces(id),
  name TEXT NOT NULL,
  description TEXT NOT NULL DEFAULT '',
  created_at INTEGER NOT NULL,
  last_version INTEGER NOT NULL DEFAULT 0,
  UNIQUE (namespace_id, name)
);

CREATE TABLE dataset_versions (
  id INTEGER PRIMARY KEY,
  dataset_id INTEGER NOT NULL REFERENCES datasets(id),
  number INTEGER NOT NULL,
  digest BLOB NOT NULL,
  uri TEXT NOT NULL DEFAULT '',
  row_count INTEGER,
  column_count INTEGER,
  profile BLOB,
  created_at INTEGER NOT NULL,
  UNIQUE (dataset_id, number)
);
CREATE INDEX dataset_versions_by_digest ON dataset_versions(dataset_id, digest);
"""

_RECORDS_OF = """
CREATE TABLE {owner}_records (
  {owner}_id INTEGER PRIMARY KEY REFERENCES {owner}s(id),
  environment_id INTEGER REFERENCES environments(id),
  framework TEXT NOT NULL DEFAULT '',
  format TEXT NOT NULL DEFAULT '',
  code_remote TEXT NOT NULL DEFAULT '',
  code_commit TEXT NOT NULL DEFAULT '',
  code_branch TEXT NOT NULL DEFAULT '',
  image TEXT NOT NULL DEFAULT '',
  card TEXT NOT NULL DEFAULT '',
  body TEXT NOT NULL
);
CREATE INDEX {owner}_records_by_commit ON {owner}_records(code_commit) WHERE code_commit <> '';
CREATE INDEX {owner}_records_by_environment ON {owner}_records(environment_id);

CREATE TABLE {owner}_datasets (
  {owner}_id INTEGER NOT NULL REFERENCES {owner}s(id),
  dataset_version_id INTEGER NOT NULL REFERENCES dataset_versions(id),
  split TEXT NOT NULL,
  filter TEXT NOT NULL DEFAULT '',
  PRIMARY KEY ({owner}_id, dataset_version_id, split)
) WITHOUT ROWID;
CREATE INDEX {owner}_datasets_by_dataset ON {owner}_datasets(dataset_version_id);

CREATE TABLE {owner}_attachments (
  {owner}_id INTEGER NOT NULL REFERENCES {owner}s(id),
  name TEXT NOT NULL,
  file_id INTEGER NOT NULL REFERENCES files(id),
  PRIMARY KEY ({owner}_id, name)
) WITHOUT ROWID;
"""

_UPLOAD_ATTACHMENTS = """
CREATE TABLE upload_attachments (
  upload_id TEXT NOT NULL REFERENCES uploads(id),
  name TEXT NOT NULL,
  file_id INTEGER NOT NULL REFERENCES files(id),
  PRIMARY KEY (upload_id, name)
) WITHOUT ROWID;
"""


@MIGRATIONS()
def the_record(db: Database) -> None:
    """How versions were made: environments, labels, parents, notes, datasets, attachments."""
    _run(
        db,
        _THE_RECORD,
        _RECORDS_OF.format(owner="version"),
        _RECORDS_OF.format(owner="build"),
        _UPLOAD_ATTACHMENTS,
    )


def _run(db: Database, *scripts: str) -> None:
    for script in scripts:
        for statement in script.split(";\n"):
            if statement.strip():
                db.conn.execute(statement)


_SEARCH = """
CREATE INDEX version_metrics_by_value ON version_metrics(key, value, version_id);
CREATE INDEX version_params_by_text ON version_params(key, string_value, version_id) WHERE string_value IS NOT NULL;
CREATE INDEX version_params_by_number
  ON version_params(key, coalesce(double_value, int_value), version_id) WHERE string_value IS NULL;
CREATE INDEX version_tags_by_value ON version_tags(key, value, version_id);
CREATE INDEX versions_by_size ON versions(size, id);
CREATE INDEX metric_series_by_value ON metric_series(key, last_value, build_id);
CREATE INDEX build_params_by_text ON build_params(key, string_value, build_id) WHERE string_value IS NOT NULL;
CREATE INDEX build_params_by_number
  ON build_params(key, coalesce(double_value, int_value), build_id) WHERE string_value IS NULL;
CREATE INDEX build_tags_by_value ON build_tags(key, value, build_id);

CREATE VIRTUAL TABLE version_text USING fts5(name, description, card, labels, content='');

CREATE VIRTUAL TABLE model_text USING fts5(name, description, content='');

INSERT INTO version_text (rowid, name, description, card, labels)
  SELECT v.id, n.name || ' ' || m.name, v.description, coalesce(r.card, ''), ''
  FROM versions v JOIN models m ON m.id = v.model_id JOIN namespaces n ON n.id = m.namespace_id
  LEFT JOIN version_records r ON r.version_id = v.id;

INSERT INTO model_text (rowid, name, description)
  SELECT m.id, n.name || ' ' || m.name, m.description FROM models m JOIN namespaces n ON n.id = m.namespace_id;
"""


@MIGRATIONS()
def search(db: Database) -> None:
    """Indexes by value, and full text. FTS5 is SQLite's; PostgreSQL has tsvector and GIN for it."""
    _run(db, _SEARCH)


_SERIES = """
ALTER TABLE metric_series ADD COLUMN point_count INTEGER NOT NULL DEFAULT 0;

ALTER TABLE metric_series ADD COLUMN last_step INTEGER NOT NULL DEFAULT 0;

ALTER TABLE metric_series ADD COLUMN last_at INTEGER NOT NULL DEFAULT 0;

ALTER TABLE metric_series ADD COLUMN min_value DOUBLE PRECISION NOT NULL DEFAULT 0;

ALTER TABLE metric_series ADD COLUMN max_value DOUBLE PRECISION NOT NULL DEFAULT 0;

CREATE INDEX metric_points_by_series ON metric_points(series_id, step, id);

UPDATE metric_series SET
  point_count = (SELECT count(*) FROM metric_points p WHERE p.series_id = metric_series.id),
  min_value = (SELECT min(p.value) FROM metric_points p WHERE p.series_id = metric_series.id),
  max_value = (SELECT max(p.value) FROM metric_points p WHERE p.series_id = metric_series.id),
  last_step = (SELECT p.step FROM metric_points p WHERE p.series_id = metric_series.id ORDER BY p.id DESC LIMIT 1),
  last_at = (SELECT p.at FROM metric_points p WHERE p.series_id = metric_series.id ORDER BY p.id DESC LIMIT 1)
  WHERE EXISTS (SELECT 1 FROM metric_points p WHERE p.series_id = metric_series.id);

CREATE TABLE evaluation_series (
  id INTEGER PRIMARY KEY,
  version_id INTEGER NOT NULL REFERENCES versions(id),
  source TEXT NOT NULL,
  key TEXT NOT NULL,
  point_count INTEGER NOT NULL,
  last_value DOUBLE PRECISION NOT NULL,
  last_step INTEGER NOT NULL,
  last_at INTEGER NOT NULL,
  min_value DOUBLE PRECISION NOT NULL,
  max_value DOUBLE PRECISION NOT NULL,
  UNIQUE (version_id, source, key)
);

CREATE TABLE evaluation_points (
  id INTEGER PRIMARY KEY,
  series_id INTEGER NOT NULL REFERENCES evaluation_series(id),
  step INTEGER NOT NULL,
  value DOUBLE PRECISION NOT NULL,
  at INTEGER NOT NULL
);
CREATE INDEX evaluation_points_by_series ON evaluation_points(series_id, step, id);
"""


@MIGRATIONS()
def series(db: Database) -> None:
    """Summaries of metric series, their points by step, and evaluations of versions."""
    _run(db, _SERIES)


_EXTREMES = """
ALTER TABLE {owner}_series ADD COLUMN first_value DOUBLE PRECISION NOT NULL DEFAULT 0;

ALTER TABLE {owner}_series ADD COLUMN first_step INTEGER NOT NULL DEFAULT 0;

ALTER TABLE {owner}_series ADD COLUMN min_step INTEGER NOT NULL DEFAULT 0;

ALTER TABLE {owner}_series ADD COLUMN max_step INTEGER NOT NULL DEFAULT 0;

UPDATE {owner}_series SET
  first_value = (SELECT f.value FROM {owner}_points f WHERE f.id =
    (SELECT min(p.id) FROM {owner}_points p WHERE p.series_id = {owner}_series.id)),
  first_step = (SELECT f.step FROM {owner}_points f WHERE f.id =
    (SELECT min(p.id) FROM {owner}_points p WHERE p.series_id = {owner}_series.id)),
  min_step = (SELECT f.step FROM {owner}_points f WHERE f.id =
    (SELECT min(p.id) FROM {owner}_points p
     WHERE p.series_id = {owner}_series.id AND p.value = {owner}_series.min_value)),
  max_step = (SELECT f.step FROM {owner}_points f WHERE f.id =
    (SELECT min(p.id) FROM {owner}_points p
     WHERE p.series_id = {owner}_series.id AND p.value = {owner}_series.max_value))
  WHERE EXISTS (SELECT 1 FROM {owner}_points p WHERE p.series_id = {owner}_series.id);
"""

_DEFINITIONS = """
CREATE TABLE metric_definitions (
  model_id INTEGER NOT NULL REFERENCES models(id),
  key TEXT NOT NULL,
  direction INTEGER NOT NULL,
  PRIMARY KEY (model_id, key)
) WITHOUT ROWID;
"""


@MIGRATIONS()
def best_values(db: Database) -> None:
    """Where series began and had their extremes, and which values of a metric are the better ones."""
    _run(db, _EXTREMES.format(owner="metric"), _EXTREMES.format(owner="evaluation"), _DEFINITIONS)


_MORE_SEARCH = """
CREATE INDEX versions_by_number ON versions(number);
CREATE INDEX versions_by_created ON versions(created_at);
CREATE INDEX version_records_by_framework ON version_records(framework, version_id) WHERE framework <> '';
CREATE INDEX builds_by_number ON builds(number);
CREATE INDEX builds_by_created ON builds(created_at);
CREATE INDEX builds_by_ended ON builds(ended_at) WHERE ended_at IS NOT NULL;
CREATE UNIQUE INDEX models_by_name ON models(name, namespace_id);
CREATE INDEX models_by_updated ON models(updated_at);
CREATE INDEX aliases_by_name ON aliases(name, version_id);
CREATE INDEX evaluation_series_by_value ON evaluation_series(key, last_value, source, version_id);
CREATE INDEX datasets_by_name ON datasets(name);
CREATE INDEX dataset_versions_by_created ON dataset_versions(created_at);
CREATE INDEX dataset_versions_by_uri ON dataset_versions(uri);

CREATE VIRTUAL TABLE dataset_text USING fts5(name, uri, content='');

INSERT INTO dataset_text (rowid, name, uri)
  SELECT y.id, n.name || ' ' || d.name, y.uri
  FROM dataset_versions y JOIN datasets d ON d.id = y.dataset_id JOIN namespaces n ON n.id = d.namespace_id;
"""


@MIGRATIONS()
def more_search(db: Database) -> None:
    """Datasets by their words, evaluations by value, and indexes of orders that people use."""
    _run(db, _MORE_SEARCH)

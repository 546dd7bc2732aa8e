"""How versions were made: records, environments, labels, parents, notes, datasets, attachments."""

from __future__ import annotations

from sqlite_utils import Database

from regsvc.catalog.schema.statements import run

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


def the_record(db: Database) -> None:
    """How versions were made: environments, labels, parents, notes, datasets, attachments."""
    run(
        db,
        _THE_RECORD,
        _RECORDS_OF.format(owner="version"),
        _RECORDS_OF.format(owner="build"),
        _UPLOAD_ATTACHMENTS,
    )

"""Versions that are archived or deleted, aliases that name nothing, and what a collection has to know of packs."""

from __future__ import annotations

from sqlite_utils import Database

from regsvc.catalog.schema.statements import run

_LIFECYCLE = """
ALTER TABLE versions ADD COLUMN archived_at INTEGER;
ALTER TABLE versions ADD COLUMN deleted_at INTEGER;
ALTER TABLE versions ADD COLUMN purge_at INTEGER;
ALTER TABLE versions ADD COLUMN purged INTEGER NOT NULL DEFAULT 0;
ALTER TABLE versions ADD COLUMN copied_from INTEGER REFERENCES versions(id);
CREATE INDEX versions_live ON versions(model_id, number) WHERE deleted_at IS NULL;
CREATE INDEX versions_deleted ON versions(purged, purge_at) WHERE deleted_at IS NOT NULL;
CREATE INDEX versions_of_digest ON versions(digest);
CREATE INDEX versions_copied ON versions(copied_from) WHERE copied_from IS NOT NULL;

ALTER TABLE aliases ADD COLUMN unset INTEGER NOT NULL DEFAULT 0;
CREATE VIEW set_aliases AS SELECT id, model_id, name, version_id, updated_at FROM aliases WHERE unset = 0;

ALTER TABLE packs ADD COLUMN noted INTEGER NOT NULL DEFAULT 0;
CREATE TABLE pack_notes (
  pack_id INTEGER NOT NULL REFERENCES packs(id),
  record_offset INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  digest BLOB NOT NULL,
  stored_size INTEGER NOT NULL,
  PRIMARY KEY (pack_id, record_offset)
) WITHOUT ROWID;
CREATE INDEX pack_notes_by_digest ON pack_notes(digest, kind);
CREATE INDEX packs_not_noted ON packs(id) WHERE noted = 0;

CREATE TABLE unwanted_packs (
  name TEXT PRIMARY KEY
);

CREATE INDEX file_chunks_by_chunk ON file_chunks(chunk_id);
CREATE INDEX pins_by_chunk ON pins(chunk_id);
CREATE INDEX upload_chunks_by_chunk ON upload_chunks(chunk_id);
CREATE INDEX version_attachments_by_file ON version_attachments(file_id);
CREATE INDEX build_attachments_by_file ON build_attachments(file_id);
CREATE INDEX upload_attachments_by_file ON upload_attachments(file_id);
CREATE INDEX builds_by_log_file ON builds(log_file_id);

CREATE TABLE retention (
  model_id INTEGER PRIMARY KEY REFERENCES models(id),
  keep_last INTEGER NOT NULL,
  keep_younger INTEGER NOT NULL,
  keep_labels TEXT NOT NULL,
  keep_filter TEXT NOT NULL,
  scheduled INTEGER NOT NULL,
  updated_at INTEGER NOT NULL,
  applied_at INTEGER
);

CREATE TABLE model_renames (
  namespace TEXT NOT NULL,
  name TEXT NOT NULL,
  model_id INTEGER NOT NULL REFERENCES models(id),
  at INTEGER NOT NULL,
  PRIMARY KEY (namespace, name)
) WITHOUT ROWID;
"""


def lifecycle(db: Database) -> None:
    """Notes of packs that are there already are found out when the server starts: only the packs tell."""
    run(db, _LIFECYCLE)

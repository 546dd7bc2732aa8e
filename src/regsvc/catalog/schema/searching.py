"""What searches drive from: indexes by value, and full text."""

from __future__ import annotations

from sqlite_utils import Database

from regsvc.catalog.schema.statements import run

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


def search(db: Database) -> None:
    """Indexes by value, and full text. FTS5 is SQLite's; PostgreSQL has tsvector and GIN for it."""
    run(db, _SEARCH)


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


def more_search(db: Database) -> None:
    """Datasets by their words, evaluations by value, and indexes of orders that people use."""
    run(db, _MORE_SEARCH)

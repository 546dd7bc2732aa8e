"""Metric series: their points, their summaries, and which values are the better ones."""

from __future__ import annotations

from sqlite_utils import Database

from regsvc.catalog.schema.statements import run

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


def series(db: Database) -> None:
    """Summaries of metric series, their points by step, and evaluations of versions."""
    run(db, _SERIES)


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


def best_values(db: Database) -> None:
    """Where series began and had their extremes, and which values of a metric are the better ones."""
    run(db, _EXTREMES.format(owner="metric"), _EXTREMES.format(owner="evaluation"), _DEFINITIONS)

"""The full-text index, by SQLite's FTS5. It keeps words only: what is indexed never changes."""

from __future__ import annotations

import logging
from collections.abc import Sequence

from regsvc.catalog.database import Transaction
from regsvc.refs import DatasetRef, ModelName

log = logging.getLogger(__name__)


def add_version(
    tx: Transaction, version_id: int, model: ModelName, description: str, card: str, labels: Sequence[str]
) -> None:
    """Make a new version found by its words."""
    tx.run(
        "INSERT INTO version_text (rowid, name, description, card, labels) VALUES (?, ?, ?, ?, ?)",
        [version_id, f"{model.namespace} {model.model}", description, card, "\n".join(labels)],
    )


_WORDS = (
    "v.description, coalesce(r.card, ''),"
    " coalesce((SELECT group_concat(l.label, char(10)) FROM version_labels l WHERE l.version_id = v.id), '')"
    " FROM versions v LEFT JOIN version_records r ON r.version_id = v.id WHERE v.purged = 0 AND {}"
)
"""Of many versions at once; the order of labels does not matter to the index."""


def add_versions(tx: Transaction, model: ModelName, where: str, parameter: int) -> None:
    """`add_version` of all versions v of a model that a condition leaves."""
    tx.run(
        "INSERT INTO version_text (rowid, name, description, card, labels)"
        f" SELECT v.id, ?, {_WORDS.format(where)}",
        [f"{model.namespace} {model.model}", parameter],
    )


def remove_versions(tx: Transaction, model: ModelName, where: str, parameter: int) -> None:
    """Undo that."""
    _try(
        tx,
        "INSERT INTO version_text (version_text, rowid, name, description, card, labels)"
        f" SELECT 'delete', v.id, ?, {_WORDS.format(where)}",
        [f"{model.namespace} {model.model}", parameter],
    )


def add_model(tx: Transaction, model_id: int, name: ModelName, description: str) -> None:
    """Make a new model found by its words."""
    tx.run(
        "INSERT INTO model_text (rowid, name, description) VALUES (?, ?, ?)",
        [model_id, f"{name.namespace} {name.model}", description],
    )


def remove_model(tx: Transaction, model_id: int, name: ModelName, description: str) -> None:
    """Undo `add_model`, with the same words."""
    _try(
        tx,
        "INSERT INTO model_text (model_text, rowid, name, description) VALUES ('delete', ?, ?, ?)",
        [model_id, f"{name.namespace} {name.model}", description],
    )


def add_dataset(tx: Transaction, version_id: int, ref: DatasetRef, uri: str) -> None:
    """Make a new version of a dataset found by its words."""
    tx.run(
        "INSERT INTO dataset_text (rowid, name, uri) VALUES (?, ?, ?)",
        [version_id, f"{ref.namespace} {ref.dataset}", uri],
    )


def _try(tx: Transaction, sql: str, parameters: Sequence[object]) -> None:
    """Take words out of the index. It refuses those that it has not; then they stay, and find nothing that is gone."""
    if not tx.attempt(sql, parameters):
        log.warning("words were left in the full-text index")

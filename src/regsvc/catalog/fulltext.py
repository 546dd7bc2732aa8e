"""The full-text index, by SQLite's FTS5. It keeps words only: what is indexed never changes."""

from __future__ import annotations

from collections.abc import Sequence

from regsvc.catalog.database import Transaction
from regsvc.refs import DatasetRef, ModelName


def add_version(
    tx: Transaction, version_id: int, model: ModelName, description: str, card: str, labels: Sequence[str]
) -> None:
    """Make a new version found by its words."""
    tx.run(
        "INSERT INTO version_text (rowid, name, description, card, labels) VALUES (?, ?, ?, ?, ?)",
        [version_id, f"{model.namespace} {model.model}", description, card, "\n".join(labels)],
    )


def remove_version(
    tx: Transaction, version_id: int, model: ModelName, description: str, card: str, labels: Sequence[str]
) -> None:
    """Undo `add_version`, with the same words: the index does not keep them."""
    tx.run(
        "INSERT INTO version_text (version_text, rowid, name, description, card, labels) VALUES"
        " ('delete', ?, ?, ?, ?, ?)",
        [version_id, f"{model.namespace} {model.model}", description, card, "\n".join(labels)],
    )


def add_model(tx: Transaction, model_id: int, name: ModelName, description: str) -> None:
    """Make a new model found by its words."""
    tx.run(
        "INSERT INTO model_text (rowid, name, description) VALUES (?, ?, ?)",
        [model_id, f"{name.namespace} {name.model}", description],
    )


def add_dataset(tx: Transaction, version_id: int, ref: DatasetRef, uri: str) -> None:
    """Make a new version of a dataset found by its words."""
    tx.run(
        "INSERT INTO dataset_text (rowid, name, uri) VALUES (?, ?, ?)",
        [version_id, f"{ref.namespace} {ref.dataset}", uri],
    )

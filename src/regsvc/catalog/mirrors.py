"""What this registry has of others: how far it followed them, and what it last took of what can be changed."""

from __future__ import annotations

from dataclasses import dataclass

from blake3 import blake3

from regsvc.catalog.database import Reader, Transaction, store_id
from regsvc.errors import ImportConflict, NotFound


@dataclass(frozen=True)
class Mirror:
    """How far another registry was followed."""

    source: str
    """Its store id."""
    seq: int
    """Of its event up to which everything is here."""
    filter: str
    updated_at: int


def find(db: Reader, source: str, filter: str) -> Mirror:
    """Raises `NotFound`."""
    row = db.row(
        "SELECT source, seq, filter, updated_at FROM mirrors WHERE source = ? AND filter = ?",
        [source, filter],
    )
    if row is None:
        raise NotFound("that registry is not mirrored here", source=source)
    return Mirror(*row)


def put(tx: Transaction, source: str, filter: str, seq: int) -> Mirror:
    """Note how far it is."""
    tx.run(
        "INSERT INTO mirrors (source, filter, seq, updated_at) VALUES (?, ?, ?, ?) ON CONFLICT (source, filter)"
        " DO UPDATE SET seq = excluded.seq, updated_at = excluded.updated_at WHERE seq <> excluded.seq",
        [source, filter, seq, tx.now],
    )
    return find(tx, source, filter)


def follows(
    tx: Transaction, source: str, name: str, what: str, *, now: object, unset: object, wanted: object
) -> bool:
    """Whether what can be changed is to become `wanted`, because only the source has changed it.

    It is compared with what came from that source before, or else with `unset`: what it is while nobody has said
    anything. `name` and `what` tell whose it is; the values are compared by their texts. Raises `ImportConflict`
    when both sides have changed it.
    """
    if source == store_id(tx):
        return False  # an older state of this very registry
    key = f"{name}#{what}"
    base = tx.value("SELECT state FROM imported_states WHERE source = ? AND name = ?", [source, key])
    if _state(now) == _state(wanted):
        _remember(tx, source, key, wanted)
        return False
    if _state(wanted) == (_state(unset) if base is None else base):
        return False  # the source has not changed it
    if _state(now) != (_state(unset) if base is None else base):
        raise ImportConflict(f"{what} of {name} were changed here too", name=name)
    _remember(tx, source, key, wanted)
    return True


def came(tx: Transaction, source: str, name: str) -> None:
    """Note that a build or version of that name is the one of another registry."""
    if not has_come(tx, source, name):
        _remember(tx, source, f"{name}#same", name)


def has_come(db: Reader, source: str, name: str) -> bool:
    """Whether a build or version is the one of that name in another registry."""
    key = f"{name}#same"
    return db.value("SELECT 1 FROM imported_states WHERE source = ? AND name = ?", [source, key]) is not None


def gone(tx: Transaction, source: str, name: str) -> None:
    """Note that only the number of a version is here, because it is deleted at the source."""
    _remember(tx, source, f"{name}#gone", name)


def is_gone(db: Reader, name: str) -> bool:
    """Whether that is so."""
    return db.value("SELECT 1 FROM imported_states WHERE name = ?", [f"{name}#gone"]) is not None


def forget_gone(tx: Transaction, name: str) -> None:
    """It comes after all."""
    tx.run("DELETE FROM imported_states WHERE name = ?", [f"{name}#gone"])


def _remember(tx: Transaction, source: str, key: str, state: object) -> None:
    tx.run(
        "INSERT INTO imported_states (source, name, state) VALUES (?, ?, ?)"
        " ON CONFLICT (source, name) DO UPDATE SET state = excluded.state",
        [source, key, _state(state)],
    )


def _state(value: object) -> bytes:
    return blake3(repr(value).encode("utf-8", "backslashreplace")).digest()

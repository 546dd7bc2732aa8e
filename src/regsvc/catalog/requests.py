"""Request ids: the same call again gives the first answer and changes nothing."""

from __future__ import annotations

from dataclasses import dataclass

from regsvc.catalog.database import Transaction
from regsvc.errors import RequestIdReused

KEEP_US = 7 * 24 * 3600 * 1_000_000


@dataclass(frozen=True)
class Request:
    """One mutating call, as far as idempotency is concerned."""

    id: str
    """Chosen by the client; empty when it does not care."""
    method: str
    fingerprint: bytes
    """BLAKE3 of the request without its id."""


def replay(tx: Transaction, request: Request) -> str | None:
    """The result remembered for this request, or None. Raises `RequestIdReused` for another request's id."""
    if not request.id:
        return None
    row = tx.row("SELECT method, fingerprint, result FROM requests WHERE id = ?", [request.id])
    if row is None:
        return None
    if (row[0], row[1]) != (request.method, request.fingerprint):
        raise RequestIdReused(
            f"request_id '{request.id}' was used for another request", request_id=request.id
        )
    return str(row[2])


def remember(tx: Transaction, request: Request, result: str) -> None:
    """Remember the result, in the transaction that produced it."""
    if request.id:
        tx.run(
            "INSERT INTO requests (id, method, fingerprint, result, at) VALUES (?, ?, ?, ?, ?)",
            [request.id, request.method, request.fingerprint, result, tx.now],
        )


def forget_old(tx: Transaction) -> int:
    """Drop what is older than the promise; gives how many."""
    return tx.run("DELETE FROM requests WHERE at < ?", [tx.now - KEEP_US])

"""The index of chunks: what is stored, what is damaged, what an upload pins."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regsvc.catalog import chunks, uploads
from regsvc.catalog.chunks import PackFacts
from regsvc.catalog.database import Catalog
from regsvc.refs import ModelName

CHUNKS = 3000
"""More than fit the parameters of one statement."""


def digest(number: int) -> bytes:
    return (number * 2_654_435_761 % 2**32).to_bytes(4, "big") * 8


@pytest.fixture(scope="module")
def catalog() -> Iterator[Catalog]:
    with tempfile.TemporaryDirectory() as folder:
        made = Catalog(Path(folder) / "catalog.sqlite")
        rows = [(digest(number), number * 100, 90, 100, 0) for number in range(CHUNKS)]
        made.write(lambda tx: chunks.add_pack(tx, PackFacts("p" * 32, 1, CHUNKS, rows)))
        yield made
        made.close()


@given(
    asked=st.lists(st.integers(0, 2 * CHUNKS), max_size=40),
    damaged=st.sets(st.integers(0, CHUNKS - 1), max_size=5),
)
def test_stored_tells_what_locate_finds(catalog: Catalog, asked: list[int], damaged: set[int]) -> None:
    digests = [digest(number) for number in [*asked, *damaged]]
    places = catalog.read(lambda db: chunks.places(db, [digest(number) for number in damaged]))
    for chunk in places.values():
        catalog.write(lambda tx, chunk=chunk: chunks.mark_damaged(tx, chunk))  # type: ignore[misc]
    try:
        found = catalog.read(lambda db: chunks.stored(db, digests))
        located = catalog.read(lambda db: chunks.locate(db, digests))
        assert found == {each: chunk.id for each, chunk in located.items()}
        assert found.keys() == {digest(n) for n in asked if n < CHUNKS and n not in damaged}
        if found:
            assert catalog.read(lambda db: chunks.any_indexed(db, digests))
    finally:
        catalog.write(lambda tx: tx.run("UPDATE chunks SET damaged = 0"))


def test_thousands_are_found_and_pinned_at_once(catalog: Catalog) -> None:
    everything = [digest(number) for number in range(2 * CHUNKS)]
    assert not catalog.read(lambda db: chunks.any_indexed(db, everything[CHUNKS:]))
    assert catalog.read(lambda db: chunks.any_indexed(db, everything))
    found = catalog.read(lambda db: chunks.stored(db, everything))
    assert found.keys() == set(everything[:CHUNKS])
    catalog.write(lambda tx: uploads.create(tx, "u", ModelName("n", "m"), None, 1))
    for _ in range(2):  # again changes nothing
        catalog.write(lambda tx: chunks.pin(tx, "u", found.values()))
    pinned = catalog.read(lambda db: db.rows("SELECT chunk_id FROM pins WHERE upload_id = 'u'"))
    assert {chunk_id for (chunk_id,) in pinned} == set(found.values())


def test_damaged_chunks_are_found_by_an_index_of_their_own(catalog: Catalog) -> None:
    plan = catalog.read(
        lambda db: db.rows("EXPLAIN QUERY PLAN SELECT 1 FROM chunks WHERE damaged = 1 LIMIT 1")
    )
    assert "chunks_damaged" in str(plan)

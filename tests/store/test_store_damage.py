"""Every damage is noticed and costs one record; a torn pack keeps exactly its complete records."""

import random
from pathlib import Path

import pytest
from faults import new_record
from hypothesis import given
from hypothesis import strategies as st

from regsvc.store import (
    DamagedPack,
    DamagedRecord,
    FileSystem,
    PackStore,
    check,
    read_footer,
    read_index,
    scan,
)
from regsvc.store.layout import HEADER_SIZE, RECORD_HEADER_SIZE, TRAILER_SIZE, Record

FS = FileSystem()
PAYLOADS = [random.Random(size).randbytes(size) for size in (100, 1, 777, 0, 4096, 13)]


def seal(store: PackStore, payloads: list[bytes] = PAYLOADS) -> tuple[Path, list[Record]]:
    writer = store.create()
    writer.append_many(map(new_record, payloads))
    return store.path(writer.id), list(writer.seal().records)


def flip(path: Path, offset: int, bit: int = 0) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 1 << bit
    path.write_bytes(data)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Record], bytes]:
    with PackStore(tmp_path_factory.mktemp("damage") / "data") as store:
        path, records = seal(store)
        return path, records, path.read_bytes()


@given(position=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7))
def test_any_flipped_bit_is_noticed_and_costs_at_most_one_record(whole, position: float, bit: int) -> None:
    path, records, data = whole
    offset = int(position * len(data))
    flip(path, offset, bit)
    try:
        assert check(FS, path)
        good = list(scan(FS, path, payloads=True))
        hurt = [r for r in records if r.offset <= offset < r.payload_end]
        assert good == [r for r in records if r not in hurt]
        if offset < records[-1].end:
            assert read_index(FS, path) == records
        else:
            with pytest.raises(DamagedPack):
                read_footer(FS, path)
            assert read_index(FS, path) == records
    finally:
        path.write_bytes(data)


@pytest.mark.parametrize("where", ["pack header", "record header", "payload", "padding", "footer", "trailer"])
def test_each_region_is_watched(store: PackStore, where: str) -> None:
    path, records = seal(store)
    size, hit = path.stat().st_size, records[2]
    offset = {
        "pack header": 30,
        "record header": hit.offset + 20,
        "payload": hit.payload_offset + 50,
        "padding": hit.payload_end,
        "footer": records[-1].end + 10,
        "trailer": size - TRAILER_SIZE + 3,
    }[where]
    flip(path, offset)
    assert len(check(FS, path)) >= 1
    for record, payload in zip(records, PAYLOADS, strict=True):
        if record == hit and where in {"record header", "payload"}:
            with pytest.raises(DamagedRecord) as caught:
                store.read(path.stem, record.offset, record.stored_size, record.digest)
            assert (caught.value.pack_id, caught.value.offset) == (path.stem, record.offset)
            with pytest.raises(DamagedRecord):
                list(store.read_many(path.stem, records))
        else:
            assert store.read(path.stem, record.offset, record.stored_size, record.digest) == payload


def test_a_pack_inside_a_damaged_record_brings_no_false_records(store: PackStore) -> None:
    inner, _ = seal(store)
    path, records = seal(store, [b"before", b"RGR1" * 1000 + inner.read_bytes()[HEADER_SIZE:], b"after"])
    flip(path, records[1].offset + 9)
    assert list(scan(FS, path)) == [records[0], records[2]]


def test_scan_finds_records_behind_damage_longer_than_its_window(store: PackStore) -> None:
    # The second size puts the next header across the end of a window.
    for size in (9 * 2**20 + 8, 4 * 2**20 - 88):
        path, records = seal(store, [bytes(size), b"after"])
        flip(path, records[0].offset)
        assert list(scan(FS, path)) == [records[1]]


def test_a_file_under_another_packs_name_is_not_read(store: PackStore) -> None:
    (one, records), (two, _) = seal(store), seal(store)
    two.write_bytes(one.read_bytes())
    with pytest.raises(DamagedRecord):
        store.read(two.stem, records[0].offset, records[0].stored_size, records[0].digest)
    assert check(FS, two)


def test_the_wrong_place_or_digest_is_refused(store: PackStore) -> None:
    path, records = seal(store)
    first = records[0]
    for offset, size, digest in [
        (first.offset + 8, first.stored_size, None),
        (first.offset, first.stored_size + 1, None),
        (first.offset, first.stored_size, records[1].digest),
        (path.stat().st_size + 8, 1, None),
    ]:
        with pytest.raises(DamagedRecord):
            store.read(path.stem, offset, size, digest)


def test_garbage_after_the_trailer_is_noticed(store: PackStore) -> None:
    path, records = seal(store)
    path.write_bytes(path.read_bytes() + b"x" * 64)
    assert check(FS, path)
    assert read_index(FS, path) == records


def torn_sizes(records: list[Record], size: int) -> list[int]:
    cuts = {0, 1, HEADER_SIZE - 1, HEADER_SIZE, size - TRAILER_SIZE - 1, size - TRAILER_SIZE, size - 1, size}
    for each in records:
        cuts |= {each.offset + 1, each.offset + RECORD_HEADER_SIZE - 1, each.payload_offset, each.payload_end}
        cuts |= {max(each.payload_offset, each.payload_end - 1), each.end}
    return sorted(cuts)


def test_a_torn_open_pack_keeps_exactly_its_complete_records(tmp_path: Path) -> None:
    with PackStore(tmp_path / "data") as store:
        path, records = seal(store)
        data = path.read_bytes()
        path.unlink()
    for size in torn_sizes(records, len(data)):
        torn = tmp_path / "data" / "packs" / "open" / path.name
        torn.write_bytes(data[:size])
        with PackStore(tmp_path / "data") as store:
            recovered = store.recover()
            complete = tuple(record for record in records if record.payload_end <= size)
            assert [pack.records for pack in recovered] == ([complete] if complete else []), size
            assert not torn.exists()
            if complete:
                assert check(FS, path) == []
                assert path.stat().st_size == recovered[0].size
                store.remove(path.stem)
            assert list(store.list()) == []


def test_an_open_pack_with_a_hole_keeps_the_records_around_it(tmp_path: Path) -> None:
    with PackStore(tmp_path / "data") as store:
        path, records = seal(store)
        data = bytearray(path.read_bytes())
        path.unlink()
    hole = slice(records[2].offset, records[3].offset)
    data[hole] = bytes(hole.stop - hole.start)
    (tmp_path / "data" / "packs" / "open" / path.name).write_bytes(data)
    with PackStore(tmp_path / "data") as store:
        (pack,) = store.recover()
        assert [record.digest for record in pack.records] == [r.digest for r in records if r != records[2]]
        assert list(store.read_many(pack.id, pack.records)) == PAYLOADS[:2] + PAYLOADS[3:]


def test_recovery_leaves_sealed_packs_and_strange_names_alone(tmp_path: Path) -> None:
    with PackStore(tmp_path / "data") as store:
        path, _ = seal(store)
        flip(path, 70)
        before = path.read_bytes()
    strange = tmp_path / "data" / "packs" / "open" / "notes.txt"
    strange.write_text("mine")
    with PackStore(tmp_path / "data") as store:
        assert store.recover() == []
        assert list(store.list()) == [path.stem]
        store.create().discard()
        with pytest.raises(RuntimeError):
            store.recover()
    assert path.read_bytes() == before
    assert strange.exists()

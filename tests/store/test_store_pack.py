"""What is appended reads back, and both ways to list a pack agree."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from faults import MemoryFileSystem, RecordingFileSystem, new_record
from hypothesis import given
from hypothesis import strategies as st

from regsvc.store import MAX_RECORDS, FileSystem, PackStore, check, layout, read_footer, read_index, scan
from regsvc.store.layout import Record

records_strategy = st.lists(
    st.tuples(st.integers(0, 255), st.integers(0, 255), st.binary(max_size=300), st.integers(0, 2**32 - 1)),
    min_size=1,
    max_size=30,
)


@given(records_strategy, st.booleans())
def test_whatever_is_appended_reads_back(items: list[tuple[int, int, bytes, int]], many: bool) -> None:
    fs = MemoryFileSystem()
    with PackStore(Path("/data"), fs) as store:
        writer = store.create()
        new = [layout_free(kind, codec, payload, raw_size) for kind, codec, payload, raw_size in items]
        if many:
            added = writer.append_many(new)
        else:
            added = [writer.append(n.kind, n.codec, n.digest, n.raw_size, n.payload) for n in new]
        open_path = Path("/data/packs/open") / f"{writer.id}.pack"
        assert list(scan(fs, open_path)) == added == writer.records
        assert [writer.read(record) for record in added] == [n.payload for n in new]
        sealed = writer.seal()
        path = store.path(sealed.id)
        assert list(sealed.records) == added
        assert list(scan(fs, path)) == read_footer(fs, path) == read_index(fs, path) == added
        assert list(scan(fs, path, payloads=True)) == added
        assert check(fs, path) == []
        assert list(store.read_many(sealed.id, added)) == [n.payload for n in new]
        assert [store.read(sealed.id, r.offset, r.stored_size, r.digest) for r in added] == [
            n.payload for n in new
        ]
        assert [writer.read(record) for record in added] == [n.payload for n in new]
        fd = fs.open_read(path)
        assert fs.size(fd) == sealed.size
        fs.close(fd)


def layout_free(kind: int, codec: int, payload: bytes, raw_size: int):
    record = new_record(payload, kind, codec)
    return type(record)(kind, codec, record.digest, raw_size, payload)


def test_the_bytes_of_the_format_do_not_change() -> None:
    pack_id = "000102030405060708090a0b0c0d0e0f"
    seed = layout.salt(pack_id)
    record = Record(1, 2, bytes(range(32)), 1 << 20, 5, 64)
    assert layout.pack_header(pack_id, 1_700_000_000_000_000).hex() == PACK_HEADER
    assert layout.record_header(seed, record, layout.crc32c(b"hello")).hex() == RECORD_HEADER
    assert layout.footer(seed, [record], 136).hex() == FOOTER
    assert layout.crc32c(b"123456789") == 0xE3069283


PACK_HEADER = (
    "5247535041434b3101000000000102030405060708090a0b0c0d0e0f00401e18"
    "240a0600000000000000000000000000000000000000000000000000f71896bb"
)
RECORD_HEADER = (
    "52475231010200000000100005000000000102030405060708090a0b0c0d0e0f"
    "101112131415161718191a1b1c1d1e1f4cbb719a0000000000000000434ac6d5"
)
FOOTER = (
    "000102030405060708090a0b0c0d0e0f101112131415161718191a1b1c1d1e1f"
    "400000000500000000001000010200008800000000000000010000001454c181"
    "010000008892a60b5247545241494c31"
)


def test_sealing_syncs_the_file_before_and_both_directories_after_the_rename(tmp_path: Path) -> None:
    fs = RecordingFileSystem()
    with PackStore(tmp_path / "data", fs) as store:
        writer = store.create()
        writer.append_many([new_record(b"one"), new_record(b"two")])
        fs.trace.clear()
        writer.seal()
        assert fs.trace == ["write", "fsync", "rename", "fsync_dir", "fsync_dir"]
        assert not fs.unsynced_dirs
        assert not fs.dirty


def test_append_is_one_write_call(tmp_path: Path) -> None:
    fs = RecordingFileSystem()
    with PackStore(tmp_path / "data", fs) as store:
        writer = store.create()
        fs.trace.clear()
        writer.append_many(new_record(bytes([n])) for n in range(100))
        assert fs.trace == ["write"]
        writer.discard()


def test_the_writer_refuses_what_the_format_cannot_hold(store: PackStore) -> None:
    writer = store.create()
    size = writer.size
    for kind, codec, digest, raw_size in [
        (256, 0, bytes(32), 0),
        (1, -1, bytes(32), 0),
        (1, 0, bytes(31), 0),
        (1, 0, bytes(32), 2**32),
    ]:
        with pytest.raises(ValueError, match=r"field|digest"):
            writer.append(kind, codec, digest, raw_size, b"")
    writer.append_many([new_record(b"")] * MAX_RECORDS)
    with pytest.raises(ValueError, match="at most 8192"):
        writer.append(1, 0, bytes(32), 0, b"")
    assert writer.size == size + 64 * MAX_RECORDS
    assert len(read_footer(FileSystem(), store.path(writer.seal().id))) == MAX_RECORDS


def test_a_finished_writer_takes_nothing_more(store: PackStore) -> None:
    writer = store.create()
    with pytest.raises(ValueError, match="empty"):
        writer.seal()
    record = writer.append(1, 0, bytes(32), 1, b"x")
    writer.seal()
    for act in (writer.seal, writer.discard, lambda: writer.append(1, 0, bytes(32), 1, b"x")):
        with pytest.raises(ValueError, match="sealed"):
            act()
    discarded = store.create()
    discarded.append(1, 0, bytes(32), 1, b"x")
    discarded.discard()
    discarded.discard()
    with pytest.raises(ValueError, match="discarded"):
        discarded.read(record)
    assert list(store.list()) == [writer.id]


def test_a_later_version_is_left_alone() -> None:
    with TemporaryDirectory() as folder:
        header = bytearray(layout.pack_header("ab" * 16, 0)[:-4])
        header[8] = 2
        path = Path(folder) / f"{'ab' * 16}.pack"
        path.write_bytes(bytes(header) + layout.crc32c(bytes(header)).to_bytes(4, "little"))
        with pytest.raises(layout.UnsupportedPack):
            list(scan(FileSystem(), path))

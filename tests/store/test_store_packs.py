"""Reading, listing and removing packs, by many threads and with few open files."""

import os
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Thread

import pytest
from faults import new_record

from regsvc.store import FileSystem, PackNotFound, PackStore, Record, SealedPack
from regsvc.store.reader import coalesce


def seal(store: PackStore, payloads: list[bytes]) -> SealedPack:
    writer = store.create()
    writer.append_many(map(new_record, payloads))
    return writer.seal()


class Counting(FileSystem):
    """Remembers every read, and how many files were open at most."""

    def __init__(self) -> None:
        self.reads: list[int] = []
        self.open: set[int] = set()
        self.most = 0

    def open_read(self, path: Path) -> int:
        fd = super().open_read(path)
        self.open.add(fd)
        self.most = max(self.most, len(self.open))
        return fd

    def close(self, fd: int) -> None:
        self.open.discard(fd)
        super().close(fd)

    def pread(self, fd: int, size: int, offset: int) -> bytes:
        self.reads.append(size)
        return super().pread(fd, size, offset)


def test_list_index_and_remove(store: PackStore) -> None:
    packs = [seal(store, [bytes([n])]) for n in range(5)]
    assert list(store.list()) == sorted(pack.id for pack in packs)
    assert list(store.index(packs[0].id)) == list(packs[0].records)
    store.read(packs[0].id, 64, 1)
    store.remove(packs[0].id)
    assert packs[0].id not in list(store.list())
    for act in (
        lambda: store.read(packs[0].id, 64, 1),
        lambda: store.index(packs[0].id),
        lambda: store.remove(packs[0].id),
        lambda: store.read("../../etc/passwd", 0, 1),
        lambda: list(store.read_many("0" * 32, packs[0].records)),
    ):
        with pytest.raises(PackNotFound):
            act()


def test_an_open_pack_is_not_visible(store: PackStore) -> None:
    writer = store.create()
    record = writer.append(1, 0, bytes(32), 1, b"x")
    assert list(store.list()) == []
    with pytest.raises(PackNotFound):
        store.read(writer.id, record.offset, 1)
    writer.discard()


def test_removing_gives_the_disk_space_back(tmp_path: Path) -> None:
    fs = Counting()
    with PackStore(tmp_path / "data", fs) as store:
        pack = seal(store, [b"x"])
        store.read(pack.id, 64, 1)
        assert len(fs.open) == 1
        store.remove(pack.id)
        assert not fs.open


def test_read_many_reads_small_neighbours_at_once_and_keeps_the_order(tmp_path: Path) -> None:
    fs = Counting()
    with PackStore(tmp_path / "data", fs) as store:
        payloads = [os.urandom(1000) for _ in range(100)] + [os.urandom(2**20)] * 2
        pack = seal(store, payloads)
        assert list(store.read_many(pack.id, pack.records)) == payloads
        assert len(fs.reads) == 1 + 2
        shuffled = list(zip(pack.records, payloads, strict=True))
        random.Random(1).shuffle(shuffled)
        got = list(store.read_many(pack.id, [record for record, _ in shuffled]))
        assert got == [payload for _, payload in shuffled]
        assert list(store.read_many(pack.id, [])) == []
        twice = [pack.records[0], pack.records[0]]
        assert list(store.read_many(pack.id, twice)) == [payloads[0]] * 2


def test_runs_are_bounded() -> None:
    records, offset = [], 64
    for _ in range(200):
        records.append(Record(1, 0, bytes(32), 100_000, 100_000, offset))
        offset = records[-1].end
    runs = list(coalesce(records))
    assert [record for run in runs for record in run] == records
    assert all(run[-1].payload_end - run[0].offset <= 4 * 2**20 for run in runs)
    assert len(runs) == 5


def test_many_threads_share_two_open_files(tmp_path: Path) -> None:
    fs = Counting()
    with PackStore(tmp_path / "data", fs, open_files=2) as store:
        contents = [[random.Random(f"{p}.{n}").randbytes(3000) for n in range(8)] for p in range(6)]
        packs = [seal(store, payloads) for payloads in contents]

        def read(seed: int) -> None:
            rng = random.Random(seed)
            for _ in range(150):
                at = rng.randrange(6)
                if rng.random() < 0.2:
                    assert list(store.read_many(packs[at].id, packs[at].records)) == contents[at]
                else:
                    n = rng.randrange(8)
                    record = packs[at].records[n]
                    payload = store.read(packs[at].id, record.offset, record.stored_size, record.digest)
                    assert payload == contents[at][n]

        with ThreadPoolExecutor(8) as pool:
            list(pool.map(read, range(8)))
        assert len(fs.open) == 2
        assert fs.most <= 2 + 8 + 1
    assert not fs.open


def test_a_pack_is_readable_while_it_is_sealed(store: PackStore) -> None:
    for _ in range(10):
        writer = store.create()
        records = [writer.append(1, 0, bytes(32), 1000, bytes([n]) * 1000) for n in range(20)]
        failures: list[BaseException] = []

        def read(writer=writer, records=records, failures=failures) -> None:
            try:
                for n in range(300):
                    assert writer.read(records[n % 20]) == bytes([n % 20]) * 1000
            except BaseException as error:
                failures.append(error)
                raise

        threads = [Thread(target=read) for _ in range(3)]
        for thread in threads:
            thread.start()
        writer.seal()
        for thread in threads:
            thread.join()
        assert not failures

"""What is acknowledged survives; what is not is invisible or complete: whatever fails, wherever."""

import errno
import itertools
import random
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from faults import FaultyDisk, FaultyFileSystem, Killed, MemoryFileSystem, Recording, new_record, random_cut

from regsvc.store import FileSystem, PackStore, StoreFull, check

ROOT = Path("/data")
FAULTS = ["eio", "enospc", "dead", "late", "short", "full", "kill"]
SEED = 20260101
Acked = dict[str, list[bytes]]


def payloads(pack: int) -> list[bytes]:
    rng = random.Random(pack)
    return [rng.randbytes(size) for size in (700, 1, 2048, 0, 333)]


def work(root: Path, fs: FileSystem, acked: Acked, gone: set[str]) -> None:
    """Seal three packs and remove the first; an error costs its pack, a kill ends it all."""
    with PackStore(root, fs) as store:
        store.recover()
        for number in range(3):
            try:
                writer = store.create()
            except (OSError, StoreFull):
                continue
            try:
                first, *rest = payloads(number)
                record = writer.append(1, 0, new_record(first).digest, len(first), first)
                assert writer.read(record) == first
                writer.append_many(map(new_record, rest))
                writer.seal()
            except (OSError, StoreFull):
                discard(writer)
                continue
            acked[writer.id] = payloads(number)
        for pack_id in sorted(acked)[:1]:
            gone.add(pack_id)
            del acked[pack_id]
            store.remove(pack_id)


def discard(writer) -> None:
    with suppress(OSError):
        writer.discard()


def run(root: Path, fs: FileSystem, acked: Acked, gone: set[str]) -> None:
    with suppress(OSError, StoreFull, Killed):
        work(root, fs, acked, gone)


def check_promise(root: Path, fs: FileSystem, acked: Acked, *, rounds: int = 2) -> None:
    """Recovery, run as often as one likes, leaves every acknowledged pack whole and nothing partial."""
    for _ in range(rounds):
        with PackStore(root, fs) as store:
            store.recover()
            found = list(store.list())
            assert set(acked) <= set(found)
            assert fs.listdir(root / "packs" / "open") == []
            for pack_id in found:
                assert check(fs, store.path(pack_id)) == []
                records = store.index(pack_id)
                got = list(store.read_many(pack_id, records))
                assert [new_record(each).digest for each in got] == [each.digest for each in records]
                if pack_id in acked:
                    assert got == acked[pack_id]


def operations_of(make) -> int:
    fs = make()
    fs.arm("", 0)
    run(ROOT, fs, {}, set())
    return fs.operations


def restarted(fs: MemoryFileSystem) -> MemoryFileSystem:
    """The same disk under a new process: nothing is lost, no file is open."""
    return MemoryFileSystem(fs.root)


def test_work_without_a_fault_leaves_nothing_dirty_and_closes_every_file() -> None:
    fs, acked = FaultyDisk(), {}
    run(ROOT, fs, acked, set())
    assert len(acked) == 2
    assert fs.open_count() == 0
    assert not fs.dirty
    assert not fs.closed_dirty
    check_promise(ROOT, fs.power_cut(lambda: False), acked)


@pytest.mark.parametrize("fault", FAULTS)
def test_promise_holds_whichever_operation_fails(fault: str) -> None:
    for fail_at in range(1, operations_of(FaultyDisk) + 1):
        fs, acked, gone = FaultyDisk(), {}, set()
        fs.arm(fault, fail_at)
        run(ROOT, fs, acked, gone)
        check_promise(ROOT, restarted(fs), acked, rounds=1)
        assert_removed_or_whole(fs, gone)
        if fault not in {"kill", "dead"}:
            assert fs.open_count() == 0, fail_at


def assert_removed_or_whole(fs: MemoryFileSystem, gone: set[str]) -> None:
    after = restarted(fs)
    for pack_id in gone:
        path = ROOT / "packs" / pack_id[:2] / f"{pack_id}.pack"
        assert not after.exists(path) or check(after, path) == []


@pytest.mark.parametrize("fault", ["eio", "full", "kill"])
def test_promise_holds_on_real_files(fault: str, tmp_path: Path) -> None:
    total = operations_of(FaultyDisk)
    for fail_at in range(5, total + 1, 4):
        root, fs, acked = tmp_path / str(fail_at), FaultyFileSystem(), {}
        fs.arm(fault, fail_at)
        run(root, fs, acked, set())
        if fault == "kill":
            release_lock(root, fs)
        check_promise(root, FileSystem(), acked, rounds=1)


def release_lock(root: Path, fs: FaultyFileSystem) -> None:
    """`with` closed it: closing is no operation that fails. Prove that by taking it."""
    fs.arm("", 0)
    fs.close(fs.lock(root / "lock"))


def states(fs: MemoryFileSystem, rng: random.Random) -> Iterator[MemoryFileSystem]:
    """The disks that a power cut may leave: all of them up to 5 unsynced changes, else 32, and cut writes."""
    count = fs.unsynced()
    if count <= 5:
        choices = list(itertools.product((False, True), repeat=count))
    else:
        choices = [(False,) * count, (True,) * count]
        choices += [tuple(rng.random() < 0.5 for _ in range(count)) for _ in range(30)]
    for choice in choices:
        # A directory that is lost hides what is below it, so not every choice is asked for.
        yield fs.power_cut(iter(choice).__next__)
    for _ in range(6):
        yield fs.power_cut(lambda: rng.random() < 0.7, random_cut(rng))


def test_promise_holds_after_a_power_cut_at_every_operation() -> None:
    rng = random.Random(SEED)
    for fail_at in range(1, operations_of(FaultyDisk) + 2):
        fs, acked = FaultyDisk(), {}
        fs.arm("kill", fail_at)
        run(ROOT, fs, acked, set())
        for disk in states(fs, rng):
            check_promise(ROOT, disk, acked, rounds=1)


def crashed_disk() -> tuple[FaultyDisk, str]:
    """A disk with one acknowledged pack and one open pack whose last record is torn."""
    fs = FaultyDisk()
    store = PackStore(ROOT, fs)
    sealed = store.create()
    sealed.append_many(map(new_record, payloads(0)))
    sealed.seal()
    writer = store.create()
    writer.append_many(map(new_record, payloads(1)))
    fs.write_all(writer._fd, [b"RGR1 torn"], writer.size)
    after = FaultyDisk(fs.root)
    return after, sealed.id


@pytest.mark.parametrize("fault", FAULTS)
def test_recovery_may_fail_anywhere_and_run_again(fault: str) -> None:
    for fail_at in itertools.count(1):
        fs, sealed = crashed_disk()
        fs.arm(fault, fail_at)
        try:
            with PackStore(ROOT, fs) as store:
                store.recover()
        except (OSError, StoreFull, Killed):
            pass
        done = fs.operations < fail_at
        after = restarted(fs)
        check_promise(ROOT, after, {sealed: payloads(0)}, rounds=1)
        with PackStore(ROOT, after) as store:
            others = [each for each in store.list() if each != sealed]
            assert len(others) == 1 or fault in {"full", "enospc"}
            for other in others:
                assert list(store.read_many(other, store.index(other))) == payloads(1)
        if done:
            return


def test_what_recovery_returns_and_lists_survives_a_power_cut() -> None:
    fs, sealed = crashed_disk()
    renamed = PackStore(ROOT, fs)
    writer = renamed.create()
    writer.append_many(map(new_record, payloads(2)))
    fs.arm("kill", 4)  # footer, fsync, rename, and no fsync of the directories
    with pytest.raises(Killed):
        writer.seal()
    after = restarted(fs)
    with PackStore(ROOT, after) as store:
        (recovered,) = store.recover()
        listed = list(store.list())
    assert {recovered.id, writer.id, sealed} == set(listed)
    dark = after.power_cut(lambda: False)
    assert dark.listdir(ROOT / "packs" / "open") == []
    check_promise(
        ROOT,
        dark,
        {sealed: payloads(0), recovered.id: payloads(1), writer.id: payloads(2)},
    )


def test_a_removed_pack_stays_removed_after_a_power_cut() -> None:
    fs = FaultyDisk()
    with PackStore(ROOT, fs) as store:
        writer = store.create()
        writer.append_many(map(new_record, payloads(0)))
        writer.seal()
        store.remove(writer.id)
    with PackStore(ROOT, fs.power_cut(lambda: False)) as store:
        assert list(store.list()) == []


def test_discard_removes_what_a_failed_rename_left() -> None:
    fs = FaultyDisk()
    with PackStore(ROOT, fs) as store:
        writer = store.create()
        writer.append_many(map(new_record, payloads(0)))
        fs.arm("late", 3)  # footer, fsync, rename
        with pytest.raises(OSError, match="Input/output"):
            writer.seal()
        assert list(store.list()) == [writer.id]
        writer.discard()
        assert list(store.list()) == fs.listdir(ROOT / "packs" / "open") == []


def test_a_pack_under_both_names_keeps_the_sealed_file(tmp_path: Path) -> None:
    with PackStore(tmp_path / "data") as store:
        writer = store.create()
        writer.append_many(map(new_record, payloads(0)))
        writer.seal()
        path = store.path(writer.id)
    before = path.stat()
    left = tmp_path / "data" / "packs" / "open" / path.name
    left.write_bytes(path.read_bytes()[:900])
    with PackStore(tmp_path / "data") as store:
        assert store.recover() == []
        assert not left.exists()
        assert (path.stat().st_ino, path.stat().st_size) == (before.st_ino, before.st_size)


def test_a_pack_whose_fsync_failed_is_copied_not_synced_again() -> None:
    fs = FaultyDisk()
    store = PackStore(ROOT, fs)
    writer = store.create()
    writer.append_many(map(new_record, payloads(0)))
    fs.arm("eio", 2)
    with pytest.raises(OSError, match="Input/output"):
        writer.seal()
    assert len(fs.failed) == 1
    store.close()
    with PackStore(ROOT, fs) as again:  # `Recording` would raise on a second fsync of the file
        (saved,) = again.recover()
        assert saved.id == writer.id
    check_promise(ROOT, fs.power_cut(lambda: False), {saved.id: payloads(0)})


def test_a_full_disk_costs_recovery_the_open_pack_not_the_start(monkeypatch: pytest.MonkeyPatch) -> None:
    fs, sealed = crashed_disk()
    store = PackStore(ROOT, fs)
    monkeypatch.setattr(fs, "pwritev", no_room)
    assert store.recover() == []
    assert list(store.list()) == [sealed]
    assert fs.listdir(ROOT / "packs" / "open") == []


def no_room(*_: object) -> int:
    raise OSError(errno.ENOSPC, "no room")


def test_the_watchful_file_system_sees_a_dirty_rename() -> None:
    class Careless(Recording, MemoryFileSystem):
        pass

    fs = Careless()
    fd = fs.create(Path("/a"))
    fs.write_all(fd, [b"x"], 0)
    with pytest.raises(AssertionError, match="renamed"):
        fs.rename(Path("/a"), Path("/b"))

"""The door does what the kernel says, whole."""

import os
import subprocess
import sys
import textwrap
from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regsvc.store import AlreadyLocked, FileSystem, PackStore


class Stingy(FileSystem):
    """Writes at most a few bytes a call, which POSIX allows."""

    def __init__(self, most: int) -> None:
        self.most = most

    def pwritev(self, fd: int, buffers: Sequence[bytes | memoryview], offset: int) -> int:
        return os.pwrite(fd, b"".join(buffers)[: self.most], offset)


@given(st.lists(st.binary(max_size=9), max_size=12), st.integers(1, 20), st.integers(0, 5))
def test_write_all_survives_short_writes(buffers: list[bytes], most: int, offset: int) -> None:
    fs, fd = Stingy(most), os.memfd_create("short")
    try:
        whole = b"".join(buffers)
        assert fs.write_all(fd, buffers, offset) == len(whole)
        assert fs.pread(fd, len(whole), offset) == whole
    finally:
        fs.close(fd)


def test_write_all_takes_more_buffers_than_one_call() -> None:
    fs, fd = FileSystem(), os.memfd_create("many")
    buffers = [bytes([number % 251]) for number in range(5000)]
    assert fs.write_all(fd, iter(buffers), 0) == 5000
    assert fs.pread(fd, 5000, 0) == b"".join(buffers)
    fs.close(fd)


def test_write_all_refuses_to_spin() -> None:
    fd = os.memfd_create("none")
    with pytest.raises(OSError, match="no progress"):
        Stingy(0).write_all(fd, [b"x"], 0)
    os.close(fd)


def test_pread_past_the_end_is_an_error_not_fewer_bytes(tmp_path: Path) -> None:
    fs = FileSystem()
    fd = fs.create(tmp_path / "file")
    fs.write_all(fd, [b"abc"], 0)
    assert fs.pread(fd, 0, 3) == b""
    with pytest.raises(EOFError):
        fs.pread(fd, 2, 2)
    fs.close(fd)


def test_mkdirs_syncs_the_parent_even_if_nothing_was_missing(tmp_path: Path) -> None:
    synced = []

    class Watching(FileSystem):
        def fsync_dir(self, path: Path) -> None:
            synced.append(path)
            super().fsync_dir(path)

    for _ in range(2):
        Watching().mkdirs(tmp_path, ["a", "b"])
    assert synced == [tmp_path, tmp_path]
    (tmp_path / "file").touch()
    with pytest.raises(FileExistsError):
        Watching().mkdirs(tmp_path, ["file"])


def test_create_refuses_an_existing_name(tmp_path: Path) -> None:
    fs = FileSystem()
    fs.close(fs.create(tmp_path / "file"))
    with pytest.raises(FileExistsError):
        fs.create(tmp_path / "file")


def run_python(code: str, *arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-c", textwrap.dedent(code), *map(str, arguments)],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_two_processes_cannot_share_a_data_directory(tmp_path: Path) -> None:
    code = """
        import sys, pathlib
        from regsvc.store import AlreadyLocked, PackStore
        try:
            PackStore(pathlib.Path(sys.argv[1]))
        except AlreadyLocked as error:
            print(error.pid)
    """
    with PackStore(tmp_path / "data"):
        assert run_python(code, tmp_path / "data").stdout.strip() == str(os.getpid())
        with pytest.raises(AlreadyLocked):
            PackStore(tmp_path / "data")
    assert run_python(code, tmp_path / "data").stdout == ""


def test_a_killed_process_leaves_no_lock(tmp_path: Path) -> None:
    code = """
        import os, signal, sys, pathlib
        from regsvc.store import PackStore
        store = PackStore(pathlib.Path(sys.argv[1]))
        os.kill(os.getpid(), signal.SIGKILL)
    """
    assert run_python(code, tmp_path / "data").returncode == -9
    PackStore(tmp_path / "data").close()


def test_a_full_disk_is_store_full_and_costs_only_the_open_pack(tmp_path: Path) -> None:
    code = """
        import pathlib, resource, sys
        from regsvc.store import PackStore, PoisonedPack, StoreFull
        store = PackStore(pathlib.Path(sys.argv[1]))
        whole = store.create()
        record = whole.append(1, 0, bytes(32), 1000, b"x" * 1000)
        print(whole.seal().id)
        full = store.create()
        resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
        try:
            for _ in range(3):
                full.append(1, 0, bytes(32), 1 << 19, bytes(1 << 19))
        except StoreFull:
            print("full", len(full.records))
        try:
            full.seal()
        except PoisonedPack:
            print("poisoned")
        assert full.read(full.records[0]) == bytes(1 << 19)
        full.discard()
        assert store.read(whole.id, record.offset, 1000) == b"x" * 1000
    """
    result = run_python(code, tmp_path / "data")
    assert result.returncode == 0, result.stderr
    pack_id, *rest = result.stdout.split()
    assert rest == ["full", "1", "poisoned"]
    with PackStore(tmp_path / "data") as store:
        assert store.recover() == []
        assert list(store.list()) == [pack_id]

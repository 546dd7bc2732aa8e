"""When there is no room, the cache gives up and the pull goes on."""

from __future__ import annotations

import errno
import os
import resource
from collections.abc import Iterator
from pathlib import Path

import pytest

from regsvc.client.cache import Cache

from .cached_files import BIG, Sample, random_bytes, sample, take, version_digest


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def copying(monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache on another file system than what is pulled."""
    monkeypatch.setattr("regsvc.client.linking.reflink", lambda source, dest: False)
    monkeypatch.setattr("regsvc.client.linking.hardlink", lambda source, dest: False)


@pytest.fixture
def small_disk() -> Iterator[None]:
    """No file may grow beyond 100,000 bytes: the kernel writes up to there and then fails, as when a disk is full."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.fixture
def files(tmp_path: Path) -> list[Sample]:
    return [sample(tmp_path / str(size), random_bytes(size, size)) for size in (100, 90_000, BIG)]


def left(home: Path) -> list[Path]:
    return [path for path in home.glob("*/**/*") if path.is_file()]


def test_a_full_disk_stops_the_insertion_only(
    home: Path, files: list[Sample], copying: None, small_disk: None
) -> None:
    with Cache(home).using() as entries:
        assert entries is not None
        assert not entries.add(version_digest(1), "team/a:1", (file.proven() for file in files))
        assert entries.added == 0
        assert left(home) == []
        assert entries.add(version_digest(2), "team/a:2", [files[1].proven()])


def test_a_copy_leaves_room_for_others(
    home: Path, files: list[Sample], copying: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    system = os.statvfs(home.parent)
    nearly_full = os.statvfs_result((*system[:4], system.f_blocks // 25, *system[5:]))
    monkeypatch.setattr(os, "statvfs", lambda path: nearly_full)
    with Cache(home).using() as entries:
        assert entries is not None
        assert not entries.add(version_digest(1), "team/a:1", (file.proven() for file in files))
    assert left(home) == []


@pytest.mark.parametrize("failing", ["replace", "utime"])
def test_an_insertion_that_fails_at_its_end_leaves_nothing(
    home: Path, files: list[Sample], monkeypatch: pytest.MonkeyPatch, failing: str
) -> None:
    with Cache(home).using() as entries:
        assert entries is not None

        def fail(*args: object, **kwargs: object) -> None:
            raise OSError(errno.ENOSPC, "no space left")

        with monkeypatch.context() as patch:
            patch.setattr(os, failing, fail)
            assert not entries.add(version_digest(1), "team/a:1", (file.proven() for file in files))
        assert list((home / "files").glob("*/*")) == []
        assert entries.add(version_digest(1), "team/a:1", (file.proven() for file in files))


def test_a_destination_without_room_is_the_pull_s_own_trouble(
    home: Path, files: list[Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cache gives nothing, and the pull finds out why when it writes."""

    def full(source: int, dest: str) -> bool:
        raise OSError(errno.ENOSPC, "no space left", dest)

    with Cache(home).using() as entries:
        assert entries is not None
        entries.add(version_digest(1), "team/a:1", (file.proven() for file in files))
        monkeypatch.setattr("regsvc.client.linking.reflink", full)
        entries._reflinks = True
        assert entries.link(files[2].digest, BIG, str(tmp_path / "out")) is None
        monkeypatch.undo()
        assert take(entries, files[2].digest, BIG, tmp_path / "out")

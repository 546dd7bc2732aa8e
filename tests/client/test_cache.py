"""The cache: what goes in comes out, it stays within its limit, and a pull can do without it."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from support import wait_until

from regsvc.client.cache import Cache, Pruned, cache, parse_size, settings
from regsvc.client.cache.layout import Layout
from regsvc.errors import InvalidArgument

from .cached_files import BIG, Sample, has_reflinks, random_bytes, sample, take, version_digest


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "cache"


def stored(home: Path) -> set[str]:
    return {path.name for path in (home / "files").glob("*/*")}


def add(chosen: Cache, name: str, *files: Sample) -> bool:
    with chosen.using() as entries:
        assert entries is not None
        return entries.add(version_digest(name), name, (file.proven() for file in files))


def references(chosen: Cache) -> list[tuple[str, ...]]:
    return [each.references for each in chosen.contents().versions]


@pytest.mark.parametrize("size", [1, 4096, 64 << 10, (64 << 10) + 1, BIG])
@pytest.mark.parametrize("hardlink", [False, True])
def test_what_goes_in_comes_out(home: Path, tmp_path: Path, size: int, hardlink: bool) -> None:
    file = sample(tmp_path / "pulled", random_bytes(size, size))
    assert add(Cache(home), "team/a:1", file)
    file.path.unlink()
    with Cache(home).using() as entries:
        assert entries is not None
        mode = take(entries, file.digest, size, tmp_path / "out", hardlink=hardlink)
    reflinked = has_reflinks(tmp_path) and size > 64 << 10
    assert mode == ("reflink" if reflinked else "hardlink" if hardlink else "copy")
    assert (tmp_path / "out").read_bytes() == file.data


def test_what_is_not_there_is_not_given(home: Path, tmp_path: Path) -> None:
    with Cache(home).using() as entries:
        assert entries is not None
        assert entries.link(bytes(32), BIG, str(tmp_path / "out"), hardlink=True) is None
        assert entries.find(bytes(32), BIG) is None
        assert entries.find_chunks({bytes(32): 5}) == {}
        entries.forget(bytes(32))
        entries.touch(bytes(32))
    assert not (tmp_path / "out").exists()


def test_an_existing_destination_is_left_alone(home: Path, tmp_path: Path) -> None:
    file = sample(tmp_path / "pulled", random_bytes(1, BIG))
    add(Cache(home), "team/a:1", file)
    (tmp_path / "out").write_bytes(b"mine")
    with Cache(home).using() as entries:
        assert entries is not None
        assert entries.link(file.digest, BIG, str(tmp_path / "out"), hardlink=True) is None
    assert (tmp_path / "out").read_bytes() == b"mine"


def test_filling_the_cache_costs_no_second_copy(home: Path, tmp_path: Path) -> None:
    if has_reflinks(tmp_path):
        pytest.skip("here files share extents, not inodes")
    files = [sample(tmp_path / str(size), random_bytes(size, size)) for size in (100, BIG)]
    add(Cache(home), "team/a:1", *files)
    for file in files:
        with Cache(home).using() as entries:
            assert entries is not None
            found = entries.find(file.digest, file.size)
        assert found is not None
        assert os.path.samefile(found, file.path)


def test_a_file_system_without_links_gets_copies(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("regsvc.client.linking.reflink", lambda source, dest: False)
    monkeypatch.setattr("regsvc.client.linking.hardlink", lambda source, dest: False)
    file = sample(tmp_path / "pulled", random_bytes(1, BIG))
    assert add(Cache(home), "team/a:1", file)
    file.path.write_bytes(b"edited")
    with Cache(home).using() as entries:
        assert entries is not None
        assert take(entries, file.digest, file.size, tmp_path / "out", hardlink=True) == "copy"
    assert (tmp_path / "out").read_bytes() == file.data
    assert not list((home / "incoming").iterdir())


def test_empty_and_equal_files_take_no_room_of_their_own(home: Path, tmp_path: Path) -> None:
    files = [sample(tmp_path / "empty", b""), sample(tmp_path / "a", b"abc"), sample(tmp_path / "b", b"abc")]
    add(Cache(home), "team/a:1", *files)
    assert stored(home) == {files[1].digest.hex()}
    (listed,) = Cache(home).contents().versions
    assert (listed.files, listed.bytes) == (1, 3)


def test_adding_again_adds_nothing(home: Path, tmp_path: Path) -> None:
    files = [sample(tmp_path / str(size), random_bytes(size, size)) for size in (100, BIG)]
    add(Cache(home), "team/a:1", *files)
    before = {path: path.stat().st_ino for path in home.glob("*/*/*")}
    with Cache(home).using() as entries:
        assert entries is not None
        assert entries.add(version_digest("team/a:1"), "team/a:1", (file.proven() for file in files))
        assert entries.added == 0
    assert {path: path.stat().st_ino for path in home.glob("*/*/*")} == before


def test_a_version_has_all_names_it_was_asked_for_by(home: Path, tmp_path: Path) -> None:
    file = sample(tmp_path / "a", b"abc")
    with Cache(home).using() as entries:
        assert entries is not None
        for name in ("team/a:1", "team/b:7", "team/a:1"):
            entries.add(version_digest(1), name, [file.proven()])
    assert references(Cache(home)) == [("team/b:7", "team/a:1")]


def test_parts_of_a_version_add_up(home: Path, tmp_path: Path) -> None:
    parts = [sample(tmp_path / name, name.encode()) for name in ("left", "right")]
    for part in parts:
        add(Cache(home), "team/a:1", part)
    (listed,) = Cache(home).contents().versions
    assert listed.files == 2
    Cache(home).prune()
    assert stored(home) == {part.digest.hex() for part in parts}


def test_a_version_beyond_the_limit_is_not_kept(home: Path, tmp_path: Path) -> None:
    small, large = sample(tmp_path / "s", b"s" * 100), sample(tmp_path / "l", random_bytes(1, BIG))
    assert add(Cache(home, BIG), "team/small:1", small)
    assert not add(Cache(home, BIG), "team/large:1", sample(tmp_path / "t", b"t" * 100), large)
    assert stored(home) == {small.digest.hex()}
    assert references(Cache(home)) == [("team/small:1",)]


def test_the_least_recently_used_goes_first(home: Path, tmp_path: Path) -> None:
    limit = 3 * (320 << 10)
    for number in range(3):
        add(Cache(home, limit), f"team/a:{number}", sample(tmp_path / "f", random_bytes(number, BIG)))
        (tmp_path / "f").unlink()
    with Cache(home, limit).using() as entries:
        assert entries is not None
        entries.touch(version_digest("team/a:0"))
    add(Cache(home, limit), "team/a:3", sample(tmp_path / "f", random_bytes(3, BIG)))
    assert references(Cache(home)) == [("team/a:3",), ("team/a:0",), ("team/a:2",)]
    assert len(stored(home)) == len(list((home / "notes").glob("*/*"))) == 3
    assert Cache(home).contents().bytes <= limit


def test_a_file_stays_while_a_version_names_it(home: Path, tmp_path: Path) -> None:
    shared = sample(tmp_path / "shared", random_bytes("shared", BIG))
    for number in range(2):
        own = sample(tmp_path / "own", random_bytes(number, BIG))
        add(Cache(home), f"team/a:{number}", shared, own)
        (tmp_path / "own").unlink()
    assert Cache(home).contents().files == 3
    assert Cache(home).prune(2 * (300 << 10)) == Pruned(versions=1, files=1, bytes=BIG)
    assert stored(home) == {shared.digest.hex(), own.digest.hex()}


def test_tiny_files_count_as_blocks(home: Path, tmp_path: Path) -> None:
    files = [sample(tmp_path / str(number), str(number).encode()) for number in range(10)]
    assert not add(Cache(home, 10 * 4096 - 1), "team/a:1", *files)
    assert add(Cache(home, 10 * 4096), "team/a:1", *files)
    assert Cache(home).contents().bytes == 10 * 4096


def test_pruning_sweeps_what_the_killed_left(home: Path, tmp_path: Path) -> None:
    kept = sample(tmp_path / "kept", random_bytes("kept", BIG))
    orphan = sample(tmp_path / "orphan", random_bytes("orphan", BIG))
    add(Cache(home), "team/a:1", kept)
    add(Cache(home), "team/a:2", orphan)
    layout = Layout(str(home))
    os.unlink(layout.version(version_digest("team/a:2")))
    Path(layout.incoming()).write_bytes(b"half")
    (home / "versions" / f"{bytes(32).hex()}.json").write_text('{"half": ')
    assert Cache(home).prune() == Pruned(versions=1, files=1, bytes=BIG)
    assert stored(home) == {kept.digest.hex()}
    assert len(list((home / "notes").glob("*/*"))) == 1
    assert not list((home / "incoming").iterdir())


def test_nothing_disappears_under_a_pull(home: Path, tmp_path: Path) -> None:
    add(Cache(home), "team/a:1", sample(tmp_path / "a", b"abc"))
    with Cache(home).using() as entries:
        assert entries is not None
        assert Cache(home).prune(0) is None
        assert len(stored(home)) == 1
    assert Cache(home).prune(0) == Pruned(1, 1, 3)


def test_pruning_waits_for_a_pull_when_asked_to(home: Path, tmp_path: Path) -> None:
    add(Cache(home), "team/a:1", sample(tmp_path / "a", b"abc"))
    done: list[Pruned | None] = []
    pruning = threading.Thread(target=lambda: done.append(Cache(home).prune(0, wait=60)))
    with Cache(home).using():
        pruning.start()
        assert Cache(home).prune(0) is None
        assert not done
    wait_until(lambda: done, what="pruning")
    pruning.join()
    assert done == [Pruned(1, 1, 3)]


def test_a_pull_does_without_a_cache_that_is_being_pruned(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import fcntl

    with Cache(home).using():
        pass
    monkeypatch.setattr(cache, "PATIENCE", 0.05)
    with open(home / "lock", "rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with Cache(home).using() as entries:
            assert entries is None
    with Cache(home).using() as entries:
        assert entries is not None


@pytest.mark.parametrize(
    "spoil",
    [
        pytest.param(lambda home: home.write_bytes(b""), id="a file in its place"),
        pytest.param(lambda home: (home.mkdir(), (home / "files").write_bytes(b"")), id="a file within"),
        pytest.param(lambda home: (home.mkdir(), home.chmod(0o777)), id="others may write"),
        pytest.param(lambda home: (home.mkdir(), (home / "lock").mkdir()), id="no lock"),
    ],
)
def test_an_unusable_cache_is_off(home: Path, tmp_path: Path, spoil: Callable[[Path], object]) -> None:
    spoil(home)
    file = sample(tmp_path / "a", random_bytes(1, BIG))
    with Cache(home).using() as entries:
        if entries is not None:  # it may only show later
            assert not entries.add(version_digest(1), "team/a:1", [file.proven()])
            assert take(entries, file.digest, file.size, tmp_path / "out") is None


def test_errors_of_the_pull_itself_pass(home: Path) -> None:
    with pytest.raises(ConnectionError), Cache(home).using():
        raise ConnectionError
    assert Cache(home).prune() is not None


def test_an_absent_cache_is_empty_and_stays_absent(home: Path) -> None:
    assert Cache(home).contents().versions == ()
    assert Cache(home).prune(0) == Pruned(0, 0, 0)
    assert Cache(home).verify().damaged == ()
    assert not home.exists()


def test_backup_programs_skip_it(home: Path) -> None:
    with Cache(home).using():
        pass
    assert (home / "CACHEDIR.TAG").read_bytes().startswith(b"Signature: 8a477f597d28d172789f06886806bc55\n")
    assert home.stat().st_mode & 0o777 == 0o700


@pytest.mark.parametrize(
    ("environ", "path"),
    [
        ({"REGSVC_CACHE": "/c", "XDG_CACHE_HOME": "/x"}, "/c"),
        ({"XDG_CACHE_HOME": "/x"}, "/x/regsvc"),
        ({"XDG_CACHE_HOME": "relative"}, os.path.realpath(os.path.expanduser("~/.cache/regsvc"))),
        ({"REGSVC_CACHE": ""}, os.path.realpath(os.path.expanduser("~/.cache/regsvc"))),
        ({"REGSVC_CACHE": "off"}, None),
    ],
)
def test_where_it_is(environ: dict[str, str], path: str | None) -> None:
    assert settings.cache_path(environ) == path


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("1048576", 1 << 20),
        ("512B", 512),
        ("20GiB", 20 << 30),
        ("20 gib", 20 << 30),
        ("20G", 20 << 30),
        ("20GB", 20 * 10**9),
        ("1.5KiB", 1536),
    ],
)
def test_sizes(text: str, size: int) -> None:
    assert parse_size(text) == size
    assert settings.cache_limit({"REGSVC_CACHE_SIZE": text}) == size


@pytest.mark.parametrize("text", ["", "GiB", "-1", "1XB", "1e9", "ten", "1 2", "1" * 30])
def test_what_is_no_size(text: str) -> None:
    with pytest.raises(ValueError, match="is no size"):
        parse_size(text)
    if text:
        with pytest.raises(InvalidArgument, match="REGSVC_CACHE_SIZE"):
            settings.cache_limit({"REGSVC_CACHE_SIZE": text})


def test_the_environment_can_switch_it_off(monkeypatch: pytest.MonkeyPatch, home: Path) -> None:
    monkeypatch.setenv("REGSVC_CACHE", str(home))
    monkeypatch.setenv("REGSVC_CACHE_SIZE", "5MiB")
    chosen = Cache.default()
    assert chosen is not None
    assert (chosen.path, chosen.limit) == (str(home), 5 << 20)
    monkeypatch.setenv("REGSVC_CACHE_SIZE", "0")
    assert Cache.default() is None
    monkeypatch.delenv("REGSVC_CACHE_SIZE")
    monkeypatch.setenv("REGSVC_CACHE", "off")
    assert Cache.default() is None

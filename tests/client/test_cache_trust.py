"""No cached byte is believed blindly: what was edited, cut, forged or lost never comes out."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from regsvc.client.cache import Cache, Entries, entries, notes
from regsvc.client.cache.layout import Layout

from .cached_files import BIG, Sample, has_reflinks, random_bytes, sample, take, version_digest

SMALL = 4096


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "cache"


@pytest.fixture
def held(home: Path) -> Iterator[Entries]:
    with Cache(home).using() as chosen:
        assert chosen is not None
        yield chosen


@pytest.fixture
def cached(held: Entries, tmp_path: Path) -> dict[int, Sample]:
    """A file of each size, in the cache."""
    files = {size: sample(tmp_path / f"pulled{size}", random_bytes(size, size)) for size in (SMALL, BIG)}
    assert held.add(version_digest(1), "team/a:1", (file.proven() for file in files.values()))
    return files


def path_of(held: Entries, file: Sample) -> Path:
    found = held.find(file.digest, file.size)
    assert found is not None
    return Path(found)


def flip(path: Path, *, keep_time: bool = False) -> None:
    """Change one byte in place, as an editor of a hardlinked file does."""
    status = path.stat()
    with open(path, "r+b") as file:
        file.seek(status.st_size // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 1]))
    if keep_time:
        os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))


def forbid_reading(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(descriptor: int, size: int) -> bytes:
        raise AssertionError("it was read")

    monkeypatch.setattr(entries, "hash_file", fail)


@pytest.mark.parametrize("size", [SMALL, BIG])
@pytest.mark.parametrize("hardlink", [False, True])
def test_an_edit_in_place_is_noticed(
    held: Entries, cached: dict[int, Sample], tmp_path: Path, size: int, hardlink: bool
) -> None:
    file = cached[size]
    flip(path_of(held, file))
    assert take(held, file.digest, size, tmp_path / "out", hardlink=hardlink) is None
    assert not (tmp_path / "out").exists()
    assert held.find(file.digest, size) is None


@pytest.mark.parametrize("size", [SMALL, BIG])
def test_an_edit_that_keeps_the_time_is_noticed_by_hashing(
    held: Entries, cached: dict[int, Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    monkeypatch.setattr("regsvc.client.linking.reflink", lambda source, dest: False)
    flip(path_of(held, cached[size]), keep_time=True)
    assert take(held, cached[size].digest, size, tmp_path / "out") is None
    assert held.find(cached[size].digest, size) is None


@pytest.mark.parametrize("size", [SMALL, BIG])
@pytest.mark.parametrize("length", [0, 100, BIG + 1])
def test_a_file_of_another_size_is_dropped(
    held: Entries, cached: dict[int, Sample], tmp_path: Path, size: int, length: int
) -> None:
    path = path_of(held, cached[size])
    os.truncate(path, length)
    assert held.link(cached[size].digest, size, str(tmp_path / "out"), hardlink=True) is None
    assert held.find(cached[size].digest, size) is None
    assert not path.exists()


def test_an_edit_right_after_it_was_cached_is_noticed(held: Entries, tmp_path: Path) -> None:
    for number in range(20):
        file = sample(tmp_path / str(number), random_bytes(number, BIG))
        held.add(version_digest(number), "team/a:1", [file.proven()])
        flip(path_of(held, file))
        assert held.link(file.digest, BIG, str(tmp_path / "out"), hardlink=True) is None


@pytest.mark.parametrize("shared", ["by the pull that filled the cache", "by one that takes it out"])
def test_a_file_is_shared_only_when_the_clock_has_moved_on(
    held: Entries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, shared: str
) -> None:
    """On kernels whose clock stands still between ticks an edit would leave the mtime that was noted."""
    waited: list[int] = []
    settle = notes.settle

    def settle_and_look(status: os.stat_result) -> None:
        settle(status)
        waited.append(time.time_ns() - status.st_mtime_ns)

    monkeypatch.setattr(notes, "settle", settle_and_look)
    monkeypatch.setattr("regsvc.client.linking.reflink", lambda source, dest: False)
    file = sample(tmp_path / "pulled", random_bytes(1, BIG))
    if shared == "by one that takes it out":
        with monkeypatch.context() as patch:
            patch.setattr("regsvc.client.linking.hardlink", lambda source, dest: False)
            held.add(version_digest(1), "team/a:1", [file.proven()])
        assert not waited
        assert held.link(file.digest, BIG, str(tmp_path / "out"), hardlink=True)
    else:
        held.add(version_digest(1), "team/a:1", [file.proven()])
    assert waited
    assert min(waited) >= 20_000_000


def test_an_unchanged_file_is_linked_unread(
    held: Entries, cached: dict[int, Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forbid_reading(monkeypatch)
    assert held.link(cached[BIG].digest, BIG, str(tmp_path / "out"), hardlink=True)


@pytest.mark.parametrize("why", ["touched", "restarted", "no note", "damaged note"])
def test_what_a_note_does_not_vouch_for_is_read(
    held: Entries, cached: dict[int, Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, why: str
) -> None:
    file, layout = cached[BIG], Layout(str(tmp_path / "cache"))
    note = Path(layout.path("notes", file.digest))
    if why == "touched":
        os.utime(path_of(held, file))
    elif why == "restarted":
        monkeypatch.setattr(notes, "_boot", lambda: b"\1" * 16)
    elif why == "no note":
        note.unlink()
    else:
        flip(note)
    assert held.link(file.digest, BIG, str(tmp_path / "out"), hardlink=True)
    if why in {"touched", "restarted"}:  # then there is a note to renew
        forbid_reading(monkeypatch)
        assert held.link(file.digest, BIG, str(tmp_path / "out2"), hardlink=True)


def test_a_note_with_any_bit_wrong_is_none(held: Entries, cached: dict[int, Sample], tmp_path: Path) -> None:
    note = Path(Layout(str(tmp_path / "cache")).path("notes", cached[BIG].digest))
    good = note.read_bytes()
    assert notes.read(str(note)) is not None
    for at in range(len(good)):
        note.write_bytes(good[:at] + bytes([good[at] ^ 1]) + good[at + 1 :])
        assert notes.read(str(note)) is None
        note.write_bytes(good[:at])
        assert notes.read(str(note)) is None


def test_what_a_power_cut_left_is_not_linked(
    held: Entries, cached: dict[int, Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flip(path_of(held, cached[BIG]), keep_time=True)
    monkeypatch.setattr(notes, "_boot", lambda: b"\1" * 16)
    assert held.link(cached[BIG].digest, BIG, str(tmp_path / "out"), hardlink=True) is None


def test_without_a_boot_id_no_note_is_trusted(
    held: Entries, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(notes, "_boot", lambda: bytes(16))
    file = sample(tmp_path / "pulled", random_bytes(1, BIG))
    held.add(version_digest(1), "team/a:1", [file.proven()])
    flip(path_of(held, file), keep_time=True)
    assert held.link(file.digest, BIG, str(tmp_path / "out"), hardlink=True) is None


def test_a_file_changed_while_it_is_linked_is_not_given(
    held: Entries, cached: dict[int, Sample], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    link = os.link

    def edit_and_link(source: str, dest: str) -> None:
        flip(Path(source))
        link(source, dest)

    monkeypatch.setattr("regsvc.client.linking.reflink", lambda source, dest: False)
    monkeypatch.setattr(os, "link", edit_and_link)
    assert held.link(cached[BIG].digest, BIG, str(tmp_path / "out"), hardlink=True) is None
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("size", [SMALL, BIG])
def test_a_dropped_file_comes_back_with_the_next_pull(
    held: Entries, cached: dict[int, Sample], tmp_path: Path, size: int
) -> None:
    flip(path_of(held, cached[size]))
    held.link(cached[size].digest, size, str(tmp_path / "out"), hardlink=True)
    again = sample(tmp_path / "again", cached[size].data)
    assert held.add(version_digest(1), "team/a:1", [again.proven()])
    assert take(held, again.digest, size, tmp_path / "out", hardlink=True)
    assert (tmp_path / "out").read_bytes() == again.data


def test_an_edited_file_is_replaced_by_the_next_pull(
    held: Entries, cached: dict[int, Sample], tmp_path: Path
) -> None:
    flip(path_of(held, cached[BIG]))
    again = sample(tmp_path / "again", cached[BIG].data)
    assert held.add(version_digest(1), "team/a:1", [again.proven()])
    assert take(held, again.digest, BIG, tmp_path / "out", hardlink=True)
    assert (tmp_path / "out").read_bytes() == again.data


def test_a_file_that_is_not_what_was_proven_is_not_kept(held: Entries, home: Path, tmp_path: Path) -> None:
    good = sample(tmp_path / "good", random_bytes("good", BIG))
    bad = sample(tmp_path / "bad", random_bytes("bad", BIG))
    os.truncate(bad.path, 5)
    assert not held.add(version_digest(1), "team/a:1", [good.proven(), bad.proven()])
    assert not list((home / "files").glob("*/*"))
    assert not list((home / "versions").iterdir())


def test_reflinked_files_do_not_change_with_the_cache(
    held: Entries, cached: dict[int, Sample], tmp_path: Path
) -> None:
    if not has_reflinks(tmp_path):
        pytest.skip("no reflinks here")
    assert held.link(cached[BIG].digest, BIG, str(tmp_path / "out")) == "reflink"
    flip(cached[BIG].path)
    flip(tmp_path / "out")
    assert path_of(held, cached[BIG]).read_bytes() == cached[BIG].data


LIES = [
    "../../../outside",
    "/etc/passwd",
    "ab/../../../../outside",
    "AB" * 32,
    "ab" * 31,
    "",
    "é" * 64,
]


@pytest.mark.parametrize("lie", LIES)
def test_a_list_that_names_anything_but_digests_counts_for_nothing(
    home: Path, tmp_path: Path, lie: str
) -> None:
    outside = tmp_path / "outside"
    outside.write_bytes(b"mine")
    with Cache(home).using():
        pass
    listing = home / "versions" / f"{bytes(32).hex()}.json"
    listing.write_text(json.dumps({"references": ["team/a:1"], "files": {lie: 4}}))
    assert Cache(home).contents().versions == ()
    assert Cache(home).prune(0) is not None
    assert outside.read_bytes() == b"mine"
    assert not listing.exists()


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "null",
        '{"references": [], "files": []}',
        '{"references": 5, "files": {}}',
        '{"references": [], "files": {"%s": -1}}' % ("ab" * 32),
        '{"references": [], "files": {"%s": true}}' % ("ab" * 32),
        '{"references": [], "files": {"%s": 1e3}}' % ("ab" * 32),
        "[" * 100_000,
        "\udcff",
    ],
    ids=lambda text: text[:40],
)
def test_a_list_that_is_none_counts_for_nothing(home: Path, text: str) -> None:
    with Cache(home).using() as chosen:
        assert chosen is not None
        (home / "versions" / f"{bytes(32).hex()}.json").write_bytes(text.encode(errors="surrogateescape"))
        assert chosen.find_chunks({bytes(32): 5}) == {}
    assert Cache(home).contents().versions == ()
    assert Cache(home).prune() is not None
    assert not list((home / "versions").iterdir())


def test_references_that_would_disturb_a_terminal_are_left_out(home: Path) -> None:
    with Cache(home).using():
        pass
    document = {"references": ["\x1b[2J", "x" * 1000, 5, "team/a:1"], "files": {"ab" * 32: 5}}
    (home / "versions" / f"{bytes(32).hex()}.json").write_text(json.dumps(document))
    assert [each.references for each in Cache(home).contents().versions] == [("team/a:1",)]


def test_pruning_removes_only_what_is_named_like_ours(home: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    victim = outside / ("ab" * 32)
    victim.write_bytes(b"mine")
    with Cache(home).using():
        pass
    (home / "files" / "ab").symlink_to(outside)
    foreign = ["files/a.txt", "files/cd/a.txt", f"files/cd/{'ef' * 32}", "incoming/a.txt", "versions/a.json"]
    (home / "files" / "cd").mkdir()
    for name in foreign:
        (home / name).write_bytes(b"mine")
    assert Cache(home).prune(0) is not None
    assert victim.exists()
    assert [name for name in foreign if not (home / name).exists()] == []


def test_a_symlink_in_the_place_of_a_file_is_not_followed(
    held: Entries, cached: dict[int, Sample], tmp_path: Path
) -> None:
    for size, file in cached.items():
        path = path_of(held, file)
        path.rename(tmp_path / f"moved{size}")
        path.symlink_to(tmp_path / f"moved{size}")
        assert held.link(file.digest, size, str(tmp_path / "out"), hardlink=True) is None
        assert held.find(file.digest, size) is None


def test_verifying_finds_and_drops_what_is_damaged(home: Path, tmp_path: Path) -> None:
    files = [sample(tmp_path / str(number), random_bytes(number, BIG)) for number in range(3)]
    with Cache(home).using() as chosen:
        assert chosen is not None
        chosen.add(version_digest(1), "team/a:1", (file.proven() for file in files))
        flip(path_of(chosen, files[0]), keep_time=True)
        os.truncate(path_of(chosen, files[1]), 5)
    read: list[int] = []
    verified = Cache(home).verify(read.append)
    assert verified.files == 3
    assert verified.bytes == read[-1] == 2 * BIG + 5
    assert set(verified.damaged) == {files[0].digest.hex(), files[1].digest.hex()}
    assert Cache(home).verify().damaged == ()
    assert [path.name for path in (home / "files").glob("*/*")] == [files[2].digest.hex()]

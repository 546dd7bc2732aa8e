"""Archives that are damaged, truncated or half written: they say where, and nothing half comes in."""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from registries import bytes_of, difference, everything, fill, write_files
from support import Server, run_cli, wait_until

import regsvc


@pytest.fixture(scope="module")
def archived(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[dict[str, object], bytes]]:
    """A registry as it was seen, and its archive."""
    folder = tmp_path_factory.mktemp("archived")
    server = Server(folder / "data").start()
    try:
        fill(server.endpoint, folder / "f")
        server.cli("export", "--all", str(folder / "a.regsvc"))
        yield everything(server.endpoint), (folder / "a.regsvc").read_bytes()
    finally:
        server.stop()


def records(data: bytes) -> list[tuple[int, int]]:
    """Where the records of an archive begin and end."""
    found, position = [], 16
    while position < len(data):
        end = position + 5 + int.from_bytes(data[position + 1 : position + 5], "little") + 32
        found.append((position, end))
        position = end
    return found


def import_bytes(server: Server, folder: Path, data: bytes) -> subprocess.CompletedProcess[str]:
    path = folder / "damaged.regsvc"
    path.write_bytes(data)
    return server.cli("import", "archive", str(path), check=False)


def only_whole(seen: dict[str, object], there: dict[str, object]) -> None:
    """Every version and build that is there is as it was seen, whole."""
    for name in there:
        parts = name.split(" ")[0].split("/")
        if parts[4:5] in (["versions"], ["builds"]) and "lineage" not in name:
            head = "/".join(parts[:6])
            mine = {key for key in there if key.split(" ")[0] == head and " " in key}
            assert mine <= seen.keys()
            for key in (f"{head} record", f"{head} log"):
                assert there.get(key) == seen.get(key)
            files = {key for key in seen if key.startswith(f"{head} ") and isinstance(seen[key], tuple)}
            assert {key: there.get(key) for key in files} == {key: seen[key] for key in files}


def test_a_truncated_archive_says_where_and_a_whole_one_completes_it(
    archived: tuple[dict[str, object], bytes], start_server: Callable[..., Server], tmp_path: Path
) -> None:
    seen, data = archived
    server = start_server()
    cuts = [*random.Random(1).sample(records(data), 6), records(data)[-1]]
    for begin, end in cuts:
        for cut in (begin, begin + 3, (begin + end) // 2, end - 1):
            done = import_bytes(server, tmp_path, data[:cut])
            assert done.returncode == 1, cut
            assert f"the archive is truncated: it ends within a record at byte {begin}" in done.stderr
            only_whole(seen, everything(server.endpoint))
    assert import_bytes(server, tmp_path, data).returncode == 0
    assert difference(seen, everything(server.endpoint)) == {}


def test_a_flipped_bit_is_found_where_it_is(
    archived: tuple[dict[str, object], bytes], start_server: Callable[..., Server], tmp_path: Path
) -> None:
    seen, data = archived
    server = start_server()
    chance = random.Random(2)
    for begin, end in chance.sample(records(data), 8):
        place = chance.randrange(begin, end)
        damaged = bytearray(data)
        damaged[place] ^= 1 << chance.randrange(8)
        done = import_bytes(server, tmp_path, bytes(damaged))
        assert done.returncode == 1, place
        assert f"at byte {begin}" in done.stderr, place
        only_whole(seen, everything(server.endpoint))
    assert import_bytes(server, tmp_path, data).returncode == 0
    assert difference(seen, everything(server.endpoint)) == {}


def test_records_that_were_exchanged_or_left_out_are_found(
    archived: tuple[dict[str, object], bytes], server: Server, tmp_path: Path
) -> None:
    """Each is sound in itself: what tells is the chain of digests."""
    _, data = archived
    places = records(data)
    (a, b), (c, d) = places[2], places[3]
    exchanged = data[:a] + data[c:d] + data[a:b] + data[d:]
    left_out = data[:a] + data[b:]
    twice = data + data[places[-1][0] :]
    for changed in (exchanged, left_out, twice):
        done = import_bytes(server, tmp_path, changed)
        assert done.returncode == 1
        assert "the archive is damaged" in done.stderr


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "the archive is truncated: it ends within its beginning"),
        (b"PK\x03\x04" + bytes(100), "this is no archive of regsvc"),
        (b"regsvc archive 2" + bytes(100), "the archive has a newer format than this regsvc reads"),
        (b"regsvc archive 1", "the archive is truncated"),
        (b"regsvc archive 1" + b"H\xff\xff\xff\xff", "the archive is damaged: no record at byte 16"),
        (b"regsvc archive 1" + bytes(200), "the archive is damaged: no record at byte 16"),
    ],
)
def test_what_is_no_archive_is_refused(server: Server, tmp_path: Path, data: bytes, said: str) -> None:
    done = import_bytes(server, tmp_path, data)
    assert (done.returncode, said in done.stderr) == (1, True), done.stderr
    assert done.stderr.count("\n") == 1


def test_a_damaged_archive_through_a_pipe(archived: tuple[dict[str, object], bytes], server: Server) -> None:
    _, data = archived
    command = [sys.executable, "-m", "regsvc", "import", "archive", "-"]
    done = subprocess.run(
        command,
        input=data[: len(data) // 2],
        capture_output=True,
        env={**os.environ, "REGSVC_ENDPOINT": server.endpoint},
        timeout=120,
        check=False,
    )
    assert done.returncode == 1
    assert b"the archive is truncated" in done.stderr


def test_an_export_that_was_killed_goes_on(start_server: Callable[..., Server], tmp_path: Path) -> None:
    source, target = start_server(), start_server()
    with regsvc.connect(source.endpoint) as client:
        for number in range(12):
            folder = write_files(tmp_path / "x", {"w.bin": bytes_of(4 << 20, number)})
            client.push(folder, "fraud")
    archive, partial = tmp_path / "a.regsvc", tmp_path / "a.regsvc.partial"
    command = [sys.executable, "-m", "regsvc", "export", "fraud", str(archive)]
    process = subprocess.Popen(command, env={**os.environ, "REGSVC_ENDPOINT": source.endpoint})
    wait_until(lambda: archive.exists() or (partial.exists() and partial.stat().st_size > 15 << 20))
    process.kill()
    process.wait()
    if not archive.exists():  # it may have been faster
        with partial.open("ab") as file:
            file.write(b"half a record")
    again = json.loads(source.cli("export", "fraud", str(archive), "--json").stdout)
    assert again["bytes_sent"] < 40 << 20
    assert not partial.exists()
    target.cli("import", "archive", str(archive))
    assert difference(everything(source.endpoint), everything(target.endpoint)) == {}


def test_a_partial_file_of_another_export_is_begun_anew(server: Server, tmp_path: Path) -> None:
    with regsvc.connect(server.endpoint) as client:
        client.push(write_files(tmp_path / "x", {"a": b"a"}), "one")
        client.push(write_files(tmp_path / "x", {"a": b"b"}), "two")
    archive = tmp_path / "a.regsvc"
    server.cli("export", "one", str(archive))
    archive.rename(tmp_path / "a.regsvc.partial")
    server.cli("export", "two", str(archive))
    assert b"models/one" not in archive.read_bytes()
    assert b"models/two" in archive.read_bytes()
    (tmp_path / "a.regsvc.partial").write_bytes(b"something else")
    server.cli("export", "two", str(archive))


def test_a_full_disk_ends_an_export_and_leaves_the_old_archive(server: Server, tmp_path: Path) -> None:
    with regsvc.connect(server.endpoint) as client:
        client.push(write_files(tmp_path / "x", {"a": b"a"}), "one")
    done = run_cli("export", "one", "/dev/full/x", endpoint=server.endpoint, check=False)
    assert done.returncode == 1
    archive = tmp_path / "a.regsvc"
    archive.write_bytes(b"the old one")
    limited = f"ulimit -f 0; exec {sys.executable} -m regsvc export one {archive}"
    done = subprocess.run(
        ["/bin/sh", "-c", limited],
        env={**os.environ, "REGSVC_ENDPOINT": server.endpoint},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert archive.read_bytes() == b"the old one"

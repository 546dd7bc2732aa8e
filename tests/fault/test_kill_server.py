"""kill -9 of the server: what was acknowledged is there and right, what was not goes on from where it was."""

from __future__ import annotations

import queue
import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import suppress

import grpc
from blake3 import blake3
from server.wire import LIMIT, PIECE, Wire, chunk_message, file_messages, lines, name_of, recipe, stored_bytes
from support import Server, run_cli, wait_until

from regsvc.v1 import artifact_pb2 as art
from regsvc.v1 import build_pb2 as bld

DATA = random.Random(6).randbytes(100 << 20)


def test_a_write_file_goes_on_after_a_kill(server: Server) -> None:
    fed: queue.SimpleQueue[art.WriteFileRequest | None] = queue.SimpleQueue()
    with Wire(server) as wire:
        kept = wire.push("k/kept", {"a": DATA[: 3 << 20]})
        upload = wire.start("k/file")
        call = wire.artifacts.WriteFile.future(iter(fed.get, None), timeout=LIMIT)
        for message in file_messages(upload, "a", DATA, finish=False, size=len(DATA)):
            fed.put(message)
        wait_until(lambda: durable_pieces(server) > 20, what="a pack of the upload in the catalog")
        server.kill()
        fed.put(None)
        assert call.code() == grpc.StatusCode.UNAVAILABLE
    server.start()
    with Wire(server) as wire:
        assert wire.read_version(kept.name) == {"a": DATA[: 3 << 20]}
        [file] = wire.upload(upload).files
        assert 0 < file.committed_size < len(DATA)
        assert not file.complete
        rest = file_messages(upload, "a", DATA, file.committed_size, digest=blake3(DATA).hexdigest())
        done = wire.artifacts.WriteFile(rest, timeout=LIMIT).file
        assert done.complete
        version = wire.commit(upload)
        assert blake3(wire.read_file(version.name, "a")).digest() == blake3(DATA).digest()
        assert version.number == 1


def durable_pieces(server: Server) -> int:
    """Pieces of unfinished files that the catalog remembers."""
    connection = sqlite3.connect(f"file:{server.data}/catalog.sqlite?mode=ro", uri=True)
    try:
        return int(connection.execute("SELECT count(*) FROM upload_chunks").fetchone()[0])
    finally:
        connection.close()


def test_write_chunks_send_only_what_is_missing_after_a_kill(server: Server) -> None:
    chunks = [DATA[i << 20 : (i + 1) << 20] for i in range(12)]
    digests = [blake3(chunk).digest() for chunk in chunks]
    fed: queue.SimpleQueue[art.WriteChunksRequest | None] = queue.SimpleQueue()
    with Wire(server) as wire:
        upload = wire.start("k/chunks")
        call = wire.artifacts.WriteChunks.future(iter(fed.get, None), timeout=LIMIT)
        for chunk in chunks[:8]:
            fed.put(chunk_message(upload, chunk))
        wait_until(lambda: stored_bytes(server.data) > 6 << 20, what="chunks in the open pack")
        server.kill()
        fed.put(None)
        assert call.code() == grpc.StatusCode.UNAVAILABLE
    server.start()
    with Wire(server) as wire:
        missing = wire.missing(upload, digests)
        # What stood whole in the open pack was saved at the start.
        assert set(missing) <= set(range(6, 12))
        for position in missing:
            wire.write_chunks(chunk_message(upload, chunks[position]))
        whole = b"".join(chunks)
        part = recipe("f", *chunks, digest=blake3(whole).hexdigest())
        wire.write_chunks(art.WriteChunksRequest(upload=upload, recipes=[part]))
        assert wire.read_version(wire.commit(upload).name) == {"f": whole}


def test_every_acknowledged_version_verifies_after_many_kills(server: Server) -> None:
    acknowledged: dict[str, dict[str, bytes]] = {}
    rng = random.Random(7)
    for turn in range(3):
        with Wire(server) as wire:
            for _ in range(4):
                files = {f"{n}.bin": rng.randbytes(rng.randrange(300_000)) for n in range(3)}
                acknowledged[wire.push("k/many", files, aliases=["newest"]).name] = files
            open_upload = wire.start("k/many")
            wire.write_file(open_upload, "never committed", rng.randbytes(100_000))
        server.kill()
        server.start()
        with Wire(server) as wire:
            assert wire.versions("k/many") == list(range(4 * (turn + 1), 0, -1))
            for name, files in acknowledged.items():
                assert wire.read_version(name) == files


def test_acknowledged_log_lines_survive_a_kill_and_the_publisher_goes_on(server: Server) -> None:
    fed: queue.SimpleQueue[bld.AppendLogRequest | None] = queue.SimpleQueue()
    committed = 0
    with Wire(server) as wire:
        build = wire.create_build("k/log")
        call = wire.builds.AppendLog(iter(fed.get, None), timeout=LIMIT)
        fed.put(bld.AppendLogRequest(build=build))
        for seq in range(1, 301):
            fed.put(bld.AppendLogRequest(lines=lines(seq, b"line %d" % seq)))
        for ack in call:
            committed = ack.committed_seq
            if committed > 100:
                break
        server.kill()
        fed.put(None)
    server.start()
    with Wire(server) as wire:
        [first, *_] = wire.builds.AppendLog(iter([bld.AppendLogRequest(build=build)]), timeout=LIMIT)
        assert first.committed_seq >= committed
        resumed = lines(committed + 1, *[b"line %d" % seq for seq in range(committed + 1, 301)])
        assert wire.append(build, resumed) == 300
        expected = [(seq, b"line %d" % seq) for seq in range(1, 301)]
        assert [(line.seq, line.text) for line in wire.log(build)] == expected
        wire.finish(build)
        wait_until(lambda: wire.build(build).log_digest, what="the sealed log")
    server.kill()
    server.start()
    with Wire(server) as wire:
        assert [(line.seq, line.text) for line in wire.log(build, follow=True)] == expected


def test_leases_do_not_run_while_the_server_is_down(start_server: Callable[..., Server]) -> None:
    server = start_server("--upload-lease", "1.5", "--build-lease", "1.5")
    with Wire(server) as wire:
        build, upload = wire.create_build("k/lease"), wire.start("k/lease")
        wire.write_file(upload, "a", b"1")
        before = wire.upload(upload).expire_time.ToMicroseconds()
    server.kill()
    wait_until(lambda: now_us() > before, what="the old end of the leases")
    server.start()
    with Wire(server) as wire:
        wire.builds.Heartbeat(bld.HeartbeatRequest(build=build), timeout=LIMIT)
        assert wire.upload(upload).state == art.UPLOAD_STATE_OPEN
        wire.write_file(upload, "a", b"1")
        assert wire.commit(upload).number == 1


def now_us() -> int:
    import time

    return time.time_ns() // 1000


def test_orphan_and_torn_packs_are_saved_and_strange_files_left_alone(
    start_server: Callable[..., Server],
) -> None:
    donor, heir = start_server(), start_server()
    data = DATA[: 4 << 20]
    with Wire(donor) as wire:
        version = wire.push("k/orphan", {"a": data}).name
        request = art.ReadManifestRequest(version=version, include_chunks=True)
        [message] = wire.artifacts.ReadManifest(request, timeout=LIMIT)
        digests = [chunk.digest for chunk in message.files[0].chunks]
    donor.stop()
    heir.stop()
    [pack] = [path for path in (donor.data / "packs").rglob("*.pack") if path.stat().st_size > 1 << 20]
    orphan = heir.data / pack.relative_to(donor.data)
    shutil.copy(pack, orphan)
    (heir.data / "packs" / "00" / ("00" + "f" * 30 + ".pack")).write_bytes(b"this is no pack")
    (heir.data / "packs" / "open" / ("11" + "f" * 30 + ".pack")).write_bytes(b"nor is this")
    (heir.data / "packs" / "open" / "notes.txt").write_bytes(b"somebody's")
    heir.start()
    with Wire(heir) as wire:
        assert wire.missing(wire.start("k/heir"), digests) == []
    heir.stop()
    orphan.unlink()
    shutil.rmtree(heir.data)
    heir.start()
    heir.stop()
    torn = heir.data / "packs" / "open" / pack.name
    torn.write_bytes(pack.read_bytes()[: 2 << 20])
    heir.start()
    with Wire(heir) as wire:
        upload = wire.start("k/heir")
        missing = wire.missing(upload, digests)
        assert 0 < len(missing) < len(digests)
        wire.write_file(upload, "a", data, digest=blake3(data).hexdigest())
        assert wire.read_version(wire.commit(upload).name) == {"a": data}
    assert not torn.exists()


def test_a_second_server_on_the_same_directory_is_refused(server: Server) -> None:
    done = run_cli(
        "serve", "--data", str(server.data), "--listen", "127.0.0.1:0", endpoint="127.0.0.1:1", check=False
    )
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    [line] = done.stderr.strip().splitlines()
    assert str(server.data) in line
    with Wire(server) as wire:
        wire.push("k/alive", {"a": b"1"})


def damage(server: Server, *, at: int, keep: Callable[[int], bool] = lambda size: size > 500_000) -> None:
    """Flip one byte of the large pack."""
    [pack] = [path for path in (server.data / "packs").rglob("*.pack") if keep(path.stat().st_size)]
    content = bytearray(pack.read_bytes())
    content[at] ^= 1
    pack.write_bytes(content)


def pieces(data: bytes) -> Iterator[bytes]:
    for start in range(0, len(data), PIECE):
        yield data[start : start + PIECE]


def test_a_damaged_chunk_is_told_and_healed_by_the_next_push(server: Server) -> None:
    data = DATA[: 4 << 20]
    chunks = list(pieces(data))
    with Wire(server) as wire:
        upload = wire.start("k/damage")
        wire.write_chunks(*[chunk_message(upload, chunk) for chunk in chunks])
        wire.write_chunks(art.WriteChunksRequest(upload=upload, recipes=[recipe("a", *chunks)]))
        version = wire.commit(upload).name
        assert wire.read_version(version) == {"a": data}
        damage(server, at=(1 << 20) + (1 << 19))
        with wire.refused("DATA_LOSS", "CHUNK_DAMAGED"):
            wire.read_file(version, "a")
        assert wire.read_file(version, "a", 0, 1 << 20) == chunks[0]
        ranges = [art.FileRange(path="a")]
        with wire.refused("DATA_LOSS", "CHUNK_DAMAGED"):
            list(
                wire.artifacts.ReadChunks(
                    art.ReadChunksRequest(version=version, ranges=ranges), timeout=LIMIT
                )
            )
        healing = wire.start("k/damage")
        digests = [blake3(chunk).digest() for chunk in chunks]
        [lost] = wire.missing(healing, digests)
        with wire.refused("FAILED_PRECONDITION", "CHUNKS_MISSING"):
            wire.write_chunks(art.WriteChunksRequest(upload=healing, recipes=[recipe("a", *chunks)]))
        whole = recipe("a", *chunks, digest=blake3(data).hexdigest())
        wire.write_chunks(chunk_message(healing, chunks[lost], recipes=[whole]))
        second = wire.commit(healing)
        assert second.name == f"{name_of('k/damage')}/versions/2"
        assert wire.read_version(version) == {"a": data}
        assert wire.read_version(second.name) == {"a": data}


def test_a_pack_that_is_gone_reads_as_damaged_and_heals(server: Server) -> None:
    data = DATA[: 3 << 20]
    with Wire(server) as wire:
        version = wire.push("k/gone", {"a": data}).name
    server.stop()
    [pack] = [path for path in (server.data / "packs").rglob("*.pack") if path.stat().st_size > 1 << 20]
    pack.unlink()
    server.start()
    with Wire(server) as wire:
        for _ in range(12):
            with suppress(grpc.RpcError):
                healed = wire.read_file(version, "a")
                break
            with wire.refused("DATA_LOSS", "CHUNK_DAMAGED"):
                wire.read_file(version, "a")
            wire.push("k/gone", {"a": data})
        assert healed == data

"""Two writers on one file, and leases that lapse."""

from __future__ import annotations

import queue
import random
from collections.abc import Callable

from blake3 import blake3
from server.wire import LIMIT, Wire, chunk_message, file_messages, recipe
from support import Server, wait_until

from regsvc.v1 import artifact_pb2 as art

DATA = random.Random(8).randbytes(4 << 20)


def test_the_newer_write_file_wins_and_the_older_is_told(wire: Wire) -> None:
    upload = wire.start("w/file")
    fed: queue.SimpleQueue[art.WriteFileRequest | None] = queue.SimpleQueue()
    older = wire.artifacts.WriteFile.future(iter(fed.get, None), timeout=LIMIT)
    messages = list(file_messages(upload, "a", DATA))
    fed.put(messages[0])
    wait_until(
        lambda: [f.committed_size for f in wire.upload(upload).files] == [1 << 20], what="the older's bytes"
    )
    newer = wire.artifacts.WriteFile(file_messages(upload, "a", DATA[: 2 << 20], finish=False), timeout=LIMIT)
    assert newer.file.committed_size == 2 << 20
    fed.put(messages[1])
    fed.put(messages[2])
    fed.put(None)
    with wire.refused("ABORTED", "SUPERSEDED") as metadata:
        older.result()
    assert metadata["path"] == "a"
    wire.artifacts.WriteFile(
        file_messages(upload, "a", DATA, 2 << 20, digest=blake3(DATA).hexdigest()), timeout=LIMIT
    )
    assert wire.read_version(wire.commit(upload).name) == {"a": DATA}


def test_the_newer_recipe_wins_and_the_older_does_not_take_the_file_back(wire: Wire) -> None:
    upload = wire.start("w/recipe")
    fed: queue.SimpleQueue[art.WriteChunksRequest | None] = queue.SimpleQueue()
    older = wire.artifacts.WriteChunks.future(iter(fed.get, None), timeout=LIMIT)
    fed.put(chunk_message(upload, b"abc", recipes=[recipe("f", b"abc", finish=False)]))
    wait_until(lambda: wire.upload(upload).files, what="the older's recipe")
    wire.write_chunks(chunk_message(upload, b"def", recipes=[recipe("f", b"def", offset=3, finish=False)]))
    fed.put(chunk_message(upload, b"xyz", recipes=[recipe("f", b"xyz", offset=6)]))
    fed.put(None)
    with wire.refused("ABORTED", "SUPERSEDED"):
        older.result()
    wire.write_chunks(chunk_message(upload, b"ghi", recipes=[recipe("f", b"ghi", offset=6)]))
    assert wire.read_version(wire.commit(upload).name) == {"f": b"abcdefghi"}


def test_several_streams_write_different_files_of_one_upload(wire: Wire) -> None:
    upload = wire.start("w/several")
    calls = [
        wire.artifacts.WriteFile.future(file_messages(upload, f"{n}", DATA[n:], digest=""), timeout=LIMIT)
        for n in range(4)
    ]
    assert all(call.result().file.complete for call in calls)
    assert wire.read_version(wire.commit(upload).name) == {f"{n}": DATA[n:] for n in range(4)}


def test_a_lapsed_lease_ends_the_upload(start_server: Callable[..., Server]) -> None:
    with Wire(start_server("--upload-lease", "0.3")) as wire:
        upload = wire.start("w/lease")
        wire.write_file(upload, "a", b"1")
        request = art.GetUploadRequest(name=upload)
        expires = wire.artifacts.GetUpload(request, timeout=LIMIT).upload.expire_time.ToMicroseconds()

        def lapsed() -> bool:
            import time

            return time.time_ns() // 1000 > expires + 500_000

        wait_until(lapsed, what="the end of the lease")
        for call in (
            lambda: wire.commit(upload),
            lambda: wire.write_file(upload, "a", b"1"),
            lambda: wire.write_chunks(chunk_message(upload, b"1")),
            lambda: wire.missing(upload, [bytes(32)]),
        ):
            with wire.refused("FAILED_PRECONDITION", "LEASE_LAPSED"):
                call()
        wait_until(lambda: wire.upload(upload).state == art.UPLOAD_STATE_EXPIRED, what="EXPIRED")
        with wire.refused("NOT_FOUND", "NOT_FOUND"):
            wire.versions("w/lease")


def test_use_keeps_a_lease_alive(start_server: Callable[..., Server]) -> None:
    with Wire(start_server("--upload-lease", "0.6")) as wire:
        upload = wire.start("w/alive")
        first = wire.upload(upload).expire_time.ToMicroseconds()
        count = 0

        def kept() -> bool:
            nonlocal count
            wire.write_file(upload, f"{count}", b"1")
            count += 1
            return wire.upload(upload).expire_time.ToMicroseconds() > first + 1_200_000

        wait_until(kept, what="twice the lease")
        assert wire.commit(upload).file_count == count

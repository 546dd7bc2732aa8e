"""Many publishers, one model."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from server.wire import Wire, stored_bytes
from support import Server

PUSHES = 64


def test_concurrent_pushes_get_distinct_consecutive_numbers(server: Server) -> None:
    begun = threading.Barrier(PUSHES)
    with Wire(server) as wire:

        def push(number: int) -> tuple[int, int]:
            begun.wait(60)
            return number, wire.push("many/pushes", {"a": b"%d" % number, "same": b"same"}).number

        with ThreadPoolExecutor(PUSHES) as pool:
            made = dict(pool.map(push, range(PUSHES)))
        assert sorted(made.values()) == list(range(1, PUSHES + 1))
        assert wire.versions("many/pushes") == list(range(PUSHES, 0, -1))
        for number, version in list(made.items())[::8]:
            name = f"namespaces/many/models/pushes/versions/{version}"
            assert wire.read_version(name) == {"a": b"%d" % number, "same": b"same"}


def test_one_request_id_from_many_at_once_makes_one_of_each(server: Server) -> None:
    with Wire(server) as wire:

        def at_once(call: Callable[[], str]) -> set[str]:
            begun = threading.Barrier(16)

            def run(_: int) -> str:
                begun.wait(60)
                return call()

            with ThreadPoolExecutor(16) as pool:
                return set(pool.map(run, range(16)))

        [upload] = at_once(lambda: wire.start("many/same", request_id="the-upload"))
        [build] = at_once(lambda: wire.create_build("many/same", request_id="the-build"))
        assert build.endswith("/builds/1")
        wire.write_file(upload, "a", b"1")
        [version] = at_once(lambda: wire.commit(upload, request_id="the-commit").name)
        assert version.endswith("/versions/1")
        assert wire.versions("many/same") == [1]


def test_the_same_content_is_stored_once(server: Server) -> None:
    import random

    from blake3 import blake3

    data = random.Random(5).randbytes(5 << 20)
    with Wire(server) as wire:
        first = wire.push("dedup/one", {"a": data, "b/copy": data})
        before = stored_bytes(server.data)
        assert before < len(data) * 1.1
        second = wire.push("dedup/two", {"a": data, "b/copy": data})
        assert second.digest == first.digest
        assert stored_bytes(server.data) - before < 10_000
        upload = wire.start("dedup/three")
        from regsvc.v1 import artifact_pb2 as art

        request = art.ReadManifestRequest(version=first.name, include_chunks=True)
        [message] = wire.artifacts.ReadManifest(request)
        chunks = [chunk for file in message.files[:1] for chunk in file.chunks]
        assert wire.missing(upload, [chunk.digest for chunk in chunks]) == []
        part = art.RecipePart(path="a", chunks=chunks, finish=True, digest=blake3(data).hexdigest())
        answer = wire.write_chunks(art.WriteChunksRequest(upload=upload, recipes=[part]))
        assert (answer.chunks_stored, answer.bytes_stored) == (0, 0)
        assert wire.read_version(wire.commit(upload).name) == {"a": data}
        assert stored_bytes(server.data) - before < 20_000

"""An upload across restarts: what was acknowledged but not committed may be asked for again, never left out."""

from __future__ import annotations

from collections.abc import Callable

from server.wire import Wire
from support import Server

from regsvc.v1 import artifact_pb2 as art


def test_no_restart_makes_a_version_without_files_that_arrived(start_server: Callable[..., Server]) -> None:
    server = start_server()
    with Wire(server) as wire:
        upload = wire.start("team/parts")
        for path in ("a", "b"):
            assert wire.write_file(upload, path, path.encode() * 1000).complete
    server.kill()
    server.start()
    with Wire(server) as wire:
        assert wire.write_file(upload, "c", b"c" * 1000).complete
        with wire.refused("FAILED_PRECONDITION", "FILES_INCOMPLETE"):
            wire.commit(upload)
        assert sorted(file.path for file in wire.upload(upload).files if not file.complete) == ["a", "b"]
        for path in ("a", "b"):
            assert wire.write_file(upload, path, path.encode() * 1000).complete
        version = wire.commit(upload).name
        assert wire.read_version(version) == {path: path.encode() * 1000 for path in ("a", "b", "c")}


def test_other_bytes_of_a_complete_file_are_refused(shared_server: Server) -> None:
    with Wire(shared_server) as wire:
        upload = wire.start("team/twice")
        assert wire.write_file(upload, "a", b"one" * 1000).complete
        assert wire.write_file(upload, "a", b"one" * 1000).complete
        message = art.WriteFileRequest(upload=upload, path="a", data=b"two" * 1000, finish=True)
        with wire.refused("INVALID_ARGUMENT", "DIGEST_MISMATCH"):
            wire.artifacts.WriteFile(iter([message]), timeout=60)
        version = wire.commit(upload).name
        assert wire.read_version(version) == {"a": b"one" * 1000}


def test_what_a_failed_commit_sealed_is_indexed(shared_server: Server) -> None:
    with Wire(shared_server) as wire:
        build = wire.create_build("team/sealed")
        data = b"sealed for nothing" * 5000
        upload = wire.start("team/sealed", build=build)
        assert wire.write_file(upload, "a", data).complete
        wire.finish(build)
        with wire.refused("FAILED_PRECONDITION", "BUILD_ENDED"):
            wire.commit(upload)
        wire.artifacts.AbortUpload(art.AbortUploadRequest(name=upload), timeout=60)
        again = wire.start("team/sealed")
        with_digest = wire.write_file(again, "a", data)
        assert with_digest.complete
        assert wire.read_version(wire.commit(again).name) == {"a": data}

"""ReadManifest of chosen files."""

from __future__ import annotations

import pytest
from blake3 import blake3
from server.wire import LIMIT, Wire

from regsvc.v1 import artifact_pb2 as art
from regsvc.v1 import capabilities_pb2 as cap

FILES = {"a": b"1", "b/c": b"", "a-b": b"3" * 70_000, "z": b"4"}


@pytest.fixture
def version(wire: Wire) -> str:
    return str(wire.push("chosen/files", FILES).name)


def chosen(wire: Wire, version: str, *paths: str, include_chunks: bool = False) -> list[art.ManifestFile]:
    request = art.ReadManifestRequest(version=version, paths=paths, include_chunks=include_chunks)
    messages = list(wire.artifacts.ReadManifest(request, timeout=LIMIT))
    assert messages[0].version == version
    return [file for message in messages for file in message.files]


def test_each_chosen_file_comes_once_in_manifest_order(wire: Wire, version: str) -> None:
    everything = chosen(wire, version)
    order = [file.path for file in everything]
    found = chosen(wire, version, "z", "a", "a-b", "z", "a", "b/c")
    assert [file.path for file in found] == order
    assert found == everything
    assert [file.path for file in chosen(wire, version, "z", "a-b")] == ["a-b", "z"]


def test_chunks_come_only_when_asked_for(wire: Wire, version: str) -> None:
    assert all(not file.chunks for file in chosen(wire, version, *FILES))
    for file in chosen(wire, version, *FILES, include_chunks=True):
        data = FILES[file.path]
        assert (file.size, file.digest) == (len(data), blake3(data).hexdigest())
        assert [(each.digest, each.size) for each in file.chunks] == (
            [(blake3(data).digest(), len(data))] if data else []
        )


def test_a_file_that_is_not_there_is_named(wire: Wire, version: str) -> None:
    with wire.refused("NOT_FOUND", "NOT_FOUND") as metadata:
        chosen(wire, version, "a", "b")
    assert metadata["path"] == "b"


def test_more_files_than_allowed_are_refused(wire: Wire, version: str) -> None:
    limits = wire.capabilities.GetCapabilities(cap.GetCapabilitiesRequest(), timeout=LIMIT).capabilities
    most = limits.max_read_ranges
    assert len(chosen(wire, version, *["z"] * most)) == 1
    with wire.refused("RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"):
        chosen(wire, version, *["z"] * (most + 1))

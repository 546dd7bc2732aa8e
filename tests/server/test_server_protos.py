"""The contract explains itself: everything in it has a comment, and whatever changes something can be retried."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from google.protobuf import descriptor_pb2

PROTOS = Path(__file__).parents[2] / "protos"
BUF = str(Path(sys.executable).parent / "buf")

RETRIED = {
    # Reading, or a stream or call whose repetition the contract explains at the rpc itself.
    "Heartbeat": "Keeps the build alive",
    "Follow": "a newer one ends the older",
    "FinishStep": "Ending it again with the same state succeeds",
    "LogParams": "a key that exists is replaced",
    "CancelBuild": "Cancelling twice succeeds",
    "FinishBuild": "The same state again succeeds",
    "AbortUpload": "Aborting an aborted upload succeeds",
    "FindMissingChunks": "pins the others",
    "GetUpload": "renews its lease",
    "WriteFile": "may be written again and succeeds",
    "WriteChunks": "What was taken before an error stays",
    "LogRecord": "a field that is set replaces what was there",
    "WriteAttachment": "to retry, send it again",
    "CollectGarbage": "Calling it again collects again",
    "Redeliver": "Called again, it is sent again",
    "TestWebhook": "Called again, it is sent again",
    "Import": "importing again changes nothing",
    "SetMirror": "Called again with the same number it changes nothing",
    "SetTemplate": "setting what it is already changes nothing",
    "DeleteTemplate": "Deleting what is not there succeeds",
    "Work": "It may break and come back at any time",
    "ClaimBuild": "The same runner and session again gets the same answer",
    "AppendLog": "Each response acknowledges all lines up to its number",
}


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> list[descriptor_pb2.FileDescriptorProto]:
    out = tmp_path_factory.mktemp("protos") / "set.binpb"
    command = [BUF, "build", str(PROTOS), "--as-file-descriptor-set", "-o", str(out)]
    subprocess.run(command, check=True, timeout=120)
    found = descriptor_pb2.FileDescriptorSet.FromString(out.read_bytes())
    return [file for file in found.file if file.package == "regsvc.v1"]


def comments(file: descriptor_pb2.FileDescriptorProto) -> dict[tuple[int, ...], str]:
    return {
        tuple(place.path): (place.leading_comments + place.trailing_comments).strip()
        for place in file.source_code_info.location
    }


def described(file: descriptor_pb2.FileDescriptorProto) -> Iterator[tuple[str, tuple[int, ...]]]:
    for i, service in enumerate(file.service):
        yield service.name, (6, i)
        for j, method in enumerate(service.method):
            yield f"{service.name}.{method.name}", (6, i, 2, j)
    for i, message in enumerate(file.message_type):
        yield message.name, (4, i)
    for i, enum in enumerate(file.enum_type):
        yield enum.name, (5, i)


def test_every_service_rpc_message_and_enum_has_a_comment(
    files: list[descriptor_pb2.FileDescriptorProto],
) -> None:
    assert len(files) == len(list((PROTOS / "regsvc" / "v1").glob("*.proto")))
    bare = [name for file in files for name, path in described(file) if not comments(file).get(path)]
    assert bare == []


def test_every_field_of_a_resource_or_request_is_explained(
    files: list[descriptor_pb2.FileDescriptorProto],
) -> None:
    """A field may go without only where its name, or its type's, says all."""
    bare = []
    for file in files:
        known = comments(file)
        for i, message in enumerate(file.message_type):
            if message.options.map_entry:
                continue
            for j, field in enumerate(message.field):
                if message.name.endswith("Response"):
                    continue  # one field, named like its type
                plain = field.type_name.rpartition(".")[2].lower().removesuffix("state") == field.name.rstrip(
                    "s"
                )
                if known.get((4, i, 2, j)) or plain or field.name in PLAIN:
                    continue
                bare.append(f"{message.name}.{field.name}")
    assert bare == []


PLAIN = {
    "page_size",
    "page_token",
    "name",
    "path",
    "description",
    "number",
    "version_count",
    "file_count",
    "create_time",
    "start_time",
    "end_time",
    "update_time",
    "time",
    "state",
    "params",
    "tags",
    "stream",
    "offset",
    "frames",
    "step",
    "cancel_requested",
    "int_value",
    "double_value",
    "bool_value",
    "codec",
    "metadata",
    "aliases",
}
"""Explained once at the service, or by nothing but their names."""


def test_every_change_has_a_request_id_or_a_reason_to_go_without(
    files: list[descriptor_pb2.FileDescriptorProto],
) -> None:
    messages = {message.name: message for file in files for message in file.message_type}
    for file in files:
        known = comments(file)
        for i, service in enumerate(file.service):
            for j, method in enumerate(service.method):
                if method.options.idempotency_level == method.options.NO_SIDE_EFFECTS:
                    continue
                request = messages[method.input_type.rpartition(".")[2]]
                if any(field.name == "request_id" for field in request.field):
                    continue
                said = " ".join(known[6, i, 2, j].split())
                assert RETRIED[method.name] in said, method.name


def _few(field: descriptor_pb2.FieldDescriptorProto) -> bool:
    """A digest, not content."""
    return field.name in ("digest", "digests")


def test_every_rpc_that_can_fail_lists_its_errors(files: list[descriptor_pb2.FileDescriptorProto]) -> None:
    for file in files:
        known = comments(file)
        for i, service in enumerate(file.service):
            for j, method in enumerate(service.method):
                assert "rror" in known[6, i, 2, j], method.name


def test_bulk_messages_carry_one_bytes_field_which_is_last(
    files: list[descriptor_pb2.FileDescriptorProto],
) -> None:
    for file in files:
        for message in file.message_type:
            bulk = [field for field in message.field if field.type == field.TYPE_BYTES and not _few(field)]
            assert len(bulk) <= 1
            assert all(field.number == 15 and field == message.field[-1] for field in bulk), message.name

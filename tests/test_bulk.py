"""The hand-made framing is protobuf's own: same bytes out, everything that protobuf reads in."""

from __future__ import annotations

import pytest
from google.protobuf.message import DecodeError
from hypothesis import given
from hypothesis import strategies as st

from regsvc import bulk
from regsvc.v1 import artifact_pb2 as pb

heads = st.builds(
    pb.WriteFileRequest,
    upload=st.text(max_size=40),
    path=st.text(max_size=300),
    offset=st.integers(0, 2**64 - 1),
    finish=st.booleans(),
    digest=st.text(max_size=64),
    size=st.none() | st.integers(0, 2**64 - 1),
)
decode = bulk.deserializer(pb.WriteFileRequest)


@given(heads, st.lists(st.binary(max_size=400), max_size=4))
def test_the_bytes_are_those_of_the_generated_class(head: pb.WriteFileRequest, payloads: list[bytes]) -> None:
    whole = pb.WriteFileRequest()
    whole.CopyFrom(head)
    whole.data = b"".join(payloads)
    assert bulk.serialize(bulk.Bulk(head, payloads)) == whole.SerializeToString()


@given(heads, st.binary(max_size=400))
def test_what_protobuf_writes_is_read_back(head: pb.WriteFileRequest, data: bytes) -> None:
    whole = pb.WriteFileRequest()
    whole.CopyFrom(head)
    whole.data = data
    message = decode(whole.SerializeToString())
    assert message.head == head
    assert bytes(message.data) == data


def test_data_that_is_not_last_is_read_too() -> None:
    tail = pb.WriteFileRequest(path="p", offset=7).SerializeToString()
    message = decode(pb.WriteFileRequest(data=b"bytes").SerializeToString() + tail)
    assert (message.head.path, message.head.offset, bytes(message.data)) == ("p", 7, b"bytes")


def test_of_repeated_data_the_last_counts() -> None:
    first, second = (pb.WriteFileRequest(data=data).SerializeToString() for data in (b"one", b"two"))
    assert bytes(decode(first + second).data) == b"two"


def test_a_large_payload_is_a_view_of_the_message() -> None:
    encoded = pb.WriteFileRequest(path="p", data=bytes(1 << 20)).SerializeToString()
    assert decode(encoded).data.obj is encoded


@given(st.binary(max_size=60))
def test_what_protobuf_refuses_is_refused(encoded: bytes) -> None:
    try:
        expected = pb.WriteFileRequest.FromString(encoded)
    except DecodeError:
        with pytest.raises(DecodeError):
            decode(encoded)
        return
    message = decode(encoded)
    assert bytes(message.data) == expected.data


def test_endless_varints_are_given_up_at_once() -> None:
    with pytest.raises(DecodeError):
        decode(b"\xff" * 4_000_000)

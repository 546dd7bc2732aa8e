"""kill -9 of the server under points and attachments: what was acknowledged is there once, and whole."""

from __future__ import annotations

import queue
import random
import threading
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import grpc
import pytest
from blake3 import blake3
from server.series import read, summaries
from server.wire import LIMIT, Wire, stored_bytes
from support import Server, wait_until

from regsvc.client.connection import Connection
from regsvc.v1 import build_pb2 as bld
from regsvc.v1 import metric_pb2 as pb
from regsvc.v1 import record_pb2 as rec
from regsvc.v1 import record_pb2_grpc

WRITERS = 4
BATCH = 50
KILLS = 4


def test_acknowledged_points_are_there_exactly_once_after_many_kills(server: Server) -> None:
    with Wire(server) as wire:
        build = wire.create_build("k/points")
        version = wire.push("k/evaluated", {"a": b"1"}).name
    stop = threading.Event()
    acknowledged = [0] * WRITERS
    """Points, by writer."""

    def publish(writer: int) -> None:
        """Points 0, 1, 2 ... of one writer, in calls that the client repeats until they are answered."""
        while not stop.is_set():
            numbers = range(acknowledged[writer], acknowledged[writer] + BATCH)
            values = [(number, float(writer * 1_000_000 + number)) for number in numbers]
            request_id = uuid.uuid4().hex
            if writer % 2:
                points = [bld.MetricPoint(key="m", step=step, value=value) for step, value in values]
                request = bld.LogMetricsRequest(build=build, points=points, request_id=request_id)
                connection.call(connection.builds.LogMetrics, request)
            else:
                some = [pb.EvaluationPoint(key="m", step=step, value=value) for step, value in values]
                asked = pb.AddEvaluationRequest(
                    version=version, source="nightly", points=some, request_id=request_id
                )
                connection.call(connection.metrics.AddEvaluation, asked)
            acknowledged[writer] = numbers.stop

    with Connection(server.endpoint) as connection, ThreadPoolExecutor(WRITERS) as pool:
        publishing = [pool.submit(publish, writer) for writer in range(WRITERS)]
        try:
            for _ in range(KILLS):
                before = list(acknowledged)
                wait_until(
                    lambda before=before: all(  # type: ignore[misc]
                        now > then + 4 * BATCH for now, then in zip(acknowledged, before, strict=True)
                    ),
                    what="points of all writers",
                )
                server.kill()
                server.start()
        finally:
            stop.set()
        for each in publishing:
            each.result(LIMIT)

    with Wire(server) as wire:
        for parent, source, writers in ((build, "", (1, 3)), (version, "nightly", (0, 2))):
            expected = sorted(
                (number, float(writer * 1_000_000 + number))
                for writer in writers
                for number in range(acknowledged[writer])
            )
            assert sorted(read(wire, parent, "m", source=source)) == expected
            summary = summaries(wire, parent)[source, "m"]
            assert summary.count == len(expected)
            assert (summary.min, summary.min_step) == (writers[0] * 1_000_000.0, 0)
            assert summary.max == max(value for _, value in expected)


DATA = random.Random(8).randbytes(40 << 20)


def attachment_messages(owner: str) -> Iterator[rec.WriteAttachmentRequest]:
    yield rec.WriteAttachmentRequest(owner=owner, name="diff", digest=blake3(DATA).hexdigest())
    for start in range(0, len(DATA), 1 << 20):
        yield rec.WriteAttachmentRequest(data=DATA[start : start + (1 << 20)])


@pytest.mark.parametrize("owned_by", ["upload", "build"])
@pytest.mark.parametrize("pieces", [12, 40])
def test_an_attachment_is_whole_or_absent_after_a_kill_and_may_be_sent_again(
    server: Server, owned_by: str, pieces: int
) -> None:
    fed: queue.SimpleQueue[rec.WriteAttachmentRequest | None] = queue.SimpleQueue()
    with Wire(server) as wire:
        build = wire.create_build("k/attached")
        upload = wire.start("k/attached", build)
        owner = upload if owned_by == "upload" else build
        call = record_pb2_grpc.RecordServiceStub(wire.channel).WriteAttachment.future(
            iter(fed.get, None), timeout=LIMIT
        )
        for _, message in zip(range(pieces + 1), attachment_messages(owner), strict=False):
            fed.put(message)
        if pieces == 40:
            fed.put(None)  # all of it is on its way
        wait_until(lambda: stored_bytes(server.data) > 8 << 20, what="chunks of the attachment in a pack")
        server.kill()
        fed.put(None)
        acknowledged = call.code() is grpc.StatusCode.OK
    server.start()
    with Wire(server) as wire:
        records = record_pb2_grpc.RecordServiceStub(wire.channel)
        assert not (acknowledged and pieces < 40)
        if owned_by == "build":
            found = records.GetRecord(rec.GetRecordRequest(name=build), timeout=LIMIT).record.attachments
            assert len(found) <= 1
            assert len(found) == 1 or not acknowledged
            for _ in found:
                assert read_attachment(records, build) == DATA
        made = records.WriteAttachment(attachment_messages(owner), timeout=LIMIT).attachment
        assert (made.size, made.digest) == (len(DATA), blake3(DATA).hexdigest())
        wire.write_file(upload, "a", b"1")
        version = wire.commit(upload).name
        assert read_attachment(records, version) == DATA
        [attachment] = records.GetRecord(rec.GetRecordRequest(name=version), timeout=LIMIT).record.attachments
        assert attachment == made


def test_an_acknowledged_attachment_survives_a_kill(server: Server) -> None:
    with Wire(server) as wire:
        upload = wire.start("k/kept")
        record_pb2_grpc.RecordServiceStub(wire.channel).WriteAttachment(
            attachment_messages(upload), timeout=LIMIT
        )
        server.kill()
    server.start()
    with Wire(server) as wire:
        wire.write_file(upload, "a", b"1")
        version = wire.commit(upload).name
        assert read_attachment(record_pb2_grpc.RecordServiceStub(wire.channel), version) == DATA


def read_attachment(records: record_pb2_grpc.RecordServiceStub, owner: str) -> bytes:
    request = rec.ReadAttachmentRequest(owner=owner, name="diff")
    return b"".join(message.data for message in records.ReadAttachment(request, timeout=LIMIT))

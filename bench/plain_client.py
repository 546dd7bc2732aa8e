"""The simplest client that is still right: generated stubs, WriteFile and ReadFile, nothing else of regsvc.

`plain_client.py push ADDRESS NAMESPACE/MODEL FILE` and `plain_client.py pull ADDRESS VERSION PATH FILE`, where
VERSION is a resource name. Prints {"seconds": ...}.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Iterator

import grpc

from regsvc.v1 import artifact_pb2 as pb
from regsvc.v1 import artifact_pb2_grpc

PIECE = 1 << 20


def push(stub: artifact_pb2_grpc.ArtifactServiceStub, model: str, file: str) -> None:
    """One file as a new version."""
    namespace, _, name = model.partition("/")
    parent = f"namespaces/{namespace}/models/{name}"
    upload = stub.StartUpload(pb.StartUploadRequest(parent=parent)).upload.name
    size = os.path.getsize(file)

    def messages() -> Iterator[pb.WriteFileRequest]:
        yield pb.WriteFileRequest(upload=upload, path=os.path.basename(file), size=size)
        with open(file, "rb") as source:
            for offset in range(0, size, PIECE):
                yield pb.WriteFileRequest(offset=offset, data=source.read(PIECE))
        yield pb.WriteFileRequest(offset=size, finish=True)

    stub.WriteFile(messages())
    stub.CommitUpload(pb.CommitUploadRequest(upload=upload))


def pull(stub: artifact_pb2_grpc.ArtifactServiceStub, version: str, path: str, file: str) -> None:
    """One file of a version."""
    with open(file, "wb") as target:
        for message in stub.ReadFile(pb.ReadFileRequest(version=version, path=path)):
            target.write(message.data)


if __name__ == "__main__":
    options = [("grpc.max_receive_message_length", 8 << 20)]
    with grpc.insecure_channel(sys.argv[2], options=options) as channel:
        started = time.monotonic()
        client = artifact_pb2_grpc.ArtifactServiceStub(channel)
        {"push": push, "pull": pull}[sys.argv[1]](client, *sys.argv[3:])
        print(json.dumps({"seconds": time.monotonic() - started}))

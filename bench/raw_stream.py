"""A gRPC stream that does nothing with its bytes: the bound for push and pull.

`raw_stream.py serve` prints its address; `raw_stream.py up|down ADDRESS BYTES` prints {"seconds": ...}. The
same shapes as regsvc's own: aio server, synchronous client, 1 MiB messages of the generated classes, tuned
malloc in both processes.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Iterator

import grpc

from regsvc.client.tuning import keep_freed_memory
from regsvc.v1 import artifact_pb2 as pb
from regsvc.v1 import artifact_pb2_grpc

_MESSAGE = 1 << 20
_OPTIONS = (("grpc.max_receive_message_length", 8 << 20), ("grpc.max_send_message_length", 8 << 20))


class _Servicer(artifact_pb2_grpc.ArtifactServiceServicer):
    async def WriteFile(
        self, requests: AsyncIterator[pb.WriteFileRequest], context: object
    ) -> pb.WriteFileResponse:
        size = 0
        async for request in requests:
            size += len(request.data)
        return pb.WriteFileResponse(file=pb.UploadFile(committed_size=size))

    async def ReadFile(
        self, request: pb.ReadFileRequest, context: object
    ) -> AsyncIterator[pb.ReadFileResponse]:
        for offset, data in _blocks(request.limit):
            yield pb.ReadFileResponse(offset=offset, data=data)


async def serve() -> None:
    """Serve until SIGTERM."""
    server = grpc.aio.server(options=_OPTIONS)
    artifact_pb2_grpc.add_ArtifactServiceServicer_to_server(_Servicer(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    print(f"listening on 127.0.0.1:{port}", flush=True)
    stop = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
    await stop.wait()
    await server.stop(0)


def transfer(direction: str, address: str, size: int) -> float:
    """Seconds that `size` bytes take, the connection made before."""
    with grpc.insecure_channel(address, options=_OPTIONS) as channel:
        stub = artifact_pb2_grpc.ArtifactServiceStub(channel)
        grpc.channel_ready_future(channel).result(timeout=10)
        started = time.monotonic()
        if direction == "up":
            messages = (pb.WriteFileRequest(offset=offset, data=data) for offset, data in _blocks(size))
            arrived = stub.WriteFile(messages).file.committed_size
        else:
            arrived = sum(len(answer.data) for answer in stub.ReadFile(pb.ReadFileRequest(limit=size)))
        seconds = time.monotonic() - started
    if arrived != size:
        raise SystemExit(f"{arrived} of {size} bytes arrived")
    return seconds


def _blocks(size: int) -> Iterator[tuple[int, bytes]]:
    """Offsets and bytes; always the same random MiB, which costs neither disk nor generator."""
    block = os.urandom(_MESSAGE)
    for offset in range(0, size, _MESSAGE):
        yield offset, block[: size - offset] if size - offset < _MESSAGE else block


def _main() -> None:
    keep_freed_memory()
    if sys.argv[1] == "serve":
        asyncio.run(serve())
    else:
        print(json.dumps({"seconds": transfer(sys.argv[1], sys.argv[2], int(sys.argv[3]))}))


if __name__ == "__main__":
    _main()

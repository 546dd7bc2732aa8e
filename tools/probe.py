"""Exit 0 if the server at HOST:PORT answers its health check with SERVING: `probe.py HOST:PORT [SECONDS]`."""

from __future__ import annotations

import sys

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc


def probe(target: str, seconds: float = 3.0) -> str:
    """The server's state, or why it has none."""
    with grpc.insecure_channel(target) as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        try:
            answer = stub.Check(health_pb2.HealthCheckRequest(), timeout=seconds)
        except grpc.RpcError as error:
            return str(error.code().name)
        return str(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))


if __name__ == "__main__":
    state = probe(sys.argv[1], *map(float, sys.argv[2:3]))
    print(state)
    sys.exit(state != "SERVING")

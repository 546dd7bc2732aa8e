"""What the rate benchmarks run as clients of their own, on the generated stubs, in one event loop each:

    rates_client.py call METHOD COUNT CALLERS SALT     COUNT calls by CALLERS at once on one connection
    rates_client.py follow BUILD COUNT LINES           COUNT followers, each on a connection, until LINES lines came
    rates_client.py idle BUILD COUNT                   COUNT followers, until stdin ends
    rates_client.py publish BUILD LINES RATE           LINES lines through the SDK, RATE a second, each its time

The endpoint is REGSVC_ENDPOINT. Each prints one JSON object at its end; `follow` and `idle` print a line when they
follow.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from collections.abc import Callable
from typing import Any

import grpc

from regsvc.v1 import build_pb2, build_pb2_grpc, registry_pb2, registry_pb2_grpc

MODEL = "namespaces/bench/models/rates"
BUILD = f"{MODEL}/builds/1"
_OWN_CONNECTION = (("grpc.use_local_subchannel_pool", 1),)


def _methods(channel: grpc.aio.Channel, salt: str) -> dict[str, Callable[[int], Any]]:
    """The calls that are measured, by name; the number makes each of them another."""
    builds = build_pb2_grpc.BuildServiceStub(channel)
    registry = registry_pb2_grpc.RegistryServiceStub(channel)
    param = registry_pb2.ParamValue
    return {
        "GetVersion": lambda n: registry.GetVersion(
            registry_pb2.GetVersionRequest(name=f"{MODEL}/versions/1")
        ),
        "SetAlias": lambda n: registry.SetAlias(
            registry_pb2.SetAliasRequest(
                name=f"{MODEL}/aliases/a{salt}{n % 32}",
                version=f"{MODEL}/versions/{n // 32 % 2 + 1}",
                request_id=f"{salt}-{n}",
            )
        ),
        "LogMetrics": lambda n: builds.LogMetrics(
            build_pb2.LogMetricsRequest(
                build=BUILD,
                points=[build_pb2.MetricPoint(key=f"loss{k}", value=n / 7, step=n) for k in range(3)],
                request_id=f"{salt}-{n}",
            )
        ),
        "LogParams": lambda n: builds.LogParams(
            build_pb2.LogParamsRequest(
                build=BUILD, params={f"p{salt}{n % 20}": param(int_value=n), "lr": param(double_value=n)}
            )
        ),
        "CreateBuild": lambda n: builds.CreateBuild(
            build_pb2.CreateBuildRequest(
                parent=MODEL,
                metadata=registry_pb2.VersionMetadata(params={"seed": param(int_value=n)}),
                request_id=f"{salt}-{n}",
            )
        ),
    }


async def call(endpoint: str, method: str, count: int, callers: int, salt: str) -> dict[str, Any]:
    """Milliseconds of every call, and when the first began and the last ended."""
    async with grpc.aio.insecure_channel(endpoint, options=_OWN_CONNECTION) as channel:
        invoke = _methods(channel, salt)[method]
        await channel.channel_ready()
        numbers = iter(range(count))
        took: list[float] = []

        async def caller() -> None:
            for number in numbers:
                began = time.monotonic()
                await invoke(number)
                took.append((time.monotonic() - began) * 1000)

        begin = time.monotonic()
        await asyncio.gather(*(caller() for _ in range(callers)))
        return {"begin": begin, "end": time.monotonic(), "ms": took}


async def follow(endpoint: str, build: str, count: int, lines: int) -> dict[str, Any]:
    """Milliseconds from the time in each line to its arrival, at every follower."""
    channels = _channels(endpoint, count)
    took: list[float] = []
    ready = asyncio.Semaphore(0)

    async def follower(channel: grpc.aio.Channel) -> None:
        seen = 0
        async for page in _tail(channel, build):
            now = time.monotonic_ns()
            for line in page.lines:
                if line.seq != (seen := seen + 1):
                    raise SystemExit(f"line {line.seq} where {seen} belongs")
                if seen > 1:
                    took.append((now - int(line.text)) / 1e6)
            if seen == 1:
                ready.release()
            if seen == lines:
                return

    async with asyncio.TaskGroup() as group:
        for channel in channels:
            group.create_task(follower(channel))
        for _ in channels:
            await ready.acquire()
        print("following", flush=True)
    return {"ms": took}


async def idle(endpoint: str, build: str, count: int) -> dict[str, Any]:
    """Followers that wait for a line that does not come."""
    tails = [_tail(channel, build) for channel in _channels(endpoint, count)]
    for tail in tails:
        await tail.read()  # the line that is there
    print("following", flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
    for tail in tails:
        tail.cancel()
    return {}


def publish(build_of: str, lines: int, rate: float) -> dict[str, Any]:
    """Lines at a steady pace; whoever follows must be there before the second: stdin tells."""
    import regsvc

    client = regsvc.connect()
    with client.build(build_of) as build:
        build.log("ready")
        build.flush()
        print(build.name, flush=True)
        sys.stdin.readline()
        began = time.monotonic()
        for number in range(lines):
            time.sleep(max(0.0, began + number / rate - time.monotonic()))
            build.log(str(time.monotonic_ns()))  # CLOCK_MONOTONIC is the same for all processes
        build.flush()
        late = time.monotonic() - began - lines / rate
    return {"late_seconds": late}


def _channels(endpoint: str, count: int) -> list[grpc.aio.Channel]:
    return [grpc.aio.insecure_channel(endpoint, options=_OWN_CONNECTION) for _ in range(count)]


def _tail(channel: grpc.aio.Channel, build: str) -> Any:
    stub = build_pb2_grpc.BuildServiceStub(channel)
    return stub.ReadLog(build_pb2.ReadLogRequest(build=build, follow=True))


def _main() -> None:
    endpoint, (mode, *rest) = os.environ["REGSVC_ENDPOINT"], sys.argv[1:]
    if mode == "call":
        answer = asyncio.run(call(endpoint, rest[0], int(rest[1]), int(rest[2]), rest[3]))
    elif mode == "follow":
        answer = asyncio.run(follow(endpoint, rest[0], int(rest[1]), int(rest[2])))
    elif mode == "idle":
        answer = asyncio.run(idle(endpoint, rest[0], int(rest[1])))
    else:
        answer = publish(rest[0], int(rest[1]), float(rest[2]))
    print(json.dumps(answer))


if __name__ == "__main__":
    _main()

"""Raw stubs on a real server, and what several tests check about every refusal."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import grpc
from blake3 import blake3
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2_grpc
from grpc_status import rpc_status
from support import Server

from regsvc.v1 import artifact_pb2 as art
from regsvc.v1 import (
    artifact_pb2_grpc,
    build_pb2_grpc,
    capabilities_pb2_grpc,
    deployment_pb2_grpc,
    event_pb2_grpc,
    lifecycle_pb2_grpc,
    promotion_pb2_grpc,
    registry_pb2_grpc,
    runner_pb2_grpc,
    template_pb2_grpc,
)
from regsvc.v1 import build_pb2 as bld
from regsvc.v1 import registry_pb2 as reg

PIECE = 1 << 20
LIMIT = 60.0
"""Seconds after which a call has hung."""


class Wire:
    """A channel to a server, with every stub. Use as a context manager."""

    def __init__(self, server: Server):
        self.server = server
        self.channel = grpc.insecure_channel(server.endpoint)
        self.artifacts = artifact_pb2_grpc.ArtifactServiceStub(self.channel)
        self.builds = build_pb2_grpc.BuildServiceStub(self.channel)
        self.registry = registry_pb2_grpc.RegistryServiceStub(self.channel)
        self.promotions = promotion_pb2_grpc.PromotionServiceStub(self.channel)
        self.deployments = deployment_pb2_grpc.DeploymentServiceStub(self.channel)
        self.lifecycle = lifecycle_pb2_grpc.LifecycleServiceStub(self.channel)
        self.templates = template_pb2_grpc.TemplateServiceStub(self.channel)
        self.runners = runner_pb2_grpc.RunnerServiceStub(self.channel)
        self.events = event_pb2_grpc.EventServiceStub(self.channel)
        self.capabilities = capabilities_pb2_grpc.CapabilitiesServiceStub(self.channel)
        self.health = health_pb2_grpc.HealthStub(self.channel)

    def __enter__(self) -> Wire:
        return self

    def __exit__(self, *_: object) -> None:
        self.channel.close()

    @contextmanager
    def refused(self, code: str, reason: str | None = None) -> Iterator[dict[str, str]]:
        """The block must fail with this code and reason; gives the ErrorInfo's metadata afterwards."""
        metadata: dict[str, str] = {}
        with expect_error(code, reason, self.server.data) as found:
            yield metadata
        metadata.update(found)
        model = f"namespaces/probe/models/gone-{len(metadata)}"
        with expect_error("NOT_FOUND", "NOT_FOUND", self.server.data):  # it still answers
            self.registry.GetModel(reg.GetModelRequest(name=model), timeout=LIMIT)

    def start(self, model: str, build: str = "", request_id: str = "") -> str:
        """StartUpload; gives the upload's name."""
        request = art.StartUploadRequest(parent=name_of(model), build=build, request_id=request_id)
        return str(self.artifacts.StartUpload(request, timeout=LIMIT).upload.name)

    def write_file(self, upload: str, path: str, data: bytes, **fields: object) -> art.UploadFile:
        """WriteFile of a whole file."""
        requests = file_messages(upload, path, data, **fields)
        return self.artifacts.WriteFile(requests, timeout=LIMIT).file

    def write_chunks(self, *requests: art.WriteChunksRequest) -> art.WriteChunksResponse:
        """WriteChunks of these messages."""
        return self.artifacts.WriteChunks(iter(requests), timeout=LIMIT)

    def missing(self, upload: str, digests: Iterable[bytes]) -> list[int]:
        """FindMissingChunks."""
        request = art.FindMissingChunksRequest(upload=upload, digests=list(digests))
        return list(self.artifacts.FindMissingChunks(request, timeout=LIMIT).missing)

    def commit(self, upload: str, **fields: object) -> reg.Version:
        """CommitUpload."""
        request = art.CommitUploadRequest(upload=upload, **fields)  # type: ignore[arg-type]
        return self.artifacts.CommitUpload(request, timeout=LIMIT).version

    def push(self, model: str, files: Mapping[str, bytes], build: str = "", **fields: object) -> reg.Version:
        """A version of these files, each by WriteFile."""
        upload = self.start(model, build)
        for path, data in files.items():
            self.write_file(upload, path, data, digest=blake3(data).hexdigest())
        return self.commit(upload, **fields)

    def upload(self, upload: str) -> art.Upload:
        """GetUpload."""
        return self.artifacts.GetUpload(art.GetUploadRequest(name=upload), timeout=LIMIT).upload

    def read_file(self, version: str, path: str, offset: int = 0, limit: int = 0) -> bytes:
        """ReadFile."""
        request = art.ReadFileRequest(version=version, path=path, offset=offset, limit=limit)
        return b"".join(part.data for part in self.artifacts.ReadFile(request, timeout=LIMIT))

    def read_version(self, version: str) -> dict[str, bytes]:
        """Every file of a version, each checked against its digest and the whole against the version's."""
        request = art.ReadManifestRequest(version=version)
        messages = list(self.artifacts.ReadManifest(request, timeout=LIMIT))
        found, text = {}, b""
        for message in messages:
            for file in message.files:
                data = self.read_file(version, file.path)
                assert len(data) == file.size
                assert blake3(data).hexdigest() == file.digest
                text += f"{file.digest}  {file.path}\n".encode()
                found[file.path] = data
        assert blake3(text).hexdigest() == messages[0].digest
        return found

    def versions(self, model: str) -> list[int]:
        """Numbers of a model's versions, newest first."""
        request = reg.ListVersionsRequest(parent=name_of(model), page_size=1000)
        return [v.number for v in self.registry.ListVersions(request, timeout=LIMIT).versions]

    def create_build(self, model: str, **fields: object) -> str:
        """CreateBuild; gives its name."""
        request = bld.CreateBuildRequest(parent=name_of(model), **fields)  # type: ignore[arg-type]
        return str(self.builds.CreateBuild(request, timeout=LIMIT).build.name)

    def build(self, name: str) -> bld.Build:
        """GetBuild."""
        return self.builds.GetBuild(bld.GetBuildRequest(name=name), timeout=LIMIT).build

    def finish(self, name: str, state: int = bld.BUILD_STATE_SUCCEEDED, reason: str = "") -> bld.Build:
        """FinishBuild."""
        request = bld.FinishBuildRequest(name=name, state=state, reason=reason)  # type: ignore[arg-type]
        return self.builds.FinishBuild(request, timeout=LIMIT).build

    def append(self, build: str, lines: Iterable[bld.LogLine]) -> int:
        """AppendLog of one message; gives the last acknowledged number."""
        requests = iter([bld.AppendLogRequest(build=build, lines=lines)])
        return [ack.committed_seq for ack in self.builds.AppendLog(requests, timeout=LIMIT)][-1]

    def log(self, build: str, **fields: object) -> list[bld.LogLine]:
        """ReadLog to its end."""
        request = bld.ReadLogRequest(build=build, **fields)  # type: ignore[arg-type]
        return [line for page in self.builds.ReadLog(request, timeout=LIMIT) for line in page.lines]


@contextmanager
def expect_error(code: str, reason: str | None, data: Path) -> Iterator[dict[str, str]]:
    """The block must fail with this code; every refusal names reason and domain and tells nothing of the server."""
    metadata: dict[str, str] = {}
    try:
        yield metadata
    except grpc.RpcError as error:
        call = error
    else:
        raise AssertionError(f"nothing was refused; expected {code} {reason}")
    assert call.code().name == code, (call.code(), call.details())
    told = repr((call.details(), call.trailing_metadata()))
    for secret in (str(data), "Traceback", "site-packages", 'File "', "sqlite", "/regsvc/"):
        assert secret not in told, f"{secret} leaks: {told}"
    if reason is None:  # refused by gRPC itself
        return
    status = rpc_status.from_call(call)
    assert status is not None
    info = error_details_pb2.ErrorInfo()
    assert status.details[0].Unpack(info)
    assert (info.reason, info.domain) == (reason, "regsvc.dev")
    assert status.message
    assert "\n" not in status.message
    assert len(status.message) < 3000
    metadata.update(info.metadata)


def name_of(model: str) -> str:
    """`ns/model` to the wire."""
    namespace, _, short = model.partition("/")
    return f"namespaces/{namespace}/models/{short}"


def file_messages(
    upload: str,
    path: str,
    data: bytes,
    offset: int = 0,
    *,
    finish: bool = True,
    digest: str = "",
    size: int = -1,
) -> Iterator[art.WriteFileRequest]:
    """One file as messages of 1 MiB, from an offset."""
    first = art.WriteFileRequest(upload=upload, path=path, offset=offset)
    if size >= 0:
        first.size = size
    for start in range(offset, max(len(data), offset + 1), PIECE):
        message = first if start == offset else art.WriteFileRequest(offset=start)
        message.data = data[start : start + PIECE]
        if finish and start + PIECE >= len(data):
            message.finish, message.digest = True, digest
        yield message


def raw_frame(raw: bytes) -> art.ChunkFrame:
    """How a chunk travels as it is."""
    return art.ChunkFrame(
        digest=blake3(raw).digest(), codec=art.CODEC_RAW, raw_size=len(raw), stored_size=len(raw)
    )


def chunk_message(upload: str, *raws: bytes, **fields: object) -> art.WriteChunksRequest:
    """These chunks as raw frames."""
    return art.WriteChunksRequest(
        upload=upload,
        frames=[raw_frame(raw) for raw in raws],
        data=b"".join(raws),
        **fields,  # type: ignore[arg-type]
    )


def recipe(path: str, *raws: bytes, offset: int = 0, finish: bool = True, digest: str = "") -> art.RecipePart:
    """A file of these chunks."""
    return art.RecipePart(
        path=path,
        offset=offset,
        chunks=[art.ChunkRef(digest=blake3(raw).digest(), size=len(raw)) for raw in raws],
        finish=finish,
        digest=digest,
    )


def lines(first: int, *texts: bytes, step: str = "") -> list[bld.LogLine]:
    """Log lines numbered from `first`."""
    return [bld.LogLine(seq=first + i, text=text, step=step) for i, text in enumerate(texts)]


def stored_bytes(data: Path) -> int:
    """Bytes of all packs."""
    return sum(path.stat().st_size for path in (data / "packs").rglob("*.pack"))


def peak_memory(server: Server) -> int:
    """Most bytes that the server's process has held so far."""
    status = Path(f"/proc/{server.pid}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024

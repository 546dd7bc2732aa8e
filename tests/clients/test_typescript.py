"""clients/typescript: builds from a clean checkout, and keeps its promises against a real server."""

from __future__ import annotations

import fcntl
import filecmp
import hashlib
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent import futures
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
import pytest
from blake3 import blake3
from support import Server, wait_until

from regsvc.v1 import artifact_pb2, artifact_pb2_grpc, build_pb2, build_pb2_grpc

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "clients" / "typescript"
MIB = 1 << 20


@dataclass(frozen=True)
class NodeClient:
    """The command line of clients/typescript."""

    main: Path

    def start(self, *args: object, endpoint: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            ["node", str(self.main), *map(str, args)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "REGSVC_ENDPOINT": endpoint},
        )

    def run(self, *args: object, endpoint: str, status: int = 0) -> tuple[str, str]:
        """Standard output and error of one command; fails unless it exits with `status`."""
        return finish(self.start(*args, endpoint=endpoint), status)

    def json(self, *args: object, endpoint: str) -> Any:
        """The one document that a command prints."""
        return json.loads(self.run(*args, endpoint=endpoint)[0])


def finish(process: subprocess.Popen[str], status: int = 0) -> tuple[str, str]:
    """The rest of a command's output, when it has exited with `status`."""
    try:
        out, err = process.communicate(timeout=120)
    finally:
        process.kill()
    assert process.returncode == status, f"exited with {process.returncode}: {out[-2000:]} {err[-2000:]}"
    return out, err


@contextmanager
def package_lock() -> Iterator[None]:
    """Only one process at a time installs and builds: the workers of pytest-xdist share the folder."""
    (PACKAGE / "build").mkdir(exist_ok=True)
    with open(PACKAGE / "build" / "lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def npm(*args: str) -> str:
    done = subprocess.run(
        ["npm", *args], cwd=PACKAGE, capture_output=True, text=True, timeout=280, check=False
    )
    assert done.returncode == 0, f"npm {' '.join(args)}: {done.stdout[-4000:]} {done.stderr[-4000:]}"
    return done.stdout


def install() -> None:
    installed, locked = PACKAGE / "node_modules" / ".package-lock.json", PACKAGE / "package-lock.json"
    # npm writes the inner file last, so an interrupted install is done again.
    if not installed.exists() or installed.stat().st_mtime < locked.stat().st_mtime:
        npm("ci", "--no-audit", "--no-fund")


def build() -> None:
    sources = sorted(
        path
        for pattern in ("src/**/*.ts", "tsconfig*.json", "package*.json")
        for path in PACKAGE.glob(pattern)
    )
    state = hashlib.sha256(b"".join(bytes(path) + b"\0" + path.read_bytes() for path in sources)).hexdigest()
    stamp = PACKAGE / "build" / "built"
    if (PACKAGE / "dist").exists() and stamp.exists() and stamp.read_text() == state:
        return
    shutil.rmtree(PACKAGE / "dist", ignore_errors=True)
    npm("run", "build")
    stamp.write_text(state)


@pytest.fixture(scope="session")
def node_client() -> NodeClient:
    """The client, installed and built when its sources are newer."""
    with package_lock():
        install()
        build()
    return NodeClient(PACKAGE / "dist" / "cli" / "main.js")


@pytest.fixture
def model(tmp_path: Path) -> Path:
    return make_model(tmp_path / "model")


def make_model(folder: Path) -> Path:
    """A folder with the names and sizes that clients get wrong."""
    (folder / "tokenizer").mkdir(parents=True)
    # A prime number of bytes: no message, chunk or file ends where another does.
    (folder / "model.bin").write_bytes(blake3(b"model").digest(length=3 * MIB + 7))
    (folder / "config.json").write_text("{}")
    (folder / "tokenizer" / "empty").touch()
    (folder / "tokenizer" / "two words \u00e9 \U0001f600").write_text("sorted by bytes")
    (folder / "tokenizer" / "\uffee").write_text("not by UTF-16")
    return folder


def random_file(path: Path, size: int) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "wb") as file:
        for seek in range(0, size, MIB):
            file.write(blake3(b"random").digest(length=min(MIB, size - seek), seek=seek))
    return path


def version_digest(folder: Path) -> str:
    """By the definition: BLAKE3 of what `b3sum` prints, sorted bytewise."""
    paths = sorted(str(path.relative_to(folder)).encode() for path in folder.rglob("*") if path.is_file())
    lines = (
        f"{blake3((folder / os.fsdecode(path)).read_bytes()).hexdigest()}  ".encode() + path + b"\n"
        for path in paths
    )
    return blake3(b"".join(lines)).hexdigest()


def assert_same_tree(left: Path, right: Path) -> None:
    def files(folder: Path) -> set[str]:
        return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}

    names = files(left)
    assert names == files(right)
    _, mismatch, errors = filecmp.cmpfiles(left, right, names, shallow=False)
    assert not mismatch
    assert not errors


def size_below(folder: Path) -> int:
    """Bytes of the files below a folder in which others are writing."""
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size
        except FileNotFoundError:  # it was renamed meanwhile
            continue
    return total


# The package


def test_unit_tests_pass(node_client: NodeClient) -> None:
    with package_lock():
        assert "fail 0" in npm("test")


def test_generated_code_is_what_the_protos_generate(node_client: NodeClient, tmp_path: Path) -> None:
    buf = Path(sys.executable).with_name("buf")
    subprocess.run(
        [str(PACKAGE / "generate.sh"), str(tmp_path)],
        env={**os.environ, "BUF": str(buf)},
        check=True,
        timeout=120,
    )
    assert_same_tree(PACKAGE / "src" / "gen", tmp_path)


def test_lock_file_names_no_host_and_no_install_script() -> None:
    lock = (PACKAGE / "package-lock.json").read_text()
    assert "://" not in lock
    assert '"resolved"' not in lock
    assert "hasInstallScript" not in lock


def test_golden_vectors_pass(node_client: NodeClient) -> None:
    report = node_client.json("vectors", ROOT / "protos" / "vectors", endpoint="")
    assert report["failures"] == []
    assert report["checked"] > 100


# Push and pull


def test_push_by_node_is_pulled_by_python(
    node_client: NodeClient, server: Server, model: Path, tmp_path: Path
) -> None:
    pushed = node_client.json("push", model, "team/fraud", "--alias", "prod", endpoint=server.endpoint)
    assert pushed["reference"] == "team/fraud:1"
    assert pushed["digest"] == version_digest(model)
    server.cli("pull", "team/fraud@prod", str(tmp_path / "out"))
    assert_same_tree(model, tmp_path / "out")


def test_push_by_python_is_pulled_by_node(
    node_client: NodeClient, server: Server, model: Path, tmp_path: Path
) -> None:
    pushed = json.loads(server.cli("push", str(model), "team/fraud", "--json").stdout)
    pulled = node_client.json("pull", "team/fraud", tmp_path / "out", endpoint=server.endpoint)
    assert pulled["reference"] == "team/fraud:1"
    assert pulled["digest"] == pushed["digest"] == version_digest(model)
    assert_same_tree(model, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["model", "out"]


def test_push_survives_a_killed_server(node_client: NodeClient, server: Server, tmp_path: Path) -> None:
    size = 96 * MIB + 1
    random_file(tmp_path / "model" / "weights", size)
    for number in range(20):
        # Acknowledged before the kill, and forgotten by it: only a commit makes durable.
        (tmp_path / "model" / f"small-{number}").write_text(f"{number}")
    push = node_client.start("push", tmp_path / "model", "team/fraud", endpoint=server.endpoint)
    wait_until(lambda: size_below(server.data) > 16 * MIB, what="some bytes in the store")
    push.send_signal(signal.SIGSTOP)
    assert push.poll() is None
    server.kill()
    push.send_signal(signal.SIGCONT)
    server.start()
    pushed = json.loads(finish(push)[0])
    assert pushed["reference"] == "team/fraud:1"
    assert pushed["digest"] == version_digest(tmp_path / "model")
    node_client.run("pull", "team/fraud", tmp_path / "out", endpoint=server.endpoint)
    assert_same_tree(tmp_path / "model", tmp_path / "out")


def test_pull_survives_a_killed_server_and_a_killed_client(
    node_client: NodeClient, server: Server, tmp_path: Path
) -> None:
    size = 96 * MIB + 1
    random_file(tmp_path / "model" / "weights", size)
    node_client.run("push", tmp_path / "model", "team/fraud", endpoint=server.endpoint)
    work = tmp_path / "work"
    work.mkdir()

    def pull_until(received: int) -> subprocess.Popen[str]:
        pull = node_client.start("pull", "team/fraud", work / "out", endpoint=server.endpoint)
        wait_until(lambda: size_below(work) > received, what="some bytes at the destination")
        pull.send_signal(signal.SIGSTOP)
        assert pull.poll() is None
        return pull

    killed = pull_until(8 * MIB)
    killed.kill()
    killed.communicate()
    assert not (work / "out").exists()

    pull = pull_until(24 * MIB)
    server.kill()
    pull.send_signal(signal.SIGCONT)
    server.start()
    pulled = json.loads(finish(pull)[0])
    assert 0 < pulled["bytes_received"] <= size - 8 * MIB
    assert_same_tree(tmp_path / "model", work / "out")
    assert [path.name for path in work.iterdir()] == ["out"]


def test_memory_does_not_grow_with_the_file(node_client: NodeClient, server: Server, tmp_path: Path) -> None:
    (tmp_path / "model").mkdir()
    with open(tmp_path / "model" / "sparse", "wb") as file:
        file.truncate(2048 * MIB)

    def peak(*args: object) -> int:
        process = node_client.start(*args, endpoint=server.endpoint)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        assert finish(process)[1] == ""
        return usage.ru_maxrss * 1024

    # V8 frees buffers when it likes, after more than a GiB on a busy machine; what counts is that the file does not
    # set the limit.
    assert peak("push", tmp_path / "model", "team/fraud") < 1536 * MIB
    assert peak("pull", "team/fraud", tmp_path / "out") < 1536 * MIB


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        (("pull", "team/nothing", "{out}"), "NOT_FOUND"),
        (("pull", "Team/Fraud", "{out}"), "NAME_INVALID"),
        (("pull", "team/fraud", "{full}"), "DESTINATION_EXISTS"),
        (("push", "{empty}", "team/fraud"), "INVALID_ARGUMENT"),
        (("push", "{link}", "team/fraud"), "PATH_INVALID"),
        (("push", "{absent}", "team/fraud"), "ENOENT"),
        (("logs", "team/fraud/builds/1"), "NOT_FOUND"),
        (("events", "--after", "999999999"), "SEQ_AHEAD"),
    ],
)
def test_errors_are_one_line_with_their_reason(
    node_client: NodeClient, shared_server: Server, tmp_path: Path, args: tuple[str, ...], reason: str
) -> None:
    folders = {name: tmp_path / name for name in ("out", "full", "empty", "link", "absent")}
    for name in ("full", "empty", "link"):
        folders[name].mkdir()
    (folders["full"] / "mine").touch()
    (folders["link"] / "passwd").symlink_to("/etc/passwd")
    out, err = node_client.run(
        *(arg.format(**folders) for arg in args), endpoint=shared_server.endpoint, status=1
    )
    assert out == ""
    assert err.startswith(f"regsvc-node: {reason}: ")
    assert err.count("\n") == 1
    assert not folders["out"].exists()


@pytest.mark.parametrize(
    "args", [(), ("dance",), ("push", "one"), ("events", "--after", "x"), ("pull", "--fast")]
)
def test_usage_errors_exit_with_2(node_client: NodeClient, args: tuple[str, ...]) -> None:
    assert "usage: regsvc-node" in node_client.run(*args, endpoint="", status=2)[1]


# A server that lies


class LyingServer(artifact_pb2_grpc.ArtifactServiceServicer):
    """Serves one file; what it is called and what it holds are not what a registry would say."""

    def __init__(self, path: str, promised: bytes, sent: bytes) -> None:
        self.path, self.promised, self.sent = path, promised, sent

    def ReadManifest(self, request: Any, context: Any) -> Iterator[artifact_pb2.ReadManifestResponse]:
        digest = blake3(self.promised).hexdigest()
        yield artifact_pb2.ReadManifestResponse(
            version="namespaces/team/models/fraud/versions/1",
            digest=blake3(f"{digest}  {self.path}\n".encode()).hexdigest(),
            files=[artifact_pb2.ManifestFile(path=self.path, size=len(self.promised), digest=digest)],
        )

    def ReadFile(self, request: Any, context: Any) -> Iterator[artifact_pb2.ReadFileResponse]:
        yield artifact_pb2.ReadFileResponse(data=self.sent[request.offset :], offset=request.offset)


@pytest.fixture
def lying_server() -> Iterator[Callable[..., str]]:
    """A function that starts a LyingServer and returns its endpoint."""
    servers: list[grpc.Server] = []

    def start(path: str, promised: bytes, sent: bytes) -> str:
        server = grpc.server(futures.ThreadPoolExecutor(4), options=[("grpc.so_reuseport", 0)])
        artifact_pb2_grpc.add_ArtifactServiceServicer_to_server(LyingServer(path, promised, sent), server)
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        servers.append(server)
        return f"127.0.0.1:{port}"

    yield start
    for server in servers:
        server.stop(None).wait()


@pytest.mark.parametrize("path", ["../evil", "/tmp/evil", "a/../../evil", "a\\b", "a\nb"])
def test_pull_refuses_a_manifest_with_a_bad_path(
    node_client: NodeClient, lying_server: Callable[..., str], tmp_path: Path, path: str
) -> None:
    endpoint = lying_server(path, b"bytes", b"bytes")
    _, err = node_client.run("pull", "team/fraud", tmp_path / "out", endpoint=endpoint, status=1)
    assert "PATH_INVALID" in err
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("sent", [b"other", b"byte", b""])
def test_pull_refuses_bytes_with_another_digest(
    node_client: NodeClient, lying_server: Callable[..., str], tmp_path: Path, sent: bytes
) -> None:
    endpoint = lying_server("weights", b"bytes", sent)
    _, err = node_client.run("pull", "team/fraud", tmp_path / "out", endpoint=endpoint, status=1)
    assert "DIGEST_MISMATCH" in err
    assert not (tmp_path / "out").exists()


def test_pull_refuses_a_manifest_with_another_digest_than_asked_for(
    node_client: NodeClient, lying_server: Callable[..., str], tmp_path: Path
) -> None:
    endpoint = lying_server("weights", b"bytes", b"bytes")
    reference = f"team/fraud@b3:{'0' * 64}"
    _, err = node_client.run("pull", reference, tmp_path / "out", endpoint=endpoint, status=1)
    assert "DIGEST_MISMATCH" in err
    assert not (tmp_path / "out").exists()


# Logs and events


class Publisher:
    """A build and its log, on the bare contract."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.seq = 0
        with self.stub() as stub:
            request = build_pb2.CreateBuildRequest(parent="namespaces/team/models/fraud")
            self.build = stub.CreateBuild(request).build.name

    @contextmanager
    def stub(self) -> Iterator[build_pb2_grpc.BuildServiceStub]:
        with grpc.insecure_channel(self.server.endpoint) as channel:
            yield build_pb2_grpc.BuildServiceStub(channel)

    def log(self, *texts: bytes) -> None:
        lines = []
        for text in texts:
            self.seq += 1
            stream = build_pb2.LOG_STREAM_STDOUT
            lines.append(build_pb2.LogLine(seq=self.seq, stream=stream, step="train", text=text))
        with self.stub() as stub:
            answers = stub.AppendLog(iter([build_pb2.AppendLogRequest(build=self.build, lines=lines)]))
            assert max(answer.committed_seq for answer in answers) == self.seq

    def end(self) -> None:
        with self.stub() as stub:
            state = build_pb2.BUILD_STATE_SUCCEEDED
            stub.FinishBuild(build_pb2.FinishBuildRequest(name=self.build, state=state))


def test_tail_follows_a_build_across_a_restart_to_its_end(node_client: NodeClient, server: Server) -> None:
    publisher = Publisher(server)
    publisher.log(b"one", b"two")
    tail = node_client.start("logs", "team/fraud/builds/1", "-f", endpoint=server.endpoint)
    assert tail.stdout is not None
    lines = [json.loads(tail.stdout.readline()) for _ in range(2)]
    publisher.log(b"live")
    lines.append(json.loads(tail.stdout.readline()))
    server.kill()
    server.start()
    publisher.log(b"after \xff the restart", b"last")
    publisher.end()
    lines += [json.loads(line) for line in finish(tail)[0].splitlines()]
    assert [line["seq"] for line in lines] == [1, 2, 3, 4, 5]
    assert [line["text"] for line in lines] == ["one", "two", "live", "after \ufffd the restart", "last"]
    assert {(line["step"], line["stream"]) for line in lines} == {("train", "stdout")}

    rest = node_client.run("logs", publisher.build, "--after", 3, endpoint=server.endpoint)[0]
    assert [json.loads(line) for line in rest.splitlines()] == lines[3:]


def test_events_go_on_across_a_restart(node_client: NodeClient, server: Server, model: Path) -> None:
    node_client.run("push", model, "team/fraud", endpoint=server.endpoint)
    events = node_client.start("events", "--after", 0, "--limit", 3, endpoint=server.endpoint)
    assert events.stdout is not None
    seen = [json.loads(events.stdout.readline()) for _ in range(2)]
    server.kill()
    server.start()
    (model / "more").touch()
    pushed = node_client.json("push", model, "team/fraud", endpoint=server.endpoint)
    seen += [json.loads(line) for line in finish(events)[0].splitlines()]
    assert [event["kind"] for event in seen] == ["model.created", "version.created", "version.created"]
    assert seen[2]["attributes"]["digest"] == pushed["digest"]
    assert [event["seq"] for event in seen] == sorted({event["seq"] for event in seen})

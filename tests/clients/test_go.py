"""The Go client against a real server, and against what the Python client pushes and pulls."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from blake3 import blake3
from support import Server, wait_until

import regsvc
from regsvc.v1 import build_pb2, build_pb2_grpc

ROOT = Path(__file__).parents[2]
GO = ROOT / "clients/go"
MIB = 1 << 20


class GoClient:
    """`regsvc-go` against one server."""

    def __init__(self, binary: Path, endpoint: str) -> None:
        self._command = [str(binary), "--server", endpoint, "--patience", "30s"]

    def run(self, *args: object) -> list[dict[str, Any]]:
        """The documents that the command printed."""
        done = self.attempt(*args)
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    def attempt(self, *args: object) -> subprocess.CompletedProcess[str]:
        command = [*self._command, *map(str, args)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    def start(self, *args: object) -> subprocess.Popen[str]:
        command = [*self._command, *map(str, args)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


@pytest.fixture
def go(go_client: Path, shared_server: Server) -> GoClient:
    return GoClient(go_client, shared_server.endpoint)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the shapes that go wrong: nothing, exactly one message, one byte more, odd names, a link."""
    root = tmp_path_factory.mktemp("model")
    (root / "tokenizer").mkdir()
    (root / "empty").write_bytes(b"")
    (root / "one message").write_bytes(os.urandom(MIB))
    (root / "one more.bin").write_bytes(os.urandom(3 * MIB + 1))
    (root / "tokenizer/vocab.txt").write_text("[PAD]\n")
    (root / "tokenizer/ünïcode.json").write_text("{}")
    (root / "tokenizer.txt").symlink_to("tokenizer/vocab.txt")
    return root


def b3sum(folder: Path) -> str:
    """The version digest, by the rule that `b3sum` states and not by regsvc's code."""
    paths = sorted(str(path.relative_to(folder)).encode() for path in folder.rglob("*") if path.is_file())
    text = b""
    for path in paths:
        digest = blake3((folder / path.decode()).read_bytes()).hexdigest()
        text += digest.encode() + b"  " + path + b"\n"
    return blake3(text).hexdigest()


def assert_same(left: Path, right: Path) -> None:
    done = subprocess.run(["diff", "-r", left, right], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("command", [["vet", "./..."], ["test", "./..."]], ids=" ".join)
def test_go_checks_pass(command: list[str]) -> None:
    done = subprocess.run(["go", *command], cwd=GO, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_source_is_formatted() -> None:
    done = subprocess.run(["gofmt", "-l", "."], cwd=GO, capture_output=True, text=True, check=True)
    assert done.stdout == ""


def test_generated_code_is_up_to_date(tmp_path: Path) -> None:
    buf = Path(sys.executable).parent / "buf"
    subprocess.run([GO / "generate.sh", tmp_path], env={**os.environ, "BUF": str(buf)}, check=True)
    assert_same(tmp_path / "regsvc", GO / "regsvc")


def test_golden_vectors_pass(go: GoClient) -> None:
    (report,) = go.run("vectors", ROOT / "protos/vectors")
    assert report["failures"] == []
    assert report["checked"]["reference"] > 50


def test_go_pushes_and_python_pulls(
    go: GoClient, shared_server: Server, folder: Path, tmp_path: Path
) -> None:
    (pushed,) = go.run("push", folder, "go/first", "--alias", "prod", "--alias", "candidate")
    assert pushed["reference"] == "go/first:1"
    assert pushed["digest"] == b3sum(folder)
    assert pushed["bytes_sent"] == pushed["bytes"]
    assert sorted(pushed["aliases"]) == ["candidate", "prod"]

    pulled = json.loads(shared_server.cli("pull", "go/first@prod", str(tmp_path / "out"), "--json").stdout)
    assert pulled["digest"] == pushed["digest"]
    assert b3sum(tmp_path / "out") == pushed["digest"]
    assert_same(folder, tmp_path / "out")


def test_python_pushes_and_go_pulls(
    go: GoClient, shared_server: Server, folder: Path, tmp_path: Path
) -> None:
    pushed = json.loads(shared_server.cli("push", str(folder), "go/second", "--json").stdout)
    for reference in ("go/second", "go/second:1", f"go/second@b3:{pushed['digest']}"):
        out = tmp_path / reference.replace("/", "-")
        (pulled,) = go.run("pull", reference, out)
        assert pulled["reference"] == "go/second:1"
        assert pulled["digest"] == pushed["digest"]
        assert pulled["bytes"] == pulled["bytes_received"] == pushed["bytes"]
        assert_same(folder, out)
    assert len(list(tmp_path.iterdir())) == 3, "nothing is left beside the folders"


def test_go_pulls_from_the_server_that_a_reference_names(
    go_client: Path, go: GoClient, shared_server: Server, folder: Path, tmp_path: Path
) -> None:
    go.run("push", folder, "go/named")
    nowhere = GoClient(go_client, "127.0.0.1:1")
    nowhere.run("pull", f"regsvc://{shared_server.endpoint}/go/named", tmp_path / "out")
    assert_same(folder, tmp_path / "out")


def test_a_push_of_the_same_files_is_another_version_with_the_same_digest(go: GoClient, folder: Path) -> None:
    (first,) = go.run("push", folder, "go/again")
    (second,) = go.run("push", folder, "go/again")
    assert (first["version"], second["version"]) == (1, 2)
    assert first["digest"] == second["digest"]


def test_a_pull_leaves_a_destination_with_files_alone(go: GoClient, folder: Path, tmp_path: Path) -> None:
    go.run("push", folder, "go/dest")
    (tmp_path / "mine").write_text("precious")
    refused = go.attempt("pull", "go/dest", tmp_path)
    assert (refused.returncode, "DESTINATION_EXISTS" in refused.stderr) == (1, True)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


@pytest.mark.parametrize(
    ("args", "reason"),
    [
        (["pull", "go/nothing", "out"], "NOT_FOUND"),
        (["pull", "Go/Nothing", "out"], "NAME_INVALID"),
        (["pull", "go/nothing@b3:af", "out"], "NAME_INVALID"),
        (["push", "{empty}", "go/nothing"], "INVALID_ARGUMENT"),
        (["push", "{leaving}", "go/nothing"], "PATH_INVALID"),
        (["push", "{empty}", "go/nothing:1"], "NAME_INVALID"),
        (["logs", "go/nothing/builds/1"], "NOT_FOUND"),
        (["events", "--after", "1000000"], "SEQ_AHEAD"),
        (["--server", "127.0.0.1:1", "--patience", "0s", "events"], "UNAVAILABLE"),
    ],
)
def test_an_error_is_one_line_with_its_reason(
    go: GoClient, tmp_path: Path, args: list[str], reason: str
) -> None:
    empty, leaving = tmp_path / "empty", tmp_path / "leaving"
    empty.mkdir()
    leaving.mkdir()
    (leaving / "out").symlink_to(tmp_path)
    done = go.attempt(*[arg.format(empty=empty, leaving=leaving) for arg in args])
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"regsvc-go: {reason}: ")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "args", [[], ["fly"], ["push", "one"], ["events", "--after", "-1"], ["logs", "a", "b"]]
)
def test_a_senseless_command_line_exits_with_2(go: GoClient, args: list[str]) -> None:
    assert go.attempt(*args).returncode == 2


class Publisher:
    """A build made through the bare API."""

    def __init__(self, endpoint: str, model: str) -> None:
        self._endpoint = endpoint
        with self._stub() as builds:
            request = build_pb2.CreateBuildRequest(parent=f"namespaces/go/models/{model}")
            self.name = builds.CreateBuild(request).build.name
        self.short = f"go/{model}/builds/1"
        self.seq = 0

    def log(self, *texts: bytes) -> None:
        """Append lines and wait until they are durable."""
        lines = [
            build_pb2.LogLine(seq=self.seq + i, text=text, step="train", stream=build_pb2.LOG_STREAM_STDOUT)
            for i, text in enumerate(texts, 1)
        ]
        self.seq += len(lines)
        with self._stub() as builds:
            requests = iter([build_pb2.AppendLogRequest(build=self.name, lines=lines)])
            committed = [response.committed_seq for response in builds.AppendLog(requests)]
        assert committed[-1] == self.seq

    def finish(self) -> None:
        with self._stub() as builds:
            builds.FinishBuild(
                build_pb2.FinishBuildRequest(name=self.name, state=build_pb2.BUILD_STATE_SUCCEEDED)
            )

    def _stub(self) -> _Stub:
        return _Stub(self._endpoint)


class _Stub:
    def __init__(self, endpoint: str) -> None:
        self._channel = grpc.insecure_channel(endpoint)

    def __enter__(self) -> build_pb2_grpc.BuildServiceStub:
        return build_pb2_grpc.BuildServiceStub(self._channel)

    def __exit__(self, *_: object) -> None:
        self._channel.close()


def test_go_prints_a_log(go: GoClient, shared_server: Server) -> None:
    build = Publisher(shared_server.endpoint, "log")
    build.log(b"epoch 1", "größe <&>".encode(), b"\xff not UTF-8")
    lines = go.run("logs", build.short)
    assert [line["seq"] for line in lines] == [1, 2, 3]
    assert [line["text"] for line in lines] == ["epoch 1", "größe <&>", "\ufffd not UTF-8"]
    assert (lines[0]["step"], lines[0]["stream"]) == ("train", "stdout")
    assert [line["seq"] for line in go.run("logs", build.name, "--after", 2)] == [3]
    build.finish()


def test_go_searches_and_compares(go: GoClient, shared_server: Server, folder: Path) -> None:
    with regsvc.connect(shared_server.endpoint) as client:
        for f1 in (0.5, 0.75):
            client.push(folder, "go/searched", metrics={"f1": f1}, params={"lr": f1 / 10})
    found = go.run("search", 'model == "go/searched" && metrics.f1 > 0.4', "--order-by", "metrics.f1")
    assert [each["metadata"]["metrics"]["f1"] for each in found] == [0.5, 0.75]
    assert len(go.run("search", 'model == "go/searched"', "--limit", 1)) == 1
    [compared] = go.run("compare", "go/searched:1", "go/searched@b3:" + found[1]["digest"])
    assert [row["key"] for row in compared["params"]] == ["lr"]
    refused = go.attempt("search", "metrics.f1 >")
    assert refused.returncode == 1
    assert "InvalidArgument" in refused.stderr


def test_go_follows_a_log_across_a_restart_of_the_server(go_client: Path, server: Server) -> None:
    build = Publisher(server.endpoint, "tail")
    build.log(b"line 1")
    tail = GoClient(go_client, server.endpoint).start("logs", "-f", build.short)
    assert tail.stdout is not None
    seen = [json.loads(tail.stdout.readline())]
    build.log(b"line 2", b"line 3")
    seen += [json.loads(tail.stdout.readline()) for _ in range(2)]
    server.kill()
    server.start()
    build.log(b"line 4")
    build.finish()
    rest, errors = tail.communicate(timeout=60)
    seen += [json.loads(line) for line in rest.splitlines()]
    assert [(line["seq"], line["text"]) for line in seen] == [(n, f"line {n}") for n in range(1, 5)]
    assert (tail.returncode, errors) == (0, "")


def test_go_prints_events_old_and_new(go_client: Path, server: Server, folder: Path) -> None:
    go = GoClient(go_client, server.endpoint)
    go.run("push", folder, "go/events", "--alias", "prod")
    history = go.run("events", "--after", 0, "--limit", 3)
    assert [event["kind"] for event in history] == ["model.created", "version.created", "alias.set"]
    assert history[1]["resource"] == "namespaces/go/models/events/versions/1"
    assert int(history[1]["attributes"]["files"]) == 6
    seqs = [event["seq"] for event in history]
    assert seqs == sorted(set(seqs))

    watch = go.start("events", "--after", seqs[-1], "--limit", 1)
    server.restart()
    go.run("push", folder, "go/events")
    out, errors = watch.communicate(timeout=60)
    (event,) = [json.loads(line) for line in out.splitlines()]
    assert event["resource"] == "namespaces/go/models/events/versions/2"
    assert (watch.returncode, errors) == (0, "")


@pytest.fixture
def large(tmp_path: Path) -> Path:
    """Enough to be on its way for a while and to fill packs, which is when the server's bytes become durable;
    several files, so that some are whole when the server dies."""
    root = tmp_path / "large"
    root.mkdir()
    for number in range(4):
        (root / f"{number}.bin").write_bytes(os.urandom((8, 8, 64, 120)[number] * MIB))
    return root


def stored(server: Server) -> int:
    """Bytes on the server's disk."""
    total = 0
    for path in server.data.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


def staged(parent: Path) -> int:
    """Bytes that a pull into `parent/out` has brought so far."""
    total = 0
    for path in parent.glob(".out.*/*/*"):
        with contextlib.suppress(FileNotFoundError):
            total += path.stat().st_size
    return total


def kill_midway(server: Server, client: subprocess.Popen[str], reached: Callable[[], bool]) -> None:
    """Kill the server when the client has come so far, and bring it back."""
    wait_until(reached, what="half of the bytes")
    client.send_signal(signal.SIGSTOP)  # nothing is finished while the server dies
    server.kill()
    client.send_signal(signal.SIGCONT)
    assert client.poll() is None
    server.start()


def test_a_push_outlives_the_server(go_client: Path, server: Server, large: Path) -> None:
    client = GoClient(go_client, server.endpoint)
    push = client.start("push", large, "go/large")
    kill_midway(server, push, lambda: stored(server) > 140 * MIB)
    out, errors = push.communicate(timeout=120)
    assert push.returncode == 0, errors
    pushed = json.loads(out)
    assert (pushed["version"], pushed["digest"]) == (1, b3sum(large))
    assert pushed["bytes"] <= pushed["bytes_sent"] < 2 * pushed["bytes"]
    assert [event["kind"] for event in client.run("events", "--after", 0, "--limit", 2)] == [
        "model.created",
        "version.created",
    ]


def test_a_pull_outlives_the_server(go_client: Path, server: Server, large: Path, tmp_path: Path) -> None:
    client = GoClient(go_client, server.endpoint)
    client.run("push", large, "go/large")
    pull = client.start("pull", "go/large", tmp_path / "out")
    kill_midway(server, pull, lambda: staged(tmp_path) > 60 * MIB)
    assert not (tmp_path / "out").exists()
    out, errors = pull.communicate(timeout=120)
    assert pull.returncode == 0, errors
    assert json.loads(out)["bytes_received"] < 1.5 * 200 * MIB
    assert_same(large, tmp_path / "out")


def test_a_killed_pull_goes_on_from_what_is_there(go: GoClient, large: Path, tmp_path: Path) -> None:
    (pushed,) = go.run("push", large, "go/killed")
    pull = go.start("pull", "go/killed", tmp_path / "out")
    wait_until(lambda: staged(tmp_path) > 60 * MIB, what="half of the bytes")
    pull.kill()
    pull.communicate()
    assert not (tmp_path / "out").exists()
    (pulled,) = go.run("pull", "go/killed", tmp_path / "out")
    assert pulled["digest"] == pushed["digest"]
    assert pulled["bytes_received"] <= pulled["bytes"] - 60 * MIB
    assert_same(large, tmp_path / "out")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["large", "out"]

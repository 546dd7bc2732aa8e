"""The process that works on one build, as a runner starts it, where the server would not bring it to that."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from support import Server

import regsvc
from regsvc.client.client import Client
from regsvc.client.working.work_folder import WorkFolder, WorkRoot
from regsvc.client.working.worker import Ending, Job, ending_from
from regsvc.v1 import build_pb2, run_pb2, runner_pb2


@pytest.fixture
def client(server: Server) -> Iterator[Client]:
    with regsvc.connect(server.endpoint) as connected:
        yield connected


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[WorkFolder]:
    root = WorkRoot(tmp_path / "runner")
    root.prepare()
    made = root.create()
    yield made
    made.release()


def claimed(client: Client, *command: str) -> runner_pb2.ClaimBuildResponse:
    """A build with one step, as if it had been claimed."""
    connection = client.connection_of(None)
    request = build_pb2.CreateBuildRequest(parent="namespaces/team/models/fraud")
    made = runner_pb2.ClaimBuildResponse(build=connection.call(connection.builds.CreateBuild, request).build)
    made.template.steps.add(name="step", command=command or ("true",))
    return made


def start(server: Server, folder: WorkFolder, task: runner_pb2.ClaimBuildResponse) -> subprocess.Popen[bytes]:
    job = Job(server.endpoint, folder.path, task.SerializeToString(), grace=1.0)
    process = subprocess.Popen(
        [sys.executable, "-m", "regsvc.client.working.worker"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        bufsize=0,
        pass_fds=(folder.lock,),
    )
    assert process.stdin is not None
    process.stdin.write(job.to_line())
    return process


def end(process: subprocess.Popen[bytes]) -> Ending:
    assert process.stdout is not None
    found = ending_from(process.stdout.read())  # with stdin open: its end means that the runner died
    process.communicate(timeout=60)
    assert found is not None
    return found


def test_an_input_whose_version_is_gone(server: Server, client: Client, folder: WorkFolder) -> None:
    task = claimed(client)
    task.build.run.inputs.add(version="namespaces/team/models/rows/versions/3", folder="data")
    assert end(start(server, folder, task)) == Ending("FAILED", "input data: team/rows:3 is gone")
    build = client.get_build("team/fraud/builds/1")
    assert (build.state, build.reason) == ("FAILED", "input data: team/rows:3 is gone")


@pytest.mark.parametrize(
    ("source", "reason"),
    [
        (
            run_pb2.TemplateSource(
                git=run_pb2.GitSource(url="https://me:secret@example.org/a.git", commit="main")
            ),
            "the source's URL has credentials in it, or a query that may be one; the runner has its own",
        ),
        (
            run_pb2.TemplateSource(version="namespaces/team/models/code/versions/1"),
            "the source: team/code:1 is gone",
        ),
        (run_pb2.TemplateSource(version="../../etc"), None),
    ],
)
def test_a_source_that_is_none(
    server: Server, client: Client, folder: WorkFolder, source: run_pb2.TemplateSource, reason: str | None
) -> None:
    task = claimed(client)
    task.build.run.source.CopyFrom(source)
    found = end(start(server, folder, task))
    assert found.state == "FAILED"
    assert reason is None or found.reason == reason
    assert all("secret" not in line.text for line in client.logs("team/fraud/builds/1"))


@pytest.mark.parametrize("path", ["/etc/passwd", "../own/params.json", "a/../../x"])
def test_an_output_out_of_the_work_folder(
    server: Server, client: Client, folder: WorkFolder, path: str
) -> None:
    task = claimed(client)
    task.template.outputs.add(path=path)
    assert end(start(server, folder, task)) == Ending(
        "FAILED", f"output {path}: a path within the work folder is expected"
    )


def test_it_can_be_stopped_before_it_has_reached_the_server(
    start_server: Callable[..., Server], folder: WorkFolder
) -> None:
    server = start_server()
    with regsvc.connect(server.endpoint) as client:
        task = claimed(client)
    server.kill()
    process = start(server, folder, task)
    assert process.stdin is not None
    process.stdin.write(b"stop\n")
    assert end(process) == Ending("LOST", "the runner was stopped")
    assert not Path(folder.path).exists()


def test_a_build_that_waits_for_the_server_is_done_when_it_is_there(
    start_server: Callable[..., Server], folder: WorkFolder
) -> None:
    server = start_server()
    with regsvc.connect(server.endpoint) as client:
        task = claimed(client, "echo", "hello")
        server.kill()
        process = start(server, folder, task)
        server.start()
        assert end(process) == Ending("SUCCEEDED")
        assert [line.text for line in client.logs("team/fraud/builds/1")] == ["hello"]


def test_a_refused_record_fails_the_build_and_says_why(
    server: Server, client: Client, folder: WorkFolder
) -> None:
    script = "import regsvc; regsvc.current_build().set_tags({str(n): 'x' * 16000 for n in range(600)})"
    found = end(start(server, folder, claimed(client, sys.executable, "-c", script)))
    build = client.get_build("team/fraud/builds/1")
    assert (found.state, build.state) == ("FAILED", "FAILED")
    assert build.reason.startswith("not everything was recorded: ")

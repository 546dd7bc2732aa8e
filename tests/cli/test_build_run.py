"""`regsvc build run`: a command's output, steps and end as a build."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from support import Server, run_cli, wait_until

import regsvc
from regsvc.client.client import Client
from regsvc.content.comparison import Direction


@pytest.fixture
def client(shared_server: Server) -> Iterator[Client]:
    with regsvc.connect(shared_server.endpoint) as client:
        yield client


class Run:
    """What one `build run` gave."""

    def __init__(self, status: int, stdout: bytes, stderr: bytes) -> None:
        self.status = status
        self.stdout = stdout
        self.stderr = stderr

    @property
    def result(self) -> Any:
        """The JSON document: the last line of stdout."""
        return json.loads(self.stdout.splitlines()[-1])

    @property
    def printed(self) -> bytes:
        """What the command wrote to stdout, before the JSON document."""
        return self.stdout[: self.stdout.rindex(b'{"build"')]


def start_run(
    endpoint: str, *command: str, options: tuple[str, ...] = (), model: str = "team/run"
) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "regsvc", "build", "run", model, "--json", *options, "--", *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "REGSVC_ENDPOINT": endpoint},
    )


def run(server: Server, *command: str, **how: Any) -> Run:
    process = start_run(server.endpoint, *command, **how)
    stdout, stderr = process.communicate(timeout=120)
    return Run(process.returncode, stdout, stderr)


def python(script: str) -> tuple[str, ...]:
    return sys.executable, "-c", textwrap.dedent(script)


def only_build(client: Client, model: str) -> str:
    """The name of the newest build of a model, once there is one."""
    found: list[str] = []

    def exists() -> bool:
        try:
            found.extend(build.name for build in client.builds(model))
        except regsvc.NotFound:
            return False
        return bool(found)

    wait_until(exists, what=f"a build of {model}")
    return found[0]


def test_output_is_passed_on_and_is_the_log(shared_server: Server, client: Client) -> None:
    done = run(
        shared_server,
        *python("""
            import sys
            print("to stdout"); print("to stderr", file=sys.stderr); print("again")
        """),
    )
    assert (done.status, done.printed, done.stderr) == (0, b"to stdout\nagain\n", b"to stderr\n")
    assert done.result["state"] == "SUCCEEDED"
    lines = list(client.logs(done.result["build"]))
    assert [line.seq for line in lines] == [1, 2, 3]
    assert [line.text for line in lines if line.stream == "stdout"] == ["to stdout", "again"]
    assert [line.text for line in lines if line.stream == "stderr"] == ["to stderr"]


def test_odd_output_is_kept_byte_by_byte(shared_server: Server, client: Client) -> None:
    expected = b"\xff\xfe latin \xe9\n" + b"x" * (1 << 20) + b"\n\n\r50%\r100%\n\0\nno newline"
    script = f"""
        import sys
        sys.stdout.buffer.write({expected[:11]!r} + b"x" * (1 << 20) + {expected[11 + (1 << 20) :]!r})
    """
    done = run(shared_server, *python(script))
    assert done.printed == expected + b"\n"  # so that the JSON document begins a line
    lines = list(client.logs(done.result["build"]))
    assert b"".join(line.raw if line.partial else line.raw + b"\n" for line in lines) == expected + b"\n"
    assert lines[0].raw == b"\xff\xfe latin \xe9"
    assert lines[-1].raw == b"no newline"
    assert sum(line.partial for line in lines) >= 3


@pytest.mark.parametrize(
    ("command", "status", "state", "reason"),
    [
        (["true"], 0, "SUCCEEDED", ""),
        (["sh", "-c", "exit 7"], 7, "FAILED", "exit status 7"),
        (["sh", "-c", "kill -9 $$"], 137, "FAILED", "killed by SIGKILL"),
        (["no-such-command"], 127, "FAILED", "cannot start no-such-command: command not found"),
        (["/etc/passwd"], 126, "FAILED", "cannot start /etc/passwd: Permission denied"),
    ],
)
def test_the_exit_status_is_the_commands(
    shared_server: Server, client: Client, command: list[str], status: int, state: str, reason: str
) -> None:
    done = run(shared_server, *command)
    assert done.status == status
    assert (done.result["exit_status"], done.result["state"]) == (status, state)
    found = client.get_build(done.result["build"])
    assert (found.state, found.reason) == (state, reason)


def test_without_json_one_line_on_stderr_sums_up(shared_server: Server) -> None:
    done = shared_server.cli("build", "run", "team/sum", "--", "echo", "hi")
    assert done.stdout == "hi\n"
    assert done.stderr == "regsvc: build team/sum/builds/1 SUCCEEDED\n"


def test_steps_params_and_metrics_of_the_child(shared_server: Server, client: Client) -> None:
    done = run(
        shared_server,
        *python("""
            import os, sys, regsvc
            build = regsvc.current_build()
            build.log_params({"lr": 0.1, "layers": 3, "name": "tiny", "frozen": True})
            print("before")
            for number in range(50):
                with build.step(f"step {number}"):
                    print("in", number)
                    sys.stderr.write(f"err {number}\\n")
                    build.log_metric("loss", 1 / (number + 1), step=number)
                print("out", number)
            with build.step("outer"):
                build.log("outer")
                with build.step("inner"):
                    build.log("inner")
                build.log("outer")
            build.log_metric("last", 1)
            build.define_metric("last", "lower")
            os._exit(0)  # what was recorded is safe already
        """),
        options=("--param", "seed=7", "--tag", "who=me"),
    )
    assert done.status == 0, done.stderr
    found = client.get_build(done.result["build"])
    assert found.params == {"seed": 7, "lr": 0.1, "layers": 3, "name": "tiny", "frozen": True}
    assert found.tags == {"who": "me"}
    assert found.metrics == {"loss": 1 / 50, "last": 1.0}
    assert client.metric_definitions("team/run") == {"last": Direction.LOWER}
    assert [(step.name, step.state) for step in found.steps] == [
        *((f"step {number}", "SUCCEEDED") for number in range(50)),
        ("outer", "SUCCEEDED"),
        ("inner", "SUCCEEDED"),
    ]
    lines = list(client.logs(done.result["build"]))
    assert [line.seq for line in lines] == list(range(1, 155))
    for line in lines:
        word, _, number = line.text.partition(" ")
        expected = {"in": f"step {number}", "err": f"step {number}", "out": "", "before": ""}
        assert line.step == expected.get(word, word)


def test_a_step_that_the_child_did_not_leave_has_failed(shared_server: Server, client: Client) -> None:
    done = run(
        shared_server,
        *python("""
            import os, regsvc
            with regsvc.current_build().step("train"):
                print("half", end="", flush=True)
                os._exit(3)
        """),
    )
    assert done.status == 3
    found = client.get_build(done.result["build"])
    assert [(step.name, step.state) for step in found.steps] == [("train", "FAILED")]
    assert [(line.step, line.text) for line in client.logs(found.name)] == [("train", "half")]


def test_forked_workers_may_record(shared_server: Server, client: Client) -> None:
    done = run(
        shared_server,
        *python("""
            import multiprocessing, regsvc
            build = regsvc.current_build()
            build.log_param("from", "parent")
            def work(number):
                for step in range(100):
                    regsvc.current_build().log_metric(f"worker {number}", step, step=step)
                return number
            with multiprocessing.get_context("fork").Pool(3) as pool:
                print(sum(pool.map(work, range(3), chunksize=1)))
        """),
    )
    assert (done.status, done.printed) == (0, b"3\n"), done.stderr
    assert client.get_build(done.result["build"]).metrics == {f"worker {n}": 99.0 for n in range(3)}


def test_workers_forked_while_threads_record_may_record(shared_server: Server, client: Client) -> None:
    """A lock that a thread holds at that moment is nobody's in the worker."""
    done = run(
        shared_server,
        *python("""
            import os, regsvc, signal, threading
            build = regsvc.current_build()
            ended = threading.Event()
            def record(number):
                while not ended.is_set():
                    build.log_record(regsvc.Record(labels=[f"thread {number}"]))
            threads = [threading.Thread(target=record, args=(number,)) for number in range(4)]
            for thread in threads:
                thread.start()
            statuses = []
            for number in range(10):
                if (worker := os.fork()) == 0:
                    signal.alarm(30)
                    build.log_record(regsvc.Record(labels=[f"worker {number}"]))
                    build.log_metric("loss", 0.5, step=number)
                    os._exit(0)
                statuses.append(os.waitpid(worker, 0)[1])
            ended.set()
            for thread in threads:
                thread.join()
            print(statuses)
        """),
    )
    assert (done.status, done.printed) == (0, b"[0, 0, 0, 0, 0, 0, 0, 0, 0, 0]\n"), done.stderr
    labels = set(client.record(done.result["build"]).record.labels)
    assert labels == {*(f"thread {n}" for n in range(4)), *(f"worker {n}" for n in range(10))}


def test_a_worker_forked_while_a_thread_first_imports_may_use_the_client(shared_server: Server) -> None:
    """Python's locks of modules that are being imported are nobody's in the worker."""
    program = """
        import os, regsvc, signal, sys, threading
        begun = threading.Event()
        class Watch:  # says when the client begins to be imported
            def find_spec(self, name, path=None, target=None):
                if name.startswith("regsvc.client"):
                    begun.set()
        sys.meta_path.insert(0, Watch())
        first = threading.Thread(target=lambda: regsvc.connect)
        first.start()
        begun.wait()
        if (worker := os.fork()) == 0:
            signal.alarm(30)
            with regsvc.connect() as client:
                list(client.models())
            os._exit(0)
        first.join()
        print(os.waitpid(worker, 0)[1])
    """
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env={**os.environ, "REGSVC_ENDPOINT": shared_server.endpoint},
        capture_output=True,
        check=False,
    )
    assert (done.stdout, done.stderr) == (b"0\n", b"")


def test_data_is_logged_before_or_after_a_fork_and_never_hangs(
    shared_server: Server, client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d.csv").write_text("a\n1\n2\n")
    (tmp_path / "w").write_bytes(b"w")
    done = run(
        shared_server,
        *python("""
            import os, regsvc, signal
            build = regsvc.current_build()
            def worker(split):
                if (child := os.fork()) == 0:
                    signal.alarm(60)
                    try:
                        build.log_dataset("d.csv", "forked/d", split=split)
                    except regsvc.FailedPrecondition as error:
                        print(error, flush=True)
                    build.publish("w")
                    os._exit(0)
                return os.waitpid(child, 0)[1]
            print(worker("before"), flush=True)
            build.log_dataset("d.csv", "forked/d", split="parent")
            print(worker("after"), flush=True)
        """),
    )
    first, refused, second = done.printed.decode().splitlines()
    assert (first, second) == ("0", "0")
    assert "start processes by 'spawn'" in refused
    uses = client.record(done.result["build"]).record.datasets
    assert {(use.dataset, use.split) for use in uses} == {
        ("namespaces/forked/datasets/d/versions/1", split) for split in ("before", "parent")
    }


def test_a_record_that_cannot_be_sent_is_refused_and_the_build_goes_on(
    shared_server: Server, client: Client
) -> None:
    done = run(
        shared_server,
        *python("""
            import regsvc
            build = regsvc.current_build()
            for bad in (
                regsvc.Record(card="\\udcff"),
                regsvc.Record(labels=[1]),
                regsvc.Record(labels=["two\\nlines"]),
                regsvc.Record(signature=regsvc.Signature(inputs=[regsvc.TensorSpec("x", "f4", ("?",))])),
            ):
                try:
                    build.log_record(bad)
                    build.flush()
                except regsvc.RegsvcError as error:
                    print(type(error).__name__)
            build.log_record(regsvc.Record(labels=["good"]))
        """),
    )
    assert done.printed.decode().split() == [
        "InvalidArgument",
        "InvalidArgument",
        "RecordInvalid",
        "InvalidArgument",
    ]
    assert client.record(done.result["build"]).record.labels == ("good",)


def test_nan_raises_in_the_child(shared_server: Server) -> None:
    done = run(
        shared_server, *python("import regsvc; regsvc.current_build().log_metric('loss', float('nan'))")
    )
    assert done.status == 1
    assert b"MetricNotFinite" in done.stderr


def test_success_publishes(shared_server: Server, client: Client, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    folder.mkdir()
    done = run(
        shared_server,
        *python(f"""
            import regsvc
            regsvc.current_build().log_metrics({{"f1": 0.9}})
            open({str(folder / "w")!r}, "w").write("weights")
        """),
        options=("--publish", str(folder), "--alias", "candidate"),
        model="team/published",
    )
    assert done.status == 0, done.stderr
    assert done.result["version"] == "team/published:1"
    version = client.version("team/published@candidate")
    assert (version.digest, version.build) == (done.result["digest"], done.result["build"])
    assert version.metrics == {"f1": 0.9}
    assert client.get_build(done.result["build"]).versions == ("team/published:1",)


def test_the_child_may_publish_by_itself(shared_server: Server, client: Client, tmp_path: Path) -> None:
    (tmp_path / "w").write_text("weights")
    done = run(
        shared_server,
        *python(f"""
            import regsvc
            build = regsvc.current_build()
            build.log_metric("f1", 0.5)
            print(build.publish({str(tmp_path)!r}).reference)
        """),
        model="team/byitself",
    )
    assert (done.status, done.printed) == (0, b"team/byitself:1\n"), done.stderr
    assert client.version("team/byitself:1").metrics == {"f1": 0.5}


def test_failure_publishes_nothing(shared_server: Server, client: Client, tmp_path: Path) -> None:
    (tmp_path / "w").write_text("weights")
    done = run(shared_server, "false", options=("--publish", str(tmp_path)), model="team/failed")
    assert (done.status, done.result["version"]) == (1, None)
    assert client.get_build(done.result["build"]).versions == ()


def test_what_cannot_be_published_fails_the_build(shared_server: Server, client: Client) -> None:
    done = run(shared_server, "true", options=("--publish", "/no/such/folder"))
    assert done.status == 1
    found = client.get_build(done.result["build"])
    assert found.state == "FAILED"
    assert "/no/such/folder" in found.reason


def test_an_alias_without_publish_is_a_usage_error(shared_server: Server) -> None:
    done = shared_server.cli("build", "run", "team/run", "--alias", "a", "--", "true", check=False)
    assert done.returncode == 2


TREE = """
import subprocess, sys, time
subprocess.Popen(["sleep", "600"])
print("ready", flush=True)
time.sleep(600)
"""


def test_cancel_ends_the_command_and_all_that_it_started(shared_server: Server, client: Client) -> None:
    process = start_run(shared_server.endpoint, *python(TREE), model="team/cancelled")
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    shared_server.cli("build", "cancel", only_build(client, "team/cancelled"))
    stdout, stderr = process.communicate(timeout=60)  # ends only when `sleep` has let go of the pipe
    result = json.loads(stdout.splitlines()[-1])
    assert (process.returncode, result["state"]) == (143, "CANCELLED"), stderr
    found = client.get_build(result["build"])
    assert (found.state, found.reason) == ("CANCELLED", "cancel requested")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_signals_go_on_to_the_command(
    shared_server: Server, client: Client, number: signal.Signals, status: int
) -> None:
    process = start_run(shared_server.endpoint, "sh", "-c", "echo ready; exec sleep 600")
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    process.send_signal(number)
    stdout, _ = process.communicate(timeout=60)
    result = json.loads(stdout.splitlines()[-1])
    assert (process.returncode, result["state"]) == (status, "CANCELLED")
    assert client.get_build(result["build"]).reason == f"stopped by {number.name}"


def test_a_daemon_that_keeps_the_pipe_does_not_keep_the_build(shared_server: Server, client: Client) -> None:
    done = run(shared_server, "sh", "-c", "setsid sleep 20 2>/dev/null & echo started; exit 0")
    assert (done.status, done.printed) == (0, b"started\n")
    assert client.get_build(done.result["build"]).state == "SUCCEEDED"


def test_a_killed_server_costs_no_line_and_does_not_disturb_the_command(
    server: Server, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    process = start_run(
        server.endpoint,
        *python(f"""
            import os, time, regsvc
            build = regsvc.current_build()
            with build.step("train"):
                for number in range(3000):
                    print("line", number)
                    build.log_metric("loss", number, step=number)
                    if number == 1000:
                        while not os.path.exists({str(go)!r}):
                            time.sleep(0.01)
            print("done")
        """),
    )
    follower = None
    with regsvc.connect(server.endpoint) as client:
        name = only_build(client, "team/run")
        follower = subprocess.Popen(
            [sys.executable, "-m", "regsvc", "--server", server.endpoint, "logs", "-f", name],
            stdout=subprocess.PIPE,
            bufsize=0,  # what is read of it is not held here
        )
        assert follower.stdout is not None
        first = follower.stdout.readline()  # it is there before the server goes
        wait_until(lambda: client.get_build(name).log_seq > 500, what="lines have arrived")
        server.kill()
        go.touch()
        server.start()
        stdout, stderr = process.communicate(timeout=120)
        followed = first + follower.communicate(timeout=60)[0]
        expected = [f"line {number}" for number in range(3000)] + ["done"]
        assert process.returncode == 0, stderr
        assert stdout.decode().splitlines()[:-1] == expected
        assert followed.decode().splitlines() == expected
        lines = list(client.logs(name))
        assert [line.seq for line in lines] == list(range(1, 3002))
        assert [line.text for line in lines] == expected
        found = client.get_build(name)
        assert [(step.name, step.state) for step in found.steps] == [("train", "SUCCEEDED")]
        values = [point.value for update in client.watch_build(name) for point in update.metrics]
        assert values == list(range(3000))


def test_a_line_reaches_a_follower_in_another_process_within_200_ms(
    shared_server: Server, client: Client, tmp_path: Path
) -> None:
    go = tmp_path / "go"
    process = start_run(
        shared_server.endpoint,
        *python(f"""
            import os, time
            print("ready")
            while not os.path.exists({str(go)!r}):
                time.sleep(0.01)
            for _ in range(200):
                print(time.monotonic())
                time.sleep(0.005)
        """),
        model="team/latency",
    )
    follower = subprocess.Popen(
        [
            *(sys.executable, "-m", "regsvc", "--server", shared_server.endpoint),
            *("logs", "-f", only_build(client, "team/latency")),
        ],
        stdout=subprocess.PIPE,
    )
    assert follower.stdout is not None
    assert follower.stdout.readline() == b"ready\n"
    go.touch()
    delays = sorted(time.monotonic() - float(line) for line in follower.stdout)  # one clock for all processes
    follower.stdout.close()
    process.communicate(timeout=60)
    assert (process.returncode, follower.wait(timeout=60), len(delays)) == (0, 0, 200)
    assert delays[int(0.99 * len(delays)) - 1] < 0.2, delays[-5:]


def test_the_output_outlives_whoever_reads_it(shared_server: Server, client: Client) -> None:
    command = [sys.executable, "-m", "regsvc", "build", "run", "team/head", "--", "seq", "100000"]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "REGSVC_ENDPOINT": shared_server.endpoint},
    )
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    assert process.stderr is not None
    assert b"SUCCEEDED" in process.stderr.read()
    process.stderr.close()
    assert process.wait(timeout=60) == 0
    assert client.get_build("team/head/builds/1").log_seq == 100_000


def test_a_lost_build_does_not_disturb_the_command_but_is_told(
    start_server: Callable[..., Server], tmp_path: Path
) -> None:
    server = start_server("--build-lease", "2")
    go = tmp_path / "go"
    script = f"echo ready; while [ ! -e {go} ]; do sleep 0.05; done; echo done"
    process = start_run(server.endpoint, "sh", "-c", script)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    with regsvc.connect(server.endpoint) as client:
        name = only_build(client, "team/run")
        process.send_signal(signal.SIGSTOP)
        wait_until(lambda: client.get_build(name).state == "LOST", what="the build is lost")
        process.send_signal(signal.SIGCONT)
        go.touch()
    stdout, _ = process.communicate(timeout=60)
    result = json.loads(stdout.splitlines()[-1])
    assert stdout.startswith(b"done\n")
    assert (process.returncode, result["state"]) == (1, "LOST")
    assert "LOST" in result["unrecorded"]


def test_ls_and_show(shared_server: Server) -> None:
    done = run(shared_server, "sh", "-c", "echo one; exit 3", model="team/shown", options=("--param", "a=1"))
    listed = json.loads(shared_server.cli("build", "ls", "team/shown", "--json").stdout)
    assert [(build["build"], build["state"]) for build in listed] == [(done.result["build"], "FAILED")]
    shown = json.loads(shared_server.cli("build", "show", done.result["build"], "--json").stdout)
    assert (shown["reason"], shown["params"], shown["log_seq"]) == ("exit status 3", {"a": 1}, 1)
    assert "exit status 3" in shared_server.cli("build", "ls", "team/shown").stdout
    assert "param a" in shared_server.cli("build", "show", done.result["build"]).stdout


def test_an_unknown_build_is_one_line_and_status_1(shared_server: Server) -> None:
    done = run_cli("build", "show", "team/none/builds/1", endpoint=shared_server.endpoint, check=False)
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1


def test_the_record_has_the_python_that_trains_and_the_lock_file_beside_it(
    server: Server, tmp_path: Path
) -> None:
    """COMMAND may run in an environment of its own: the one of `build run` says nothing of it."""
    site = tmp_path / "site"
    (site / "only_in_training-3.1.dist-info").mkdir(parents=True)
    (site / "only_in_training-3.1.dist-info/METADATA").write_text("Name: only-in-training\nVersion: 3.1\n")
    (tmp_path / "uv.lock").write_text("version = 1\n")
    program = (
        f"import sys; sys.path.append({str(site)!r}); import regsvc; b = regsvc.current_build();"
        "b.log_record(regsvc.Record(labels=['from-training'], card='# Card'))"
    )
    environment = {"REGSVC_CAPTURE": "environment"}
    command = ("build", "run", "record/child")
    tail = ("--publish", "uv.lock", "--", sys.executable, "-c", program)
    server.cli(*command, *tail, cwd=tmp_path, env=environment)
    server.cli(*command, "--no-capture", *tail, cwd=tmp_path, env=environment)
    with regsvc.connect(server.endpoint) as client:
        made = client.record("record/child:1").record
        assert made.environment.packages["only-in-training"] == "3.1"
        assert made.environment.lock_file == "uv.lock"
        assert client.attachment("record/child:1", "uv.lock") == b"version = 1\n"
        assert (made.labels, made.card) == (("from-training",), "# Card")
        assert not client.record("record/child:2").record.environment.packages

"""Records and datasets from many at once, and over kills: nothing is lost, doubled or half there."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap
import threading
from pathlib import Path

import pytest
from support import Server, wait_until

import regsvc

READY = """
    import os, regsvc, time
    build = regsvc.current_build()
    print("ready", flush=True)
    while not os.path.exists("go"):
        time.sleep(0.005)
"""


def start(server: Server, folder: Path, model: str, script: str) -> subprocess.Popen[bytes]:
    """`build run` of a script in a folder."""
    child = [sys.executable, "-c", textwrap.dedent(READY) + textwrap.dedent(script)]
    return subprocess.Popen(
        [sys.executable, "-m", "regsvc", "build", "run", model, "--", *child],
        cwd=folder,
        env={**os.environ, "REGSVC_ENDPOINT": server.endpoint},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    )


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "d.csv").write_text("a,b\n" + "".join(f"{n},{n * n}\n" for n in range(2_000)))
    (tmp_path / "w").write_bytes(b"w")
    return tmp_path


def is_ready(client: regsvc.Client, model: str) -> bool:
    """Whether the script of the model's first build is where it waits."""
    try:
        return any(line.text == "ready" for line in client.logs(f"{model}/builds/1", follow=False))
    except regsvc.NotFound:
        return False


def test_notes_of_two_clients_at_once_are_all_there_each_ones_in_its_order(
    server: Server, folder: Path
) -> None:
    with regsvc.connect(server.endpoint) as client:
        client.push(folder / "w", "once/m")

        def add(author: str) -> None:
            with regsvc.connect(server.endpoint) as other:
                for number in range(25):
                    other.add_note("once/m:1", str(number), author=author)

        threads = [threading.Thread(target=add, args=(author,)) for author in ("ann", "bob")]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        notes = list(client.notes("once/m:1"))
    for author in ("ann", "bob"):
        assert [note.text for note in notes if note.author == author] == [str(n) for n in range(25)]
    assert len(notes) == 50


def test_builds_that_log_the_same_data_at_once_get_one_version(server: Server, folder: Path) -> None:
    models = ["once/a", "once/b"]
    script = 'build.log_dataset("d.csv", "once/data", split="train"); build.publish("w")'
    with regsvc.connect(server.endpoint) as client:
        runs = [start(server, folder, model, script) for model in models]
        wait_until(lambda: all(is_ready(client, model) for model in models))
        (folder / "go").touch()
        for run in runs:
            assert run.wait(120) == 0, run.communicate()
            run.communicate()
        digests = set()
        for model in models:
            [use] = client.record(f"{model}:1").record.datasets
            assert (use.dataset, use.split) == ("namespaces/once/datasets/data/versions/1", "train")
            digests.add(use.digest)
        assert len(digests) == 1
        with pytest.raises(regsvc.NotFound):
            client.dataset("once/data:2")


def test_a_server_killed_under_a_build_loses_nothing_and_doubles_nothing(
    server: Server, folder: Path
) -> None:
    script = """
        for number in range(20):
            build.log_record(regsvc.Record(labels=[f"l{number}"]))
        build.log_dataset("d.csv", "killed/data", split="train")
        build.use_dataset("killed/data:1", split="test")
        build.publish("w")
    """
    with regsvc.connect(server.endpoint) as client:
        run = start(server, folder, "killed/m", script)
        wait_until(lambda: is_ready(client, "killed/m"))
    server.kill()
    (folder / "go").touch()
    server.start()
    wait_until(lambda: server.cli("dataset", "show", "killed/data", check=False).returncode == 0)
    server.kill()  # and once more, wherever it is now
    server.start()
    assert run.wait(120) == 0, run.communicate()
    run.communicate()
    with regsvc.connect(server.endpoint) as client:
        for owner in ("killed/m/builds/1", "killed/m:1"):
            record = client.record(owner).record
            assert set(record.labels) == {f"l{number}" for number in range(20)}
            uses = [(use.dataset, use.split) for use in record.datasets]
            assert uses == [
                (f"namespaces/killed/datasets/data/versions/{number}", split)
                for number, split in ((1, "train"), (1, "test"))
            ]
        assert client.model("killed/m").latest == 1
        with pytest.raises(regsvc.NotFound):
            client.dataset("killed/data:2")


def test_a_process_killed_while_it_logs_data_leaves_a_whole_dataset_or_none(
    server: Server, folder: Path
) -> None:
    script = """
        import signal, threading
        threading.Timer(0.2, os.kill, (os.getpid(), signal.SIGKILL)).start()
        while True:
            build.log_dataset("d.csv", "ended/data", split="train")
    """
    (folder / "go").touch()
    run = start(server, folder, "ended/m", script)
    run.communicate(timeout=120)
    assert run.returncode == 128 + 9
    with regsvc.connect(server.endpoint) as client:
        assert client.get_build("ended/m/builds/1").state == "FAILED"
        used = client.record("ended/m/builds/1").record.datasets
        again = client.log_dataset(folder / "d.csv", "ended/data")
        assert again.reference == "ended/data:1"
        assert again.rows == 2_000
        assert {use.digest for use in used} <= {again.digest}

"""Work folders are the dead's only when nobody holds them, and go with all that was made in them and still runs."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from support import wait_until

from regsvc.client.working.own_processes import MARK, Process, end_marked, identify
from regsvc.client.working.removing import remove_tree
from regsvc.client.working.work_folder import WorkFolder, WorkRoot
from regsvc.errors import FailedPrecondition

SLEEPER = [sys.executable, "-c", "import time; time.sleep(600)"]


@pytest.fixture
def root(tmp_path: Path) -> WorkRoot:
    made = WorkRoot(tmp_path / "runner")
    made.prepare()
    return made


@pytest.fixture
def processes() -> Iterator[list[subprocess.Popen[bytes]]]:
    started: list[subprocess.Popen[bytes]] = []
    yield started
    for process in started:
        process.kill()
        process.wait()


def abandoned(root: WorkRoot, build: str = "namespaces/a/models/b/builds/1") -> WorkFolder:
    """A folder whose runner has died."""
    folder = root.create()
    folder.note(build=build)
    folder.release()
    return folder


def test_a_held_folder_is_left_alone(root: WorkRoot) -> None:
    folder = root.create()
    assert list(root.sweep()) == []
    assert os.path.isdir(folder.work)
    folder.release()
    assert len(list(root.sweep())) == 1
    assert not os.path.lexists(folder.path)


def test_a_worker_holds_it_after_its_runner(root: WorkRoot, processes: list[subprocess.Popen[bytes]]) -> None:
    folder = root.create()
    processes.append(subprocess.Popen(SLEEPER, pass_fds=(folder.lock,)))
    folder.release()
    assert list(root.sweep()) == []
    processes[0].kill()
    processes[0].wait()
    assert len(list(root.sweep())) == 1


def test_what_is_not_of_a_runner_stays(root: WorkRoot, tmp_path: Path) -> None:
    others = [Path(root.path) / "notes.txt", Path(root.path) / "models" / "a", tmp_path / "outside" / "b"]
    for each in others:
        each.parent.mkdir(exist_ok=True)
        each.write_text("mine")
    (Path(root.path) / ("0" * 16 + ".journal")).symlink_to(others[0])
    assert list(root.sweep()) == []
    assert all(each.read_text() == "mine" for each in others)


def test_an_interrupted_removal_is_gone_on_with(root: WorkRoot) -> None:
    folder = abandoned(root)
    remove_tree(folder.path)
    assert len(list(root.sweep())) == 1
    assert os.listdir(root.path) == ["lock"]


def test_a_step_that_empties_its_folder_and_writes_into_the_journal(root: WorkRoot) -> None:
    folder = root.create()
    folder.note(build="namespaces/a/models/b/builds/1")
    folder.note(pid="all", started=None, boot=3, control=["/"])
    with open(folder.path + ".journal", "ab") as journal:
        journal.write(b'[]\n"x"\n\xff\xfe\n{"pid"')
    remove_tree(folder.path)
    os.mkdir(folder.path)
    assert list(root.sweep()) == []
    folder.release()
    assert [left.build for left in root.sweep()] == ["namespaces/a/models/b/builds/1"]
    assert os.listdir(root.path) == ["lock"]


def test_a_kept_folder_is_kept_but_nothing_runs_in_it(
    root: WorkRoot, processes: list[subprocess.Popen[bytes]]
) -> None:
    folder = abandoned(root)
    folder.keep()
    processes.append(subprocess.Popen(SLEEPER, env={**os.environ, MARK: folder.path}))
    wait_until(lambda: sum(left.processes for left in root.sweep()))
    assert processes[0].wait(10) == -9
    assert os.path.isdir(folder.work)
    remove_tree(folder.path)
    assert list(root.sweep()) == []
    assert os.listdir(root.path) == ["lock"]


def test_processes_are_found_by_start_by_session_and_by_environment(
    root: WorkRoot, processes: list[subprocess.Popen[bytes]]
) -> None:
    folder = abandoned(root)
    script = "import subprocess, sys, time; subprocess.Popen(sys.argv[1:]); print('up', flush=True); time.sleep(600)"
    leader = subprocess.Popen(
        [sys.executable, "-c", script, *SLEEPER], start_new_session=True, stdout=subprocess.PIPE
    )
    own = subprocess.Popen(SLEEPER, env={**os.environ, MARK: folder.path}, start_new_session=True)
    other = subprocess.Popen(SLEEPER, env={**os.environ, MARK: folder.path + "0"}, start_new_session=True)
    processes += [leader, own, other]
    assert leader.stdout is not None
    assert leader.stdout.readline() == b"up\n"
    folder.began(leader.pid)
    wait_until(lambda: own.poll() is None and f"{MARK}=" in environment(own.pid))
    found = list(root.sweep())
    assert [left.processes for left in found] == [3]
    assert (leader.wait(10), own.wait(10), other.poll()) == (-9, -9, None)
    assert leader.stdout.read() == b""  # the leader's child held it, too


def environment(pid: int) -> str:
    return Path(f"/proc/{pid}/environ").read_text()


def test_a_pid_that_is_anothers_by_now_is_left_alone(
    root: WorkRoot, processes: list[subprocess.Popen[bytes]]
) -> None:
    processes.append(subprocess.Popen(SLEEPER, start_new_session=True))
    real = identify(processes[0].pid)
    assert real is not None
    earlier = Process(real.pid, real.started - 1, real.boot)
    before = Process(real.pid, real.started, "another-boot")
    assert end_marked("/nowhere/else", [earlier, before]) == 0
    assert processes[0].poll() is None
    assert end_marked("/nowhere/else", [real]) == 1


def test_a_folder_that_all_may_write_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "open"
    folder.mkdir()
    folder.chmod(0o777)
    with pytest.raises(FailedPrecondition, match="all may write"):
        WorkRoot(folder).prepare()


def test_removing_goes_through_read_only_folders_deep_ones_and_not_through_links(tmp_path: Path) -> None:
    script = """
import os, sys
from pathlib import Path
from regsvc.client.working.removing import remove_tree
os.setgroups([]); os.setgid(65534); os.setuid(65534)  # root may do everything
top = Path(sys.argv[1])
(top / "a/b/c").mkdir(parents=True)
(top / "a/b/c/file").write_text("x")
(top / "a/b/c/file").chmod(0)
(top / "link").symlink_to(sys.argv[2])
for each in ("a/b/c", "a/b", "a"):
    (top / each).chmod(0o500)
(top / "closed").mkdir(mode=0)
os.mkdir(top / "deep")
os.chdir(top / "deep")
for _ in range(3000):
    os.mkdir("d"); os.chdir("d")
os.chdir("/")
remove_tree(str(top))
"""
    place = Path(tempfile.mkdtemp())  # tmp_path is in a folder that only its owner may enter
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").write_text("stays")
    place.chmod(0o777)
    if os.geteuid() != 0:
        script = script.replace("os.setgroups([]); os.setgid(65534); os.setuid(65534)", "pass")
    done = subprocess.run(
        [sys.executable, "-c", script, str(place / "top"), str(outside)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert list(place.iterdir()) == []
    place.rmdir()
    assert (outside / "file").read_text() == "stays"

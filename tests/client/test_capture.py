"""Capture: what a repository and a machine tell, and that nothing of it makes a push fail or gives secrets away."""

from __future__ import annotations

import importlib.metadata
import io
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from support import Server

import regsvc
from regsvc.client.capture import capture
from regsvc.client.capture import code as capture_code_module
from regsvc.client.capture import snapshot as snapshot_module
from regsvc.client.capture.code import without_credentials


@pytest.fixture(autouse=True)
def on(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests push without it; these are about it."""
    monkeypatch.setenv("REGSVC_CAPTURE", "")


def git(folder: Path, *arguments: str) -> str:
    command = ["git", "-c", "user.name=n", "-c", "user.email=e@x", "-c", "commit.gpgsign=false", *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one commit and a remote with credentials."""
    folder = tmp_path / "repository"
    folder.mkdir()
    git(folder, "init", "--quiet", "--initial-branch", "main")
    git(
        folder,
        "remote",
        "add",
        "origin",
        "https://user:secret-token@example.com/team/model.git?key=secret-token",
    )
    (folder / "train.py").write_text("lr = 0.1\n")
    git(folder, "add", ".")
    git(folder, "commit", "--quiet", "-m", "first")
    return folder


def test_a_clean_repository_is_its_remote_commit_and_branch(repository: Path) -> None:
    found = capture(repository)
    code = found.record.code
    assert code.remote == "https://example.com/team/model.git"
    assert code.commit == git(repository, "rev-parse", "HEAD")
    assert (code.branch, code.dirty, code.diff) == ("main", False, "")
    assert "code.diff" not in found.attachments
    assert "secret-token" not in repr(found)


def test_what_is_not_committed_is_kept_as_a_diff_that_applies(repository: Path, tmp_path: Path) -> None:
    (repository / "train.py").write_text("lr = 0.2\n")
    (repository / "weights.bin").write_bytes(bytes(range(256)))
    git(repository, "add", "weights.bin")
    (repository / "untracked.env").write_text("PASSWORD=secret-token")

    found = capture(repository)

    assert (found.record.code.dirty, found.record.code.diff) == (True, "code.diff")
    assert any("1 untracked" in gap for gap in found.record.gaps)
    assert b"secret-token" not in found.attachments["code.diff"]
    clone = tmp_path / "clone"
    git(tmp_path, "clone", "--quiet", str(repository), str(clone))
    (tmp_path / "code.diff").write_bytes(found.attachments["code.diff"])
    git(clone, "apply", "--binary", str(tmp_path / "code.diff"))
    assert (clone / "train.py").read_text() == "lr = 0.2\n"
    assert (clone / "weights.bin").read_bytes() == bytes(range(256))


def test_a_detached_head_has_a_commit_and_no_branch(repository: Path) -> None:
    git(repository, "checkout", "--quiet", "--detach")
    code = capture(repository).record.code
    assert (len(code.commit), code.branch) == (40, "")


def test_a_repository_without_commits_is_said_so(tmp_path: Path) -> None:
    git(tmp_path, "init", "--quiet")
    found = capture(tmp_path)
    assert found.record.code.commit == ""
    assert any("no commits" in gap for gap in found.record.gaps)


def test_a_diff_that_is_too_large_is_left_out_and_that_is_said(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(capture_code_module, "MAX_DIFF_BYTES", 1 << 20)
    (repository / "train.py").write_bytes(b"\n".join(os.urandom(40).hex().encode() for _ in range(100_000)))
    found = capture(repository)
    assert (found.record.code.dirty, found.record.code.diff) == (True, "")
    assert any("diff is larger" in gap for gap in found.record.gaps)
    assert "code.diff" not in found.attachments


def test_git_that_does_not_answer_is_given_up(
    repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    slow = tmp_path / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text("#!/bin/sh\nexec sleep 600\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(capture_code_module, "_SECONDS", 0.2)
    found = capture(repository)
    assert any("did not answer" in gap for gap in found.record.gaps)


def test_outside_of_a_repository_there_is_no_code_and_no_gap(tmp_path: Path) -> None:
    found = capture(tmp_path)
    assert found.record.code == regsvc.Code()
    assert not [gap for gap in found.record.gaps if gap.startswith("code")]


@pytest.mark.parametrize(
    ("url", "bare"),
    [
        ("https://user:pass@host/x.git", "https://host/x.git"),
        ("https://token@host:8443/x.git?a=b#c", "https://host:8443/x.git"),
        ("ssh://git@[::1]:22/x.git", "ssh://[::1]:22/x.git"),
        ("git@host:team/x.git", "git@host:team/x.git"),
        ("https://user:pa@ss@host/x", "https://host/x"),
        ("https://host:notaport/x", ""),
        ("", ""),
    ],
)
def test_urls_lose_their_credentials(url: str, bare: str) -> None:
    assert without_credentials(url) == bare


def test_the_environment_names_the_packages_that_are_installed(tmp_path: Path) -> None:
    environment = capture(tmp_path).record.environment
    assert environment.python == ".".join(map(str, sys.version_info[:3]))
    assert environment.packages["grpcio"] == importlib.metadata.version("grpcio")
    assert environment.packages["google-crc32c"] == importlib.metadata.version("google-crc32c")
    assert environment.cores == os.cpu_count()


def test_only_variables_that_are_allowed_are_recorded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret-token")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "0,1")
    assert capture(tmp_path).record.environment.variables == {}
    monkeypatch.setenv("REGSVC_CAPTURE_VARIABLES", "CUDA_*, OMP_NUM_THREADS")
    found = capture(tmp_path)
    assert found.record.environment.variables == {"CUDA_VISIBLE_DEVICES": "0,1"}
    assert "secret-token" not in repr(found)


def test_packages_that_cannot_be_read_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Broken:
        _path = None

        @property
        def metadata(self) -> dict[str, str]:
            raise OSError("unreadable")

    monkeypatch.setattr(importlib.metadata, "distributions", lambda: [Broken(), Broken()])
    found = capture(tmp_path)
    assert found.record.environment.packages == {}
    assert any("2 installed packages" in gap for gap in found.record.gaps)

    def fails() -> list[object]:
        raise RuntimeError("secret-token")

    monkeypatch.setattr(importlib.metadata, "distributions", fails)
    gaps = capture(tmp_path).record.gaps
    assert any("cannot be read (RuntimeError)" in gap for gap in gaps)
    assert "secret-token" not in repr(gaps)


def test_a_lock_file_beside_the_code_is_attached(repository: Path) -> None:
    (repository / "uv.lock").write_text("version = 1\n")
    (repository / "sub").mkdir()
    found = capture(repository / "sub")
    assert found.record.environment.lock_file == "uv.lock"
    assert found.attachments["uv.lock"] == b"version = 1\n"


def test_it_can_be_switched_off(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("REGSVC_CAPTURE", "off")
    assert capture(repository).record == regsvc.Record()
    monkeypatch.setenv("REGSVC_CAPTURE", "code")
    found = capture(repository).record
    assert found.code.commit
    assert not found.environment.packages
    monkeypatch.setenv("REGSVC_CAPTURE", "environment")
    found = capture(repository).record
    assert found.environment.packages
    assert not found.code.commit


def test_pushes_and_builds_are_captured_by_themselves(
    shared_server: Server, repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(repository)
    (repository / "train.py").write_text("lr = 0.3\n")
    (tmp_path / "weights").write_bytes(b"w")
    with regsvc.connect(shared_server.endpoint) as client:
        pushed = client.push(tmp_path / "weights", "capture/pushed", labels=["x"], card="# Card")
        with client.build("capture/built") as build:
            made = build.publish(tmp_path / "weights", parents={pushed.reference: "fine-tuned", "hf:a/b": ""})
        bare = client.push(tmp_path / "weights", "capture/bare", capture=False)

        record = client.record(pushed.reference)
        assert record.record.code.commit == git(repository, "rev-parse", "HEAD")
        assert b"+lr = 0.3" in client.attachment(pushed.reference, "code.diff")
        assert (record.record.labels, record.record.card) == (("x",), "# Card")
        assert record.digest == pushed.record_digest
        assert client.record(build.name).record.code == record.record.code
        built = client.record(made.reference).record
        assert built.code == record.record.code
        assert [each.uri for each in built.parents] == ["", "hf:a/b"]
        assert client.record(bare.reference).record == regsvc.Record()
        note = client.add_note(pushed.reference, "good", author="ann")
        assert [each.text for each in client.notes(pushed.reference)] == [note.text] == ["good"]
        with pytest.raises(regsvc.InvalidArgument, match="known are fine-tuned"):
            client.push(tmp_path / "weights", "capture/bare", parents={"hf:a/b": "stolen"})


def test_a_snapshot_holds_what_git_tracks_as_it_is_now(repository: Path) -> None:
    (repository / "train.py").write_text("lr = 0.4\n")
    (repository / ".env").write_text("PASSWORD=secret-token")
    (repository / "run.sh").write_text("#!/bin/sh\n")
    (repository / "run.sh").chmod(0o755)
    (repository / "weights.bin").write_bytes(bytes(5 << 20))
    (repository / "link").symlink_to("/etc/passwd")
    git(repository, "add", "run.sh", "weights.bin", "link")
    found = capture(repository, snapshot=True)
    assert found.record.code.snapshot == "source.tar.gz"
    packed = found.attachments["source.tar.gz"]
    with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
        assert archive.getnames() == ["run.sh", "train.py"]
        assert archive.getmember("run.sh").mode == 0o755
        source = archive.extractfile("train.py")
        assert source is not None
        assert source.read() == b"lr = 0.4\n"
    assert any("2 files are not in the snapshot" in gap for gap in found.record.gaps)
    os.utime(repository / "train.py", (1, 1))
    assert capture(repository, snapshot=True).attachments["source.tar.gz"] == packed


def test_a_snapshot_without_git_leaves_out_what_is_hidden(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_text("1")
    (tmp_path / ".secret").write_text("secret-token")
    for name in (".venv", "__pycache__", "node_modules"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "b.py").write_text("secret-token")
    found = capture(tmp_path, snapshot=True)
    with tarfile.open(fileobj=io.BytesIO(found.attachments["source.tar.gz"])) as archive:
        assert archive.getnames() == ["a.py"]


def test_sources_that_are_too_large_are_no_snapshot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(snapshot_module, "MAX_SNAPSHOT_BYTES", 10)
    (tmp_path / "a.py").write_text("x" * 11)
    found = capture(tmp_path, snapshot=True)
    assert found.record.code.snapshot == ""
    assert "source.tar.gz" not in found.attachments
    assert any("no snapshot" in gap for gap in found.record.gaps)


def test_a_push_can_keep_its_sources(shared_server: Server, repository: Path) -> None:
    shared_server.cli(
        "push", "train.py", "capture/sources", "--snapshot", cwd=repository, env={"REGSVC_CAPTURE": ""}
    )
    with regsvc.connect(shared_server.endpoint) as client:
        record = client.record("capture/sources")
        assert record.record.code.snapshot == "source.tar.gz"
        packed = client.attachment("capture/sources", "source.tar.gz")
        with tarfile.open(fileobj=io.BytesIO(packed)) as archive:
            assert archive.getnames() == ["train.py"]
        again = client.push(
            repository / "train.py", "capture/sources", capture=capture(repository, snapshot=True)
        )
        assert client.record(again.reference).record.code.snapshot == "source.tar.gz"

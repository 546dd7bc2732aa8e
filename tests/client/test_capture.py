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
from regsvc.cli.records import record_rows
from regsvc.client.capture import capture
from regsvc.client.capture import code as capture_code_module
from regsvc.client.capture import git as git_module
from regsvc.client.capture import snapshot as snapshot_module
from regsvc.client.capture.credentials import without_any_credentials, without_credentials
from regsvc.client.provenance import SealedRecord
from regsvc.content.record import has_only_untracked


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


def test_untracked_files_alone_are_told_from_changes(repository: Path) -> None:
    assert not has_only_untracked(capture(repository).record)
    (repository / "new.txt").write_text("new")
    untracked = capture(repository).record
    assert has_only_untracked(untracked)
    assert untracked.code.dirty
    rows = dict(record_rows(SealedRecord(untracked, (), b"", None)))
    assert rows["code"].endswith("with untracked files")
    (repository / "train.py").write_text("lr = 0.2\n")
    changed = capture(repository).record
    assert not has_only_untracked(changed)
    assert dict(record_rows(SealedRecord(changed, (), b"", None)))["code"].endswith("with changes")


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
    monkeypatch.setattr(git_module, "SECONDS", 0.2)
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
        ("https://user:to/ken@host/x", ""),
        ("https://host/x?token=t", "https://host/x"),
        ("https://host/x;token=t", "https://host/x"),
        ("ssh://git:token@host:22/x", "ssh://host:22/x"),
        ("oauth2:token@github.com:team/x.git", "github.com:team/x.git"),
        ("token@github.com:team/x.git", "github.com:team/x.git"),
        ("git@host:team/x?token=t", "git@host:team/x"),
        ("https:/user:token@host/x", "host/x"),
        ("//user:token@host/x", "host/x"),
        ("codecommit::https://user:token@host/x", "codecommit::https://host/x"),
        ("ext::ssh -i key user:token@host", ""),
        ("/srv/c#/x", "/srv/c#/x"),
        ("../x", "../x"),
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


def test_a_rewritten_remote_loses_the_token_that_the_rule_adds(repository: Path) -> None:
    git(repository, "remote", "set-url", "origin", "https://example.com/team/model.git")
    git(
        repository, "config", "url.https://oauth2:secret-token@example.com/.insteadOf", "https://example.com/"
    )
    found = capture(repository)
    assert found.record.code.remote == "https://example.com/team/model.git"
    assert "secret-token" not in repr(found)


def test_credentials_in_a_text_are_counted_and_left_out() -> None:
    text = "https://u:p@h/x git+ssh://git@h/y https://h/z?a=b@c\nhttp://t@h a@b.c"
    assert without_any_credentials(text) == (
        "https://h/x git+ssh://git@h/y https://h/z?a=b@c\nhttp://h a@b.c",
        2,
    )


def test_a_bare_repository_is_said_so(repository: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", "--bare", str(repository), "bare.git")
    found = capture(tmp_path / "bare.git")
    assert found.record.code == regsvc.Code()
    assert "code: a repository without a work tree has no sources" in found.record.gaps


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives folders away")
def test_a_repository_of_another_user_is_said_so_and_read_if_that_is_safe(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in (repository, repository / ".git"):
        os.chown(path, 65534, 65534)
    found = capture(repository)
    assert found.record.code == regsvc.Code()
    assert any("safe.directory" in gap for gap in found.record.gaps)
    for name, value in (("COUNT", "1"), ("KEY_0", "safe.directory"), ("VALUE_0", "*")):
        monkeypatch.setenv(f"GIT_CONFIG_{name}", value)
    assert capture(repository).record.code.commit == git(repository, "rev-parse", "HEAD")


def test_a_damaged_repository_is_said_so(repository: Path) -> None:
    (repository / ".git" / "HEAD").write_bytes(b"\xff")
    found = capture(repository)
    assert any("git does not read the repository" in gap for gap in found.record.gaps)


def test_the_diff_applies_whatever_the_settings_say(repository: Path, tmp_path: Path) -> None:
    git(repository, "clone", "--quiet", str(repository), str(tmp_path / "clone"))
    (repository / ".git" / "info" / "attributes").write_text("*.py diff=upper\n")
    for key, value in (
        ("diff.noprefix", "true"),
        ("diff.upper.textconv", "echo converted; :"),
        ("color.diff", "always"),
        ("diff.relative", "true"),
    ):
        git(repository, "config", key, value)
    (repository / "train.py").write_text("lr = 0.7\n")
    (repository / "sub").mkdir()
    found = capture(repository / "sub")
    (tmp_path / "code.diff").write_bytes(found.attachments["code.diff"])
    git(tmp_path / "clone", "apply", str(tmp_path / "code.diff"))
    assert (tmp_path / "clone" / "train.py").read_text() == "lr = 0.7\n"


def test_very_many_changed_files_are_changes(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(capture_code_module, "_MAX_STATUS_BYTES", 5)
    (repository / "train.py").write_text("lr = 0.8\n")
    found = capture(repository)
    assert (found.record.code.dirty, found.record.code.diff) == (True, "code.diff")
    assert "code: git does not tell what is not committed" in found.record.gaps


def test_changes_within_a_submodule_are_said_to_be_left_out(repository: Path, tmp_path: Path) -> None:
    git(tmp_path, "clone", "--quiet", str(repository), str(tmp_path / "inner"))
    git(
        repository,
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "add",
        "-q",
        str(tmp_path / "inner"),
        "inner",
    )
    git(repository, "commit", "--quiet", "-m", "submodule")
    assert capture(repository).record.gaps == ()
    (repository / "inner" / "train.py").write_text("lr = 0.9\n")
    found = capture(repository)
    assert found.record.code.dirty
    assert "code: changes within 1 submodules are not in the diff" in found.record.gaps
    assert capture(repository / "inner").record.code.diff == "code.diff"


def test_names_that_are_not_utf8_are_kept_as_git_writes_them(repository: Path) -> None:
    name = b"\xff.py"
    with open(os.fsencode(repository) + b"/" + name, "wb") as file:
        file.write(b"1")
    git(repository, "add", ".")
    git(repository, "branch", "-m", os.fsdecode(b"br\xffanch"))
    found = capture(repository, snapshot=True)
    assert found.record.code.branch == "br\ufffdanch"
    assert b'"b/\\377.py"' in found.attachments["code.diff"]
    with tarfile.open(fileobj=io.BytesIO(found.attachments["source.tar.gz"])) as archive:
        assert os.fsdecode(name) in archive.getnames()


def test_git_that_leaves_a_child_with_the_pipe_is_given_up(
    repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    slow = tmp_path / "bin" / "git"
    slow.parent.mkdir()
    slow.write_text("#!/bin/sh\nsleep 600\n")
    slow.chmod(0o755)
    monkeypatch.setenv("PATH", f"{slow.parent}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setattr(git_module, "SECONDS", 0.2)
    found = capture(repository)
    assert any("did not answer" in gap for gap in found.record.gaps)


def test_a_repository_without_git_is_said_so(repository: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(repository))
    assert "code: git is not installed" in capture(repository).record.gaps


def test_a_folder_that_was_deleted_is_said_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    found = capture(".", snapshot=True)
    assert "code: the folder is none, or was deleted" in found.record.gaps


def test_patterns_do_not_allow_secrets_and_urls_in_values_lose_their_user(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("ACME_SECRET_ACCESS_KEY", "ACME_TOKEN", "ACME_DB_PASSWORD", "ACME_PAT", "ACME_AUTH"):
        monkeypatch.setenv(name, "secret-token")
    monkeypatch.setenv("ACME_REGION", "eu")
    monkeypatch.setenv("ACME_KEYBOARD", "de")
    monkeypatch.setenv("ACME_URL", "postgres://user:secret-token@host/x https://secret-token@host")
    monkeypatch.setenv("REGSVC_CAPTURE_VARIABLES", "ACME_*")
    found = capture(tmp_path).record.environment.variables
    assert found == {
        "ACME_REGION": "eu",
        "ACME_KEYBOARD": "de",
        "ACME_URL": "postgres://host/x https://host",
    }
    monkeypatch.setenv("REGSVC_CAPTURE_VARIABLES", "ACME_TOKEN")
    assert capture(tmp_path).record.environment.variables == {"ACME_TOKEN": "secret-token"}


def test_a_lock_file_is_kept_without_the_credentials_of_its_indexes(repository: Path) -> None:
    rest = b"# \xff\npackage==1\ngit+ssh://git@host/x\n"
    (repository / "requirements.txt").write_bytes(b"-i https://user:secret-token@host/simple\n" + rest)
    found = capture(repository)
    assert found.attachments["requirements.txt"] == b"-i https://host/simple\n" + rest
    assert "environment: requirements.txt is kept without the credentials of 1 URLs" in found.record.gaps


def test_an_odd_environment_makes_no_push_fail(
    shared_server: Server, repository: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Names that are not UTF-8, and more than a record may have."""
    site = tmp_path / "site"
    os.makedirs(os.fsencode(site) + b"/we\xffird-1.0.dist-info")
    monkeypatch.syspath_prepend(str(site))
    monkeypatch.setenv("REGSVC_CAPTURE_VARIABLES", "ODD_*")
    for number in range(400):
        monkeypatch.setenv(f"ODD_{number}", "x" * 4_000)
    monkeypatch.setenv(os.fsdecode(b"ODD_\xff"), os.fsdecode(b"\xff"))
    monkeypatch.chdir(repository)
    with regsvc.connect(shared_server.endpoint) as client:
        made = client.push(repository / "train.py", "capture/odd")
        record = client.record(made.reference).record
    assert record.environment.packages["we?ird"] == "1.0"
    assert any("variables are not recorded" in gap for gap in record.gaps)


def test_a_parent_on_another_server_is_one_of_elsewhere(shared_server: Server, tmp_path: Path) -> None:
    """Never the version of that name on this one."""
    (tmp_path / "w").write_bytes(b"w")
    with regsvc.connect(shared_server.endpoint) as client:
        base = client.push(tmp_path / "w", "capture/base", capture=False)
        there = "regsvc://models.example:7070/capture/base:1"
        parents = {f"regsvc://{shared_server.endpoint}/{base.reference}": "", there: "merged"}
        made = client.push(tmp_path / "w", "capture/child", capture=False, parents=parents)
        found = client.record(made.reference).record.parents
        assert [each.version for each in found] == ["namespaces/capture/models/base/versions/1", ""]
        assert [each.uri for each in found] == ["", there]

"""What the work folder holds before the first step: the source, and the inputs."""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import replace

from regsvc import errors, refs
from regsvc.client.capture import CAPTURE_VARIABLE, capture
from regsvc.client.client import Client
from regsvc.client.provenance import log_record, write_attachment
from regsvc.client.records import PullResult
from regsvc.client.working.git_source import GitFetch
from regsvc.client.working.stopping import Stop, WorkFailed
from regsvc.client.working.task import Task
from regsvc.client.working.transfers import Transfers
from regsvc.client.working.work_folder import WorkFolder
from regsvc.content.record import EMPTY, Code, Record
from regsvc.content.template import Input


def bring_source(
    task: Task, folder: WorkFolder, transfers: Transfers, stop: Stop, say: Callable[[str], None]
) -> Code:
    """Fill the work folder; gives what is to be recorded of it. Raises `WorkFailed`, `Halted`."""
    if task.source_version:
        reference = _reference(task.source_version, "the source")
        pulled = _pull(transfers, reference, folder.work, "the source")
        say(f"source: {pulled.reference}, {pulled.files} files, {pulled.digest}")
        return Code()
    if not task.git_url:
        return Code()
    found = GitFetch(folder, stop).fetch(task.git_url, task.git_commit)
    say(f"source: commit {found.commit} of {found.url}")
    return Code(remote=found.url, commit=found.commit, branch=found.branch)


def bring_input(
    wanted: Input, number: int, folder: WorkFolder, transfers: Transfers, say: Callable[[str], None]
) -> None:
    """Put a version into its place in the work folder. Raises `WorkFailed`, `Halted`."""
    what = f"input {wanted.folder}"
    reference = _reference(wanted.version, what)
    place = inside(folder.work, wanted.folder, what)
    # Beside at first: what a pull keeps next to its folder is not for the steps to see.
    beside = os.path.join(folder.own, f"input-{number}")
    pulled = _pull(transfers, reference, beside, what)
    try:
        _move(beside, place)
    except FileExistsError as error:
        found = os.path.relpath(str(error.filename), folder.work)
        raise WorkFailed(f"{what}: {found} is there already, from the source or another input") from None
    say(f"{what}: {pulled.reference}, {pulled.files} files, {pulled.digest}")


def record_origin(build: str, code: Code, folder: WorkFolder, client: Client) -> None:
    """Record the source's commit, and the machine; a step that uses the SDK adds its Python and packages."""
    if os.environ.get(CAPTURE_VARIABLE, "").strip().lower() in {"off", "0", "no", "false"}:
        made = Record(code=code)
        attachments = {}
    else:
        found = capture(folder.work)
        # The Python that runs here is the runner's, which the steps need not use.
        environment = replace(found.record.environment, python="", packages={}, variables={})
        made = Record(code=code, environment=environment)
        attachments = {
            name: data for name, data in found.attachments.items() if name == environment.lock_file
        }
    connection = client.connection_of(None)
    for name, data in attachments.items():
        write_attachment(connection, build, name, data)
    if made != EMPTY:
        log_record(connection, build, made)


def inside(work: str, path: str, what: str) -> str:
    """The absolute path of one within the work folder, also by way of links. Raises `WorkFailed`."""
    if not path or "\0" in path or os.path.isabs(path) or ".." in path.split("/"):
        raise WorkFailed(f"{what}: a path within the work folder is expected")
    found = os.path.normpath(os.path.join(work, path))
    real, base = os.path.realpath(found), os.path.realpath(work)
    if os.path.commonpath((real, base)) != base:
        raise WorkFailed(f"{what}: it leads out of the work folder")
    return found


def _reference(name: str, what: str) -> refs.VersionRef:
    try:
        return refs.version_from_wire(name)
    except errors.NameInvalid as error:
        raise WorkFailed(f"{what}: {error.message}") from None


def _pull(transfers: Transfers, reference: refs.VersionRef, dest: str, what: str) -> PullResult:
    def pull(client: Client) -> PullResult:
        return client.pull(str(reference), dest)

    try:
        return transfers.run(pull)
    except errors.NotFound:
        raise WorkFailed(f"{what}: {reference} is gone") from None
    except errors.RegsvcError as error:
        raise WorkFailed(f"{what}: {reference} cannot be pulled: {error.message}") from None
    except OSError as error:
        raise WorkFailed(f"{what}: {reference} cannot be pulled: {error.strerror}") from None


def _move(source: str, dest: str) -> None:
    """Move a folder, into one that may be there. Raises `FileExistsError` for what would replace something."""
    try:
        there = os.lstat(dest)
    except FileNotFoundError:
        os.makedirs(os.path.dirname(dest), exist_ok=True)
        os.rename(source, dest)
        return
    if not (stat.S_ISDIR(there.st_mode) and os.path.isdir(source) and not os.path.islink(source)):
        raise FileExistsError(17, "it is there already", dest)
    for name in os.listdir(source):
        _move(os.path.join(source, name), os.path.join(dest, name))

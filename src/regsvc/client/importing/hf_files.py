"""The files of one snapshot: which they are, that they are whole, and that none is from elsewhere."""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from tempfile import TemporaryDirectory
from typing import Any

from blake3 import blake3

from regsvc.client.importing.hf_layout import Snapshot
from regsvc.content import manifest
from regsvc.errors import FailedPrecondition, PathInvalid

_MOST_JSON = 32 << 20
"""Largest index or listing that is read, in bytes."""
_LFS = b"version https://git-lfs.github.com/spec/"
_SHARED = re.compile(r"[0-9a-f]{2}/[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True)
class ModelFile:
    """One file of a model."""

    path: str
    """Within the version."""
    location: str
    """On this machine, every symlink followed."""
    size: int
    """Bytes."""


def collect(snapshot: Snapshot) -> tuple[list[ModelFile], list[str]]:
    """The files by path, and what is to be said of them.

    Raises `PathInvalid` (a symlink that leads elsewhere or nowhere, a device, a name that no version may hold),
    `FailedPrecondition` (it is not whole), `OSError`.
    """
    files = sorted(_walk(snapshot, snapshot.folder, ""), key=lambda file: file.path)
    if not files:
        raise FailedPrecondition("it holds no files")
    listed = _listed(snapshot.listing)
    _check_downloads(snapshot, listed)
    _check_sizes(files, listed)
    _check_shards(files)
    paths = {file.path for file in files}
    missing = [path for path in listed if path not in paths]
    return files, [f"{len(missing)} files of the revision were not downloaded"] if missing else []


def digest(files: Iterable[ModelFile]) -> str:
    """The digest that a version of these files has, 64 hex digits. Reads them. Raises `OSError`."""
    entries = []
    for file in files:
        hasher = blake3(max_threads=blake3.AUTO)
        hasher.update_mmap(file.location)
        entries.append(manifest.Entry(file.path, file.size, hasher.digest()))
    return manifest.version_digest(entries).hex()


@contextmanager
def gathered(files: Iterable[ModelFile]) -> Iterator[str]:
    """A folder of symlinks to exactly these files, to be pushed; it is gone afterwards."""
    with TemporaryDirectory(prefix="regsvc-import-") as folder:
        for file in files:
            link = os.path.join(folder, file.path)
            os.makedirs(os.path.dirname(link), exist_ok=True)
            os.symlink(file.location, link)
        yield folder


def read_json(files: Mapping[str, ModelFile], path: str) -> dict[str, Any]:
    """A JSON object among the files; an empty one when there is none, or it is no such thing."""
    file = files.get(path)
    return _json(file.location) if file is not None else {}


def _walk(snapshot: Snapshot, folder: str, above: str) -> Iterator[ModelFile]:
    with os.scandir(folder) as entries:
        for entry in entries:
            path = f"{above}/{entry.name}" if above else entry.name
            if path in snapshot.leave_out:
                continue
            try:
                manifest.check_path(path)
            except manifest.PathError as error:
                raise PathInvalid(str(error)) from None
            if entry.is_dir(follow_symlinks=False):
                yield from _walk(snapshot, entry.path, path)
            else:
                yield _file(snapshot, entry.path, path)


def _file(snapshot: Snapshot, location: str, path: str) -> ModelFile:
    try:
        target = os.path.realpath(location, strict=True)
    except OSError as error:
        raise PathInvalid(f"symlink {path!r} leads nowhere: {error.strerror}", path=path) from None
    if not _may_lead_to(snapshot, target):
        raise PathInvalid(f"symlink {path!r} leads out of the repository's folder", path=path)
    status = os.stat(target)
    if not stat.S_ISREG(status.st_mode):
        raise PathInvalid(f"{path!r} is no regular file", path=path)
    if path.endswith(".incomplete"):
        raise FailedPrecondition(f"{path!r} has not come whole")
    if status.st_size < 1024 and _begins_with(target, _LFS):
        raise FailedPrecondition(f"{path!r} is the pointer that Git LFS leaves for a file that is not there")
    return ModelFile(path, target, status.st_size)


def _may_lead_to(snapshot: Snapshot, target: str) -> bool:
    if any(target.startswith(folder + os.sep) for folder in snapshot.within):
        return True
    # Only what the store keeps a file under: not its locks, not what somebody laid beside it.
    shared = snapshot.shared + os.sep
    return (
        bool(snapshot.shared) and target.startswith(shared) and bool(_SHARED.fullmatch(target[len(shared) :]))
    )


def _check_downloads(snapshot: Snapshot, listed: Mapping[str, Mapping[str, Any]]) -> None:
    """A download that has not ended belongs to this revision if its listing says so, or may if there is none."""
    if not snapshot.unfinished:
        return
    if not listed:
        etag = min(snapshot.unfinished)
        raise FailedPrecondition(
            f"a download has not finished ({etag[:80]!r}, .incomplete); finish it, or remove what is left of it"
        )
    for path, entry in listed.items():
        if {entry.get("blob_id"), entry.get("lfs_sha256")} & snapshot.unfinished:
            raise FailedPrecondition(f"the download of {path!r} has not finished")


def _check_sizes(files: Iterable[ModelFile], listed: Mapping[str, Mapping[str, Any]]) -> None:
    for file in files:
        entry = listed.get(file.path, {})
        size = entry.get("lfs_size") or entry.get("size")
        if isinstance(size, int) and size != file.size:
            raise FailedPrecondition(f"{file.path!r} has {file.size} bytes, but {size} in the revision")


def _check_shards(files: list[ModelFile]) -> None:
    """Of the files that an index names, all are there; or none, when another format was chosen."""
    by_path = {file.path: file for file in files}
    for path, file in by_path.items():
        if not path.endswith((".safetensors.index.json", ".bin.index.json")):
            continue
        places = _json(file.location).get("weight_map")
        names = (
            {each for each in places.values() if isinstance(each, str)} if isinstance(places, dict) else set()
        )
        folder = f"{os.path.dirname(path)}/" if "/" in path else ""
        missing = sorted(name for name in names if folder + name not in by_path)
        if missing and len(missing) < len(names):
            raise FailedPrecondition(
                f"{missing[0][:200]!r} is missing: {path!r} names {len(names)} files,"
                f" of which {len(names) - len(missing)} are there"
            )


def _listed(path: str) -> dict[str, dict[str, Any]]:
    """What is known of each file of the revision, by path; nothing if no listing was kept."""
    if not path or os.path.islink(path) or not os.path.isfile(path):
        return {}
    files = _json(path).get("files")
    if not isinstance(files, dict):
        return {}
    return {name: _hashable(entry) for name, entry in files.items() if isinstance(entry, dict)}


def _hashable(entry: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in entry.items() if isinstance(value, str | int)}


def _json(location: str) -> dict[str, Any]:
    if os.path.getsize(location) > _MOST_JSON:
        return {}
    try:
        with open(location, "rb") as file:
            found = json.loads(file.read(_MOST_JSON))
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _begins_with(location: str, head: bytes) -> bool:
    with open(location, "rb") as file:
        return file.read(len(head)) == head

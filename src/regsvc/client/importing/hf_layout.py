"""The folders in which Hugging Face's libraries keep models, and which repositories and revisions they hold.

Known are the cache (`models--org--name` folders, or the folder above it), one repository of it, one snapshot of that,
a download into a folder of its own (`local_dir`, with `.cache/huggingface` in it), and a plain folder. Only names are
read here, and the small files that hold refs and what was downloaded; what the models hold is `hf_files`'.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from regsvc.errors import InvalidArgument

_KIND = re.compile(r"(models|datasets|spaces|kernels)--.+")
_COMMIT = re.compile(r"[0-9a-f]{40}", re.ASCII)
_REPO_ID = re.compile(r"(?:[A-Za-z0-9._-]{1,96}/)?[A-Za-z0-9._-]{1,96}", re.ASCII)
_BEING_WRITTEN = re.compile(r".*\.[0-9a-f]{8}\.tmp", re.ASCII)
"""A ref that is not in place yet."""
_IGNORED = {".DS_Store", "Thumbs.db", "desktop.ini"}
_SMALL = 4096
"""Most bytes that are read of a file that holds a ref, or what is known of one download."""
_OWN = os.path.join(".cache", "huggingface")
"""Where a download into a folder keeps what is its own."""
_SIGNS = ("README.md", "config.json", "model_index.json", "adapter_config.json", _OWN)
_WEIGHTS = (".safetensors", ".gguf", ".onnx", ".bin")


@dataclass(frozen=True)
class Snapshot:
    """The files of one revision of a repository."""

    folder: str
    revision: str
    """40 hex digits; empty when it is not known for sure."""
    refs: tuple[str, ...] = ()
    """Branches and tags that name it: `main`, `v1.0`, `refs/pr/1`."""
    time: float = 0.0
    """When the newest of its files came, in seconds."""
    within: tuple[str, ...] = ()
    """Real paths of the folders that its symlinks may lead to."""
    shared: str = ""
    """Real path of the cache's store for files of all repositories, or empty."""
    leave_out: tuple[str, ...] = ()
    """Paths in it that are no part of the model."""
    unfinished: frozenset[str] = frozenset()
    """Etags of downloads into the repository that have begun and not ended."""
    listing: str = ""
    """A file that tells all files of the revision; it need not exist."""
    doubt: str = ""
    """Why the revision is not known."""


@dataclass(frozen=True)
class Repo:
    """One model, and what there is of it."""

    repo_id: str
    """`org/name`; empty when the folder does not tell."""
    folder: str
    snapshots: tuple[Snapshot, ...]
    """In the order of their times, but that which `main` names comes last."""
    astray: tuple[tuple[str, str], ...] = ()
    """Refs to revisions that are not there, with these."""

    @property
    def label(self) -> str:
        """For people."""
        return self.repo_id or _readable(os.path.basename(self.folder))


@dataclass(frozen=True)
class Found:
    """What a folder holds."""

    repos: tuple[Repo, ...]
    skipped: tuple[tuple[str, str], ...] = ()
    """What is no model, or cannot be understood: name and why."""
    broken: tuple[tuple[str, str], ...] = ()
    """Models that cannot be imported at all: name and why."""


def find(path: str | os.PathLike[str]) -> Found:
    """The models in a folder. Raises `InvalidArgument` when it is none that is known, `OSError`."""
    folder = os.path.realpath(path)
    if not os.path.isdir(folder):
        raise InvalidArgument(f"{os.fspath(path)} is no folder", path=os.fspath(path))
    name, above = os.path.basename(folder), os.path.dirname(folder)
    if _KIND.fullmatch(name):
        return _cached([folder], os.path.dirname(folder))
    if os.path.basename(above) == "snapshots" and _KIND.fullmatch(os.path.basename(os.path.dirname(above))):
        repository = os.path.dirname(above)
        return _cached([repository], os.path.dirname(repository), only=name)
    for cache in (folder, os.path.join(folder, "hub")):
        inside = _folders(cache)
        if any(_KIND.fullmatch(each) for each in inside):
            return _cached([os.path.join(cache, each) for each in inside if _KIND.fullmatch(each)], cache)
    if not _looks_like_a_model(folder):
        raise InvalidArgument(
            f"{os.fspath(path)} is neither a Hugging Face cache, nor a repository or snapshot in one, nor a folder "
            "with README.md, config.json or weights",
            path=os.fspath(path),
        )
    return Found((Repo("", folder, (_plain(folder),)),))


def _cached(folders: list[str], cache: str, only: str = "") -> Found:
    repos: list[Repo] = []
    skipped: list[tuple[str, str]] = []
    broken: list[tuple[str, str]] = []
    for folder in sorted(folders):
        name = _readable(os.path.basename(folder))
        kind, _, rest = name.partition("--")
        repo_id = rest.replace("--", "/")
        if kind != "models":
            skipped.append((name, f"it holds a {kind.removesuffix('s')}, not a model"))
        elif not _REPO_ID.fullmatch(repo_id):
            broken.append((name, "its name is none of a repository"))
        elif not os.path.isdir(os.path.join(folder, "snapshots")):
            skipped.append((name, "it holds no snapshots"))
        else:
            try:
                repos.append(_repository(folder, repo_id, cache, only))
            except OSError as error:
                broken.append((name, f"it cannot be read: {error.strerror}"))
    return Found(tuple(repos), tuple(skipped), tuple(broken))


def _repository(folder: str, repo_id: str, cache: str, only: str) -> Repo:
    by_revision: dict[str, list[str]] = {}
    for ref, commit in _refs(os.path.join(folder, "refs")):
        by_revision.setdefault(commit, []).append(ref)
    unfinished = _unfinished(os.path.join(folder, "blobs"))
    there = [name for name in _folders(os.path.join(folder, "snapshots")) if name not in _IGNORED]
    snapshots = []
    for name in there:
        if only and name != only:
            continue
        place = os.path.join(folder, "snapshots", name)
        snapshots.append(
            Snapshot(
                place,
                name,
                tuple(sorted(by_revision.get(name, ()))),
                _newest(place),
                within=(os.path.join(folder, "blobs"), place),
                shared=_shared(cache),
                unfinished=unfinished,
                listing=os.path.join(folder, "trees", f"{name}.json"),
            )
        )
    snapshots.sort(key=lambda each: ("main" in each.refs, each.time, each.revision))
    astray = [(ref, commit) for commit, names in by_revision.items() if commit not in there for ref in names]
    return Repo(repo_id, folder, tuple(snapshots), () if only else tuple(sorted(astray)))


def is_commit(name: str) -> bool:
    """Whether it is the full id of a commit."""
    return _COMMIT.fullmatch(name) is not None


def _refs(folder: str) -> Iterator[tuple[str, str]]:
    """Name and commit of each ref."""
    for location, _, names in os.walk(folder):
        for name in names:
            if name in _IGNORED or _BEING_WRITTEN.fullmatch(name):
                continue
            path = os.path.join(location, name)
            commit = _small_text(path).strip()
            if is_commit(commit):
                yield _readable(Path(path).relative_to(folder).as_posix()), commit


def _unfinished(blobs: str) -> frozenset[str]:
    """Etags of files that were begun, `etag[.8 hex].incomplete`, and are not there."""
    try:
        names = set(os.listdir(blobs))
    except OSError:
        return frozenset()
    begun = {name.partition(".")[0] for name in names if name.endswith(".incomplete")}
    return frozenset(begun - names)


def _shared(cache: str) -> str:
    """The store for files of all repositories, which is one only if it says so."""
    store = os.path.join(cache, "blobs")
    marker = os.path.join(store, ".huggingface-shared-blobs")
    return os.path.realpath(store) if os.path.isfile(marker) and not os.path.islink(store) else ""


def _plain(folder: str) -> Snapshot:
    """A folder of its own, with what `local_dir` downloads note of each file, if they made it."""
    own = os.path.join(folder, _OWN)
    revision, doubt, unfinished = _downloaded(folder, os.path.join(own, "download"))
    return Snapshot(
        folder,
        revision,
        time=_newest(folder),
        within=(folder,),
        leave_out=(".cache/huggingface", ".git"),
        unfinished=unfinished,
        listing=os.path.join(own, "trees", f"{revision}.json") if revision else "",
        doubt=doubt,
    )


def _downloaded(folder: str, notes: str) -> tuple[str, str, frozenset[str]]:
    """The one revision that all files came from, or why there is none; and etags of what has not come whole.

    Beside each file `x` there is `x.metadata` with commit, etag and the time of its download, a line each.
    """
    commits: set[str] = set()
    etags: set[str] = set()
    begun: set[str] = set()
    noted: set[str] = set()
    changed = ""
    for location, _, names in os.walk(notes):
        for name in names:
            if name.endswith(".incomplete"):
                begun.add(name.split(".")[1] if name.count(".") > 1 else name)
            if not name.endswith(".metadata"):
                continue
            path = Path(location, name).relative_to(notes).as_posix().removesuffix(".metadata")
            lines = _small_text(os.path.join(location, name)).splitlines()
            if len(lines) < 3 or not is_commit(lines[0].strip()):
                continue
            noted.add(path)
            commits.add(lines[0].strip())
            etags.add(lines[1].strip())
            if _changed_since(os.path.join(folder, path), lines[2]):
                changed = path
    unfinished = frozenset(begun - etags)
    if not noted:
        return "", "", unfinished
    added = next((path for path in _paths(folder) if path not in noted), "")
    if len(commits) > 1:
        return "", "its files came from different revisions", unfinished
    if changed or added:
        return "", f"{changed or added!r} is not as it was downloaded", unfinished
    return commits.pop(), "", unfinished


def _changed_since(path: str, noted: str) -> bool:
    """As the library judges it: changed more than a second after the download was noted. No when it is gone."""
    try:
        return os.stat(path).st_mtime - 1 > float(noted)
    except OSError:
        return False
    except ValueError:
        return True


def _paths(folder: str) -> Iterator[str]:
    for location, folders, names in os.walk(folder):
        where = Path(location).relative_to(folder)
        folders[:] = [
            name for name in folders if (where / name).as_posix() not in (".cache/huggingface", ".git")
        ]
        for name in names:
            yield (where / name).as_posix()


def _newest(folder: str) -> float:
    """The latest time at which one of the files was written, as the library tells it of a revision."""
    newest = 0.0
    for location, _, names in os.walk(folder):
        for name in names:
            with contextlib.suppress(OSError):
                newest = max(newest, os.stat(os.path.join(location, name)).st_mtime)
    return newest


def _looks_like_a_model(folder: str) -> bool:
    if any(os.path.exists(os.path.join(folder, name)) for name in _SIGNS):
        return True
    return any(name.endswith(_WEIGHTS) for name in os.listdir(folder))


def _folders(folder: str) -> list[str]:
    """Names of the folders in one, that are no links; none if it is none."""
    try:
        with os.scandir(folder) as entries:
            return sorted(each.name for each in entries if each.is_dir(follow_symlinks=False))
    except (FileNotFoundError, NotADirectoryError):
        return []


def _readable(name: str) -> str:
    """A name of the file system as text: what is no UTF-8 in it cannot be printed, sent or kept."""
    return os.fsencode(name).decode("utf-8", "replace")


def _small_text(path: str) -> str:
    """The beginning of a regular file; empty if there is none, so that no pipe is waited for."""
    try:
        if os.path.islink(path) or not os.path.isfile(path):
            return ""
        with open(path, "rb") as file:
            return file.read(_SMALL).decode("utf-8", "replace")
    except OSError:
        return ""

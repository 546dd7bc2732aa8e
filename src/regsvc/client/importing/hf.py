"""Bring Hugging Face snapshots into the registry: a version each, with card, metrics and refs, and never twice."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from blake3 import blake3

from regsvc import refs
from regsvc.client.importing import hf_layout
from regsvc.client.importing.hf_card import Facts, read_facts
from regsvc.client.importing.hf_files import ModelFile, collect, digest, gathered
from regsvc.client.importing.hf_layout import Repo, Snapshot
from regsvc.client.records import Progress
from regsvc.errors import (
    DeadlineExceeded,
    FailedPrecondition,
    InvalidArgument,
    NameInvalid,
    NotFound,
    RegsvcError,
    StorageFull,
    Unavailable,
    VersionDeleted,
)

if TYPE_CHECKING:
    from regsvc.client.client import Client

REPO_TAG = "hf.repo"
REVISION_TAG = "hf.revision"
FOLDER_TAG = "hf.folder"
"""Name of the folder, of a model whose repository is not known."""

_ATTEMPTS = 100
_MOST_ALIASES = 100
"""That one commit sets; further ones are set after it."""
_SHORTEST_PREFIX = 7
"""Digits of a revision that may stand for all of it."""

Listener = Callable[[str, Progress], None]
"""Told how far the push of a snapshot, `org/name@revision`, is; from another thread."""


@dataclass(frozen=True)
class Imported:
    """What became of one snapshot."""

    repo: str
    """`org/name`, or the folder's name."""
    revision: str
    """40 hex digits; empty when it is not known."""
    outcome: str
    """`imported`, `present` (it was there already), `planned` (a dry run), or `failed`."""
    model: str = ""
    """`namespace/model`"""
    reference: str = ""
    """The version; empty when there is none."""
    files: int = 0
    bytes: int = 0
    """Raw bytes of all files."""
    bytes_sent: int = 0
    """Bytes that went over the wire."""
    aliases: tuple[str, ...] = ()
    """Those that were set or moved, or would be."""
    reason: str = ""
    """Why it failed."""
    notes: tuple[str, ...] = ()
    """What was left out, for people."""


@dataclass(frozen=True)
class Skipped:
    """Something in the folder that is no model, or a name that cannot be kept."""

    name: str
    reason: str


@dataclass(frozen=True)
class ImportReport:
    """What an import did."""

    snapshots: tuple[Imported, ...] = ()
    skipped: tuple[Skipped, ...] = ()

    @property
    def failed(self) -> int:
        """How many snapshots could not be imported."""
        return sum(each.outcome == "failed" for each in self.snapshots)


def import_hf(
    client: Client,
    path: str | os.PathLike[str],
    *,
    model: str | None = None,
    namespace: str | None = None,
    revision: str | None = None,
    dry_run: bool = False,
    progress: Listener | None = None,
) -> ImportReport:
    """Import every snapshot in a Hugging Face cache, repository, snapshot or model folder that is not there yet.

    `model` is where it goes, `[namespace/]model`, of a single repository; without it `org/name` becomes namespace and
    model. `namespace` takes the place of `org`. `revision` is a commit, or a ref: only that; of a folder that does
    not tell its revision it says which it is. With `dry_run` nothing is written.

    A snapshot that cannot be imported is in the report with the reason, and the others go on. Raises
    `InvalidArgument` (no such folder, options that do not fit), `NotFound` (no such revision), `NameInvalid`,
    `Unavailable` (the server went away), `StorageFull`, `OSError`.
    """
    chosen = _chosen(model, namespace)
    found = hf_layout.find(path)
    if model is not None and len(found.repos) > 1:
        raise InvalidArgument(
            f"{len(found.repos)} models are there, and one name for all of them", model=model
        )
    if not found.repos and not found.broken:
        kinds = "; ".join(f"{name}: {why}" for name, why in found.skipped[:3])
        raise InvalidArgument(f"{os.fspath(path)} holds no model" + (f" ({kinds})" if kinds else ""))
    repos = [_narrowed(repo, revision) for repo in found.repos] if revision else list(found.repos)
    if revision and not any(repo.snapshots for repo in repos):
        raise NotFound(f"no revision '{revision[:80]}' in {os.fspath(path)}", revision=revision[:80])
    skipped = [Skipped(*each) for each in found.skipped]
    snapshots = [Imported(name, "", "failed", reason=why) for name, why in found.broken]
    taken: dict[str, str] = {}
    for repo in repos:
        importing = _Importing(client, repo, model is not None, dry_run, progress)
        snapshots += importing.run(chosen, taken)
        if not revision:
            for ref, commit in repo.astray:
                skipped.append(Skipped(f"{repo.label}@{ref}", f"its revision {commit[:12]} is not here"))
        skipped += importing.skipped
    return ImportReport(tuple(snapshots), tuple(skipped))


def model_of(repo_id: str, namespace: str | None = None) -> refs.ModelName:
    """The model that a repository becomes: lower-case, `-` for what an id cannot hold. Raises `NameInvalid`."""
    org, _, name = repo_id.rpartition("/")
    chosen = refs.DEFAULT_NAMESPACE if not org else _id(org)
    return refs.parse_model(f"{namespace if namespace is not None else chosen}/{_id(name)}")


def _id(text: str) -> str:
    return re.sub(r"^[^a-z0-9]+|[^a-z0-9]+$", "", re.sub(r"[^a-z0-9._-]", "-", text.lower())[:63])


def _chosen(model: str | None, namespace: str | None) -> Callable[[str], refs.ModelName]:
    """Where a repository goes. Raises what is wrong with the options at once."""
    if namespace is not None:
        refs.parse_model(f"{namespace}/x")
    if model is None:
        return lambda repo_id: model_of(repo_id, namespace)
    name = refs.parse_model(model)
    if namespace is not None and "/" in model and name.namespace != namespace:
        raise InvalidArgument(
            f"model {model} is not in namespace {namespace}", model=model, namespace=namespace
        )
    target = refs.ModelName(namespace, name.model) if namespace is not None else name
    return lambda _: target


def _narrowed(repo: Repo, revision: str) -> Repo:
    """The repository with only the snapshot that a commit, its first digits, or a ref names."""
    kept = [each for each in repo.snapshots if revision in (each.revision, *each.refs)]
    if not kept and len(revision) >= _SHORTEST_PREFIX:
        kept = [each for each in repo.snapshots if each.revision.startswith(revision)]
    if not kept and not repo.repo_id:
        # A folder of which nobody knows, or which was changed: the caller's word is taken.
        unknown = [each for each in repo.snapshots if not each.revision]
        kept = [replace(each, revision=revision, doubt="") for each in unknown]
    return Repo(repo.repo_id, repo.folder, tuple(kept))


class _Importing:
    """The import of one repository."""

    def __init__(
        self, client: Client, repo: Repo, named: bool, dry_run: bool, progress: Listener | None
    ) -> None:
        self.skipped: list[Skipped] = []
        self._client = client
        self._repo = repo
        self._named = named
        self._dry_run = dry_run
        self._progress = progress
        self._identity = (REPO_TAG, repo.repo_id) if repo.repo_id else (FOLDER_TAG, repo.label[:250])

    def run(self, chosen: Callable[[str], refs.ModelName], taken: dict[str, str]) -> Iterator[Imported]:
        """Import its snapshots in order. `taken` are models of this import, with the repository of each."""
        try:
            model = chosen(self._repo.repo_id or self._repo.label)
            self._check_free(model, taken)
        except (NameInvalid, FailedPrecondition) as error:
            for snapshot in self._repo.snapshots:
                yield Imported(self._repo.label, snapshot.revision, "failed", reason=error.message)
            return
        for snapshot in self._repo.snapshots:
            try:
                yield self._snapshot(model, snapshot)
            except (Unavailable, DeadlineExceeded, StorageFull):  # the others would fare no better
                raise
            except (RegsvcError, OSError) as error:
                reason = error.message if isinstance(error, RegsvcError) else _os_error(error)
                yield Imported(self._repo.label, snapshot.revision, "failed", str(model), reason=reason)

    def _check_free(self, model: refs.ModelName, taken: dict[str, str]) -> None:
        """Refuse to mix two repositories in one model, unless the caller named it."""
        other = taken.setdefault(str(model), self._repo.label)
        if other != self._repo.label:
            raise FailedPrecondition(
                f"{other} and {self._repo.label} would both be {model}; import one by --model"
            )
        if self._named:
            return
        try:
            there = self._client.model(str(model)).versions
        except NotFound:
            return
        key, value = self._identity
        if there and not any(self._search(model, f"tags[{json.dumps(key)}] == {_literal(value)}")):
            raise FailedPrecondition(
                f"{model} is there already, and not from {self._repo.label}; give another name with --model"
            )

    def _snapshot(self, model: refs.ModelName, snapshot: Snapshot) -> Imported:
        if self._repo.repo_id and not hf_layout.is_commit(snapshot.revision):
            raise FailedPrecondition("its name is not that of a commit")
        files, notes = collect(snapshot)
        if snapshot.doubt:
            notes.append(f"the revision is not known: {snapshot.doubt}")
        aliases = self._aliases(snapshot)
        total = sum(file.size for file in files)
        content = "" if snapshot.revision else digest(files)
        there = self._find(model, snapshot, content, len(files), total)
        if there:
            moved = self._moved(there, aliases)
            return self._imported(snapshot, "present", model, files, there, moved, notes)
        facts = read_facts({file.path: file for file in files})
        notes += facts.notes
        if self._dry_run:
            return self._imported(snapshot, "planned", model, files, "", aliases, notes)
        reference, sent = self._push(model, snapshot, files, facts, aliases)
        return self._imported(snapshot, "imported", model, files, reference, aliases, notes, sent)

    def _push(
        self,
        model: refs.ModelName,
        snapshot: Snapshot,
        files: Sequence[ModelFile],
        facts: Facts,
        aliases: Sequence[str],
    ) -> tuple[str, int]:
        """The version, and bytes that were sent."""
        key, value = self._identity
        tags = {**facts.tags, key: value, **({REVISION_TAG: snapshot.revision} if snapshot.revision else {})}
        progress = self._progress
        title = self._repo.label + (f"@{snapshot.revision[:12]}" if snapshot.revision else "")
        with gathered(files) as folder:
            # Asked for again by its id, a version that was deleted since is refused: the next id makes another.
            for attempt in range(_ATTEMPTS):
                with suppress(VersionDeleted):
                    pushed = self._client.push(
                        folder,
                        str(model),
                        tags=tags,
                        metrics=facts.metrics,
                        record=facts.record,
                        aliases=aliases[:_MOST_ALIASES],
                        capture=False,  # it was not made here
                        follow_symlinks=True,
                        request_id=_request_id(model, self._identity, snapshot, files, attempt),
                        progress=(lambda so_far: progress(title, so_far)) if progress is not None else None,
                    )
                    break
            else:
                raise FailedPrecondition(f"{_ATTEMPTS} versions of these files were deleted")
        self._moved(pushed.reference, aliases[_MOST_ALIASES:])
        return pushed.reference, pushed.bytes_sent

    def _aliases(self, snapshot: Snapshot) -> list[str]:
        """Refs that can be aliases; the others are said."""
        fitting = []
        for ref in snapshot.refs:
            try:
                fitting.append(refs.check_alias(ref))
            except NameInvalid:
                self.skipped.append(Skipped(f"{self._repo.label}@{ref}", "the ref cannot be an alias"))
        return fitting

    def _find(self, model: refs.ModelName, snapshot: Snapshot, content: str, files: int, total: int) -> str:
        """The version that holds this snapshot, or empty.

        A revision's files never change, but more of them may have been downloaded since.
        """
        if not snapshot.revision:
            condition = f"digest == {_literal(content)}"
        else:
            condition = f"tags[{json.dumps(REVISION_TAG)}] == {_literal(snapshot.revision)}"
        condition += f" && files == {files} && size == {total}"
        return next(self._search(model, condition), "")

    def _search(self, model: refs.ModelName, condition: str) -> Iterator[str]:
        try:
            for version in self._client.search(condition, within=str(model), limit=1):
                yield getattr(version, "reference", "")
        except NotFound:  # no such model yet
            return

    def _moved(self, reference: str, aliases: Sequence[str]) -> list[str]:
        """Point at a version what should; gives what did not."""
        if not aliases:
            return []
        now = self._client.version(reference).aliases
        moved = [alias for alias in aliases if alias not in now]
        for alias in moved if not self._dry_run else ():
            self._client.set_alias(reference, alias)
        return moved

    def _imported(
        self,
        snapshot: Snapshot,
        outcome: str,
        model: refs.ModelName,
        files: Sequence[ModelFile],
        reference: str,
        aliases: Sequence[str],
        notes: Sequence[str],
        sent: int = 0,
    ) -> Imported:
        return Imported(
            self._repo.label,
            snapshot.revision,
            outcome,
            str(model),
            reference,
            len(files),
            sum(file.size for file in files),
            sent,
            tuple(aliases),
            "",
            tuple(notes),
        )


def _request_id(
    model: refs.ModelName,
    identity: tuple[str, str],
    snapshot: Snapshot,
    files: Sequence[ModelFile],
    attempt: int,
) -> str:
    """The same for the same import: one that was killed after its commit does not make a second version."""
    seen = []
    for file in files:
        status = os.stat(file.location)
        seen.append([file.path, file.size, status.st_mtime_ns])
    whole = json.dumps(["hf", str(model), identity, snapshot.revision, seen, *([attempt] if attempt else [])])
    return blake3(whole.encode()).hexdigest(16)


def _literal(text: str) -> str:
    """A string of CEL: JSON's escapes are among its own."""
    return json.dumps(text)


def _os_error(error: OSError) -> str:
    where = f": {os.fsdecode(error.filename)!r}" if error.filename is not None else ""
    return f"{error.strerror or 'a file cannot be read'}{where}"

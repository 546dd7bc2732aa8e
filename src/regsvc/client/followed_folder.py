"""The folder that a follower keeps: complete versions beside each other, and one link to that which is served.

    DIR/current -> .regsvc/versions/12          layout plain
    DIR/fraud   -> .regsvc/versions/12          layout triton, of a version that is a model folder (has 1/, 2/ ...)
    DIR/fraud   -> .regsvc/views/12             of any other: 12/ -> its files, config.pbtxt beside it

What is served is always a whole, proven version: files come in beside it, and the link is replaced by a rename.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import shutil
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from regsvc import errors, refs

LAYOUTS = ("plain", "triton")
_HOME = ".regsvc"
_STATE = "state.json"


@dataclass(frozen=True)
class FolderState:
    """What is known of the folder across restarts."""

    alias: str
    """`team/fraud@prod`"""
    layout: str
    deployment: str
    """The follower's name in the inventory."""
    served: str = ""
    """`team/fraud:12`; empty when nothing is."""
    switching: str = ""
    """The version whose hook was not seen to end well: it has to run (again)."""


class FollowedFolder:
    """A folder of one follower at a time. Errors: `NotFollowed`, `OSError`."""

    def __init__(self, folder: Path, alias: refs.AliasName, layout: str, deployment: str) -> None:
        self.path = folder
        self._home = folder / _HOME
        self._versions = self._home / "versions"
        self._views = self._home / "views"
        self._link = folder / ("current" if layout == "plain" else alias.model.model)
        self._layout = layout
        self._wanted = FolderState(str(alias), layout, deployment)
        self.state = self._wanted

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        """Make the folder ours, or find that it is; nobody else follows into it meanwhile."""
        known = self._home / _STATE
        if not known.exists():
            self._check_foreign()
            self._versions.mkdir(parents=True, exist_ok=True)
        with (self._home / "lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                raise errors.NotFollowed(f"another follower keeps {self.path}") from None
            if known.exists():
                self._load(known)
            else:
                self._save(self._wanted)
            yield

    def _check_foreign(self) -> None:
        if self.path.exists() and not self.path.is_dir():
            raise errors.NotFollowed(f"{self.path} is no folder")
        there = {each.name for each in self.path.iterdir()} - {_HOME} if self.path.exists() else set()
        foreign = there if self._layout == "plain" else there & {self._link.name}
        if foreign:
            raise errors.NotFollowed(f"{self.path} has '{min(foreign)}' in it, which no follower made")

    def _load(self, known: Path) -> None:
        try:
            state = FolderState(**json.loads(known.read_text()))
        except (ValueError, TypeError):
            raise errors.NotFollowed(f"{known} cannot be read") from None
        if (state.alias, state.layout) != (self._wanted.alias, self._wanted.layout):
            raise errors.NotFollowed(f"{self.path} follows {state.alias} as {state.layout}")
        if self._link.exists() and not self._link.is_symlink():
            raise errors.NotFollowed(f"{self._link} is no link of a follower")
        self.state = state

    def staging(self, ref: refs.VersionRef) -> Path:
        """Where the files of a version are pulled to."""
        return self._versions / str(ref.number)

    def path_of(self, ref: refs.VersionRef) -> Path:
        """What the link leads to when the version is served."""
        files = self.staging(ref)
        if self._layout == "plain" or any(
            each.name.isdecimal() and each.is_dir() for each in files.iterdir()
        ):
            return files
        return self._view(ref, files)

    def _view(self, ref: refs.VersionRef, files: Path) -> Path:
        """A Triton model folder around files that are none."""
        view = self._views / str(ref.number)
        if not view.exists():
            making = self._views / f".{ref.number}"
            shutil.rmtree(making, ignore_errors=True)
            making.mkdir(parents=True)
            (making / str(ref.number)).symlink_to(Path("../../versions") / str(ref.number))
            if (files / "config.pbtxt").exists():
                (making / "config.pbtxt").symlink_to(
                    Path("../../versions") / str(ref.number) / "config.pbtxt"
                )
            making.rename(view)
        return view

    def begin(self, ref: refs.VersionRef) -> None:
        """Serve a version; until `settle` says so its hook counts as not run."""
        target = self.path_of(ref)
        self._save(FolderState(**{**asdict(self.state), "switching": str(ref)}))
        fresh = self._link.with_name(f".{self._link.name}.regsvc")
        with contextlib.suppress(FileNotFoundError):
            fresh.unlink()
        fresh.symlink_to(target.relative_to(self.path))
        fresh.replace(self._link)
        _sync(self.path)

    def settle(self, ref: refs.VersionRef | None) -> None:
        """It is served, and whoever serves it knows."""
        served = "" if ref is None else str(ref)
        self._save(FolderState(**{**asdict(self.state), "served": served, "switching": ""}))

    def withdraw(self) -> None:
        """Serve nothing: the first version did not do."""
        with contextlib.suppress(FileNotFoundError):
            self._link.unlink()
        _sync(self.path)
        self.settle(None)

    def tidy(self, keep: int) -> None:
        """Remove all but the served version and the `keep` newest others."""
        served = self.state.served.rpartition(":")[2]
        numbers = {each.name for each in self._versions.iterdir() if each.name.isdecimal()} - {served}
        kept = {served, *sorted(numbers, key=int, reverse=True)[:keep]}
        for each in [*self._versions.iterdir(), *(self._views.iterdir() if self._views.exists() else ())]:
            # `12`, and what a pull or a view that was cut off left beside it: `.12...`
            if each.name.removeprefix(".").partition(".")[0] in kept:
                continue
            if each.is_dir() and not each.is_symlink():
                shutil.rmtree(each, ignore_errors=True)
            else:
                each.unlink(missing_ok=True)

    def _save(self, state: FolderState) -> None:
        fresh = self._home / f"{_STATE}.new"
        with fresh.open("w") as file:
            json.dump(asdict(state), file)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(self._home / _STATE)
        _sync(self._home)
        self.state = state


def _sync(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)

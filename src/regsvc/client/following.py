"""Following an alias: a folder that is always what the alias names, and whoever serves from it told of each change."""

from __future__ import annotations

import os
import re
import socket
import threading
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from regsvc import errors, refs
from regsvc.client.beside import Beside
from regsvc.client.follow_link import FollowerName, FollowLink, Target
from regsvc.client.followed_folder import LAYOUTS, FollowedFolder
from regsvc.client.hooks import HookFailed

if TYPE_CHECKING:
    from regsvc.client.client import Client

DEFAULT_LEASE = 30
_FIRST_PAUSE, _LONGEST_PAUSE = 2.0, 60.0
"""Seconds before a pull that failed is tried again."""


@dataclass(frozen=True)
class Change:
    """What is served from now on."""

    reference: str
    """`team/fraud:12`"""
    previous: str | None
    path: Path
    """The folder with its files; it stays as it is while it is served."""
    back: bool = False
    """It was served before, and the one after it did not do."""


OnChange = Callable[[Change], None]
"""Makes whoever serves take the change. An exception refuses it, and the version before is served again."""


@dataclass(frozen=True)
class Happening:
    """What a follower has done, for people and logs."""

    state: str
    """`WAITING`, `PULLING`, `SWITCHING`, `SERVING`, `FAILED`."""
    served: str | None
    target: str | None
    error: str = ""


class Follower(Beside):
    """Keeps a folder equal to what an alias names. `run` until `stop`, or use it as a context manager.

    It serves the last good version while the registry is away, and goes on by itself when it is back.
    """

    def __init__(
        self,
        client: Client,
        alias: str,
        dest: str | os.PathLike[str],
        *,
        on_change: OnChange | None = None,
        on_happening: Callable[[Happening], None] | None = None,
        layout: str = "plain",
        host: str | None = None,
        labels: Mapping[str, str] | None = None,
        keep: int = 1,
        lease: int = DEFAULT_LEASE,
    ) -> None:
        if layout not in LAYOUTS:
            raise errors.InvalidArgument(f"'{layout}' is no layout: {', '.join(LAYOUTS)}")
        reference = refs.parse_reference(alias)
        if reference.version.alias is None:
            raise errors.NameInvalid(f"'{alias}' is no alias: [NAMESPACE/]MODEL@ALIAS", name=alias)
        self._client = client
        self._server = reference.server
        self._alias = refs.AliasName(reference.version.model, reference.version.alias)
        self._on_change = on_change or (lambda change: None)
        self._on_happening = on_happening or (lambda happening: None)
        self._host = host or socket.gethostname() or "unknown"
        self._labels = dict(labels or {})
        self._keep = keep
        self._lease = lease
        self._folder = FollowedFolder(Path(dest).absolute(), self._alias, layout, _deployment(self._host))
        self._news = threading.Condition()  # protects _target, _stopped and _refusal
        self._target: Target | None = None
        self._stopped = False
        self._refusal: errors.RegsvcError | None = None
        self._link: FollowLink | None = None

    @property
    def served(self) -> str | None:
        """`team/fraud:12`, what is served; None when nothing is."""
        return self._folder.state.served or None

    def run(self, *, once: bool = False) -> None:
        """Follow until `stop`; with `once` until what the alias names now is served.

        Raises `NotFound` (model), `NotFollowed` (the folder is another's), `Superseded` (another follower has this
        name), `OSError`; with `once` also what kept it from being served.
        """
        connection = self._client.connection_of(self._server)
        with self._folder.held():
            name = FollowerName(
                self._alias, self._folder.state.deployment, self._host, self._labels, self._lease
            )
            link = self._link = FollowLink(connection, name, self._targeted, self._refused)
            try:
                self._resume()
                link.start()
                self._follow(once)
            finally:
                link.close()

    def stop(self) -> None:
        """Make `run` end, from any thread; what is under way is ended first."""
        with self._news:
            self._stopped = True
            self._news.notify_all()

    def _end_beside(self, error: BaseException | None) -> None:
        self.stop()

    def _targeted(self, target: Target) -> None:
        with self._news:
            self._target = target
            self._news.notify_all()

    def _refused(self, error: errors.RegsvcError) -> None:
        with self._news:
            self._refusal = error
            self._news.notify_all()

    def _follow(self, once: bool) -> None:
        done: Target | None = None
        pause, failed = 0.0, False
        while True:
            target = self._next(done, pause if failed else None)
            if target is None:
                return
            if target != done:
                pause = 0.0
            done, failed = target, False
            try:
                self._serve(target)
            except HookFailed as error:
                if once:
                    raise
                self._tell("FAILED", target, error.message)
            except (errors.RegsvcError, OSError) as error:
                if once:
                    raise
                failed, pause = True, min(_LONGEST_PAUSE, 2 * pause or _FIRST_PAUSE)
                self._tell("FAILED", target, _said(error))
            if once and self._folder.state.served:
                return

    def _next(self, done: Target | None, pause: float | None) -> Target | None:
        """A target that is not `done`, or any after `pause` seconds; None to stop. Raises why it cannot go on."""
        with self._news:
            self._news.wait_for(
                lambda: self._stopped or self._refusal or self._target not in (None, done), pause
            )
            if self._refusal is not None:
                raise self._refusal
            return None if self._stopped else self._target

    def _serve(self, target: Target) -> None:
        """Make the target the served version. Raises what kept it from being so."""
        if target.reference is None:
            self._tell("WAITING", target)
            return
        if str(target.reference) == self._folder.state.served:
            self._tell("SERVING", target)
            self._folder.tidy(self._keep)  # it may have been killed before it did so
            return
        self._tell("PULLING", target)
        before = self._served()
        beside = None if before is None else self._folder.staging(before)
        self._client.pull(self._text(target.reference), self._folder.staging(target.reference), beside=beside)
        self._tell("SWITCHING", target)
        self._switch(target.reference)
        self._tell("SERVING", target)
        self._folder.tidy(self._keep)

    def _switch(self, ref: refs.VersionRef) -> None:
        before = self._served()
        self._folder.begin(ref)
        try:
            self._change(ref, before)
        except HookFailed:
            self._back(before, ref)
            raise
        self._folder.settle(ref)

    def _change(self, ref: refs.VersionRef, before: refs.VersionRef | None, *, back: bool = False) -> None:
        previous = None if before is None else str(before)
        try:
            self._on_change(Change(str(ref), previous, self._folder.path_of(ref), back))
        except HookFailed:
            raise
        except Exception as error:
            raise HookFailed(f"{type(error).__name__}: {error}") from error

    def _back(self, before: refs.VersionRef | None, refused: refs.VersionRef) -> None:
        """Serve again what was served before."""
        if before is None:
            self._folder.withdraw()
            return
        self._folder.begin(before)
        try:
            self._change(before, refused, back=True)
        except HookFailed as error:
            self._on_happening(Happening("FAILED", str(before), None, f"going back: {error.message}"))
        self._folder.settle(before)

    def _resume(self) -> None:
        """After a restart: a hook that was not seen to end is run again, with what the folder holds."""
        state = self._folder.state
        if not state.switching:
            return
        ref = refs.parse_reference(state.switching).version
        if not self._folder.staging(ref).is_dir():
            self._folder.settle(self._served())
            return
        try:
            self._switch(ref)
        except HookFailed as error:
            self._tell("FAILED", Target(ref, 0), error.message)

    def _tell(self, state: str, target: Target, error: str = "") -> None:
        served = self._served()
        if self._link is not None:
            self._link.report(state, served, error)
        wanted = None if target.reference is None else str(target.reference)
        self._on_happening(Happening(state, None if served is None else str(served), wanted, error))

    def _served(self) -> refs.VersionRef | None:
        served = self._folder.state.served
        return refs.parse_reference(served).version if served else None

    def _text(self, ref: refs.VersionRef) -> str:
        return f"regsvc://{self._server}/{ref}" if self._server else str(ref)


def _deployment(host: str) -> str:
    """A name for a new follower, which its folder keeps: the host's, and some chance."""
    base = re.sub(r"[^a-z0-9]+", "-", host.lower()).strip("-")[:40] or "host"
    return f"{base}-{uuid.uuid4().hex[:8]}"


def _said(error: Exception) -> str:
    if isinstance(error, errors.RegsvcError):
        return error.message
    # Of an OSError what went wrong, not where: paths are nobody's business.
    return getattr(error, "strerror", None) or type(error).__name__

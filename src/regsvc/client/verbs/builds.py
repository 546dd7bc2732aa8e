"""Builds, their logs, and what changes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from regsvc.client import builds, events, logs
from regsvc.client.build_records import Build, BuildUpdate, Event, LogLine
from regsvc.client.capture import Capture, captured_for
from regsvc.client.session import BuildSession
from regsvc.client.verbs.artifacts import Artifacts
from regsvc.client.verbs.datasets import Datasets


class Builds(Artifacts, Datasets):
    """Those methods of `Client`."""

    def build(
        self,
        model: str,
        *,
        params: Mapping[str, object] | None = None,
        tags: Mapping[str, str] | None = None,
        description: str = "",
        capture: bool | Capture = True,
    ) -> BuildSession:
        """Start a build; a context manager that ends it, as FAILED with the reason if the block raises.

        Unless `capture` is false its record gets code and environment of this process; see `regsvc.capture()`.
        """
        return builds.start_build(
            self._connection(None),
            model,
            registry=self,
            params=params,
            tags=tags,
            description=description,
            captured=captured_for(capture),
        )

    def builds(self, model: str) -> Iterator[Build]:
        """Builds of a model, newest first, without steps. Raises `NotFound`."""
        return builds.list_builds(self._connection(None), model)

    def get_build(self, build: str) -> Build:
        """One build with its steps. Raises `NotFound`."""
        return builds.get_build(*self._build(build))

    def cancel_build(self, build: str) -> Build:
        """Ask a build to stop. Raises `NotFound`, `BuildEnded`."""
        return builds.cancel_build(*self._build(build))

    def logs(
        self, build: str, *, follow: bool = False, after: int = 0, step: str | None = None
    ) -> Iterator[LogLine]:
        """Lines of a build's log after number `after`; with `follow` until the build has ended."""
        return logs.read_log(*self._build(build), follow=follow, after=after, step=step)

    def watch(
        self,
        after: int | None = None,
        *,
        filter: str = "",
        position: Callable[[int], None] | None = None,
    ) -> Iterator[Event]:
        """Changes of the whole registry after event number `after`, for ever; None: only new ones.

        `filter` is a CEL condition: `kind == "alias.set" && model == "team/fraud"`. `position` is called with the
        numbers that another watch may go on after: of events that were dealt with, as the next was asked for, and of
        those that were left out. Raises `FilterInvalid`, `EventsGone`, `SeqAhead`.
        """
        return events.watch_events(self._connection(None), after, filter, position)

    def watch_build(self, build: str, after: int = 0) -> Iterator[BuildUpdate]:
        """The state of a build as it changes, to its end. Raises `NotFound`."""
        return events.watch_build(*self._build(build), after)

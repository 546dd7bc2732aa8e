"""Runners: executing queued builds."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from regsvc.client.verbs.connections import Connections

if TYPE_CHECKING:
    from regsvc.client.working.build_runner import BuildRunner, Happening


class Runners(Connections):
    """Those methods of `Client`."""

    def runner(
        self,
        *,
        labels: Iterable[str] = (),
        slots: int = 1,
        name: str | None = None,
        work: str | os.PathLike[str] | None = None,
        pass_env: Iterable[str] = (),
        once: bool = False,
        keep_failed: bool = False,
        grace: float = 10.0,
        on_happening: Callable[[Happening], None] | None = None,
    ) -> BuildRunner:
        """A runner that executes queued builds whose labels it has, `slots` at once (docs/runners.md).

        `with client.runner(...)` runs beside the block, and ends with the builds that it has; `.run()` until
        `.drain()`, which another thread calls. Work folders are made in `work`. Steps see of this process's environment
        only PATH, LANG and `pass_env`. `once` takes one build; `keep_failed` leaves the folders of builds that
        failed; a step that is to end has `grace` seconds. Raises `InvalidArgument`.
        """
        from regsvc.client.working.build_runner import BuildRunner

        return BuildRunner(
            self,  # type: ignore[arg-type]
            labels=labels,
            slots=slots,
            name=name,
            work=work,
            pass_env=pass_env,
            once=once,
            keep_failed=keep_failed,
            grace=grace,
            on_happening=on_happening,
        )

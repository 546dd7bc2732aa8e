"""Runs templates by the clock and by events."""

from __future__ import annotations

import asyncio
import logging

from regsvc.catalog import events, templates
from regsvc.errors import Unavailable
from regsvc.server.hub import Hub
from regsvc.server.workers import Workers
from regsvc.service.app import RegistryApp

log = logging.getLogger(__name__)

ROUND = 30.0
"""Seconds between looks at the clock at the most: somebody may set it."""
IDLE = 3600.0
"""Seconds between looks at the events that nobody asks for."""
PAUSE = 0.05
"""Seconds between looks while events keep coming."""
AFTER_A_DEFECT = 5.0
"""Seconds; a full disk gets here too, and what was to be done is done then."""


class Automation:
    """From `start` to `stop`; ends by itself when the hub drains."""

    def __init__(self, app: RegistryApp, hub: Hub):
        self._app = app
        self._hub = hub
        self._workers = Workers("automation", 2)
        self._tasks: list[asyncio.Task[None]] = []

    def start(self) -> None:
        """Begin to look."""
        self._tasks = [asyncio.create_task(self._by_clock()), asyncio.create_task(self._by_events())]

    async def stop(self) -> None:
        """End; a transaction under way is finished."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._workers.close()

    async def _by_clock(self) -> None:
        with self._hub.subscribe(templates.TOPIC) as changes:
            while True:
                try:
                    await self._workers.run(self._app.schedules.run_due)
                    due = await self._workers.run(self._app.schedules.next_in)
                    wait = ROUND if due is None else min(due, ROUND)
                except Exception:
                    log.exception("schedules could not be looked after")
                    wait = AFTER_A_DEFECT
                try:
                    await changes.wait(wait)
                except Unavailable:
                    return

    async def _by_events(self) -> None:
        with self._hub.subscribe(events.TOPIC) as changes:
            while True:
                try:
                    wait = 0.0 if await self._workers.run(self._app.triggers.turn) else IDLE
                except Exception:
                    log.exception("triggers could not be looked after")
                    wait = AFTER_A_DEFECT
                try:
                    self._hub.check()
                    if wait:
                        await changes.wait(wait)
                        await asyncio.sleep(PAUSE)
                except Unavailable:
                    return

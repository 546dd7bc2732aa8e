"""Sends events to webhooks: a task a webhook, each in order, from the table of events."""

from __future__ import annotations

import asyncio
import logging

from regsvc.catalog import events, webhooks
from regsvc.errors import Unavailable
from regsvc.server.hub import Hub, Subscription
from regsvc.server.posting_later import PosterLater
from regsvc.server.workers import Workers
from regsvc.service.app import RegistryApp
from regsvc.service.outbox import Outbox

log = logging.getLogger(__name__)

THREADS = 4
"""Threads that read and write for all webhooks."""
ROUND = 3600.0
"""Seconds between looks for what is too old."""
PAUSE = 0.001
"""Seconds between looks while events keep coming, for each webhook: a thousand of them must not take the server."""
LONGEST_PAUSE = 1.0
"""Seconds between looks at the most."""
AFTER_A_DEFECT = 5.0
"""Seconds; a full disk gets here too, and whatever is sent then is sent again."""


class Dispatcher:
    """From `start` to `stop`; ends by itself when the hub drains."""

    def __init__(self, app: RegistryApp, hub: Hub, poster: PosterLater, pace: float):
        self._app = app
        self._hub = hub
        self._poster = poster
        self._pace = pace
        self._workers = Workers("webhooks", THREADS)
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._main: asyncio.Task[None] | None = None
        self._changes: Subscription | None = None

    def start(self) -> None:
        """Begin to send."""
        self._main = asyncio.create_task(self._run())

    async def stop(self, grace: float) -> None:
        """Wait so long for messages under way; what is cut off is sent again after the next start."""
        tasks = [*self._tasks.values(), *([self._main] if self._main else [])]
        if tasks:
            _, left = await asyncio.wait(tasks, timeout=grace)
            for task in left:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        self._workers.close()

    async def _run(self) -> None:
        """Have a worker for each webhook that wants events."""
        with self._hub.subscribe(webhooks.TOPIC) as changes:
            self._changes = changes
            while True:
                try:
                    await self._workers.run(self._app.webhooks.forget_old)
                    wanted = await self._workers.run(self._app.webhooks.enabled)
                    for each in wanted:
                        if each not in self._tasks:
                            self._begin(each)
                    pause = ROUND
                except Exception:
                    log.exception("webhooks could not be looked after")
                    pause = AFTER_A_DEFECT
                try:
                    await changes.wait(pause)
                except Unavailable:
                    return

    def _begin(self, webhook_id: int) -> None:
        task = asyncio.create_task(self._work(webhook_id))
        self._tasks[webhook_id] = task

        def ended(_: object) -> None:
            self._tasks.pop(webhook_id, None)
            # It may have been enabled again while its worker was about to end.
            if self._changes is not None:
                self._changes.wake()

        task.add_done_callback(ended)

    async def _work(self, webhook_id: int) -> None:
        """Send to one webhook, until it is deleted or disabled or the server drains."""
        app = self._app
        outbox = Outbox(app.catalog, app.limits, app.store_id, webhook_id, self._pace)
        try:
            with self._hub.subscribe(events.TOPIC) as changes:
                while True:
                    self._hub.check()
                    try:
                        turn = await self._workers.run(outbox.next)
                        if turn is None:
                            return
                        if turn.due is not None:
                            sent = turn.due
                            outcome = await self._poster.post(sent.webhook.url, sent.message, sent.secrets)
                            await self._workers.run(app.webhooks.settle, sent, outcome, self._pace)
                            continue
                        wait = turn.wait
                    except Exception:
                        log.exception("events could not be sent to a webhook")
                        wait = AFTER_A_DEFECT
                    if wait > 0:
                        # When nothing happens for a while this is over before the next event comes.
                        await asyncio.sleep(min(LONGEST_PAUSE, PAUSE * len(self._tasks)))
                        await changes.wait(wait)
        except Unavailable:
            return

"""What has to happen without anybody asking: leases that lapse, logs to seal, old requests to forget."""

from __future__ import annotations

import logging
import threading
import time

from regsvc.catalog import requests
from regsvc.catalog.database import Catalog
from regsvc.service.builds import Builds
from regsvc.service.collecting import Collector
from regsvc.service.limits import Limits
from regsvc.service.logs import Logs
from regsvc.service.recovery import extend_leases
from regsvc.service.retention import Retention
from regsvc.service.uploads import Uploads

log = logging.getLogger(__name__)

LONGEST = 5.0
"""Seconds between rounds, unless a lease is so short that it needs more."""


class Housekeeping:
    """One thread, from `start` to `stop`."""

    def __init__(
        self,
        catalog: Catalog,
        builds: Builds,
        logs: Logs,
        uploads: Uploads,
        collector: Collector,
        retention: Retention,
        limits: Limits,
    ):
        self._catalog = catalog
        self._builds = builds
        self._logs = logs
        self._uploads = uploads
        self._collector = collector
        self._retention = retention
        self._limits = limits
        shortest = min(limits.build_lease_us, limits.upload_lease_us) / 1_000_000
        self._interval = min(LONGEST, max(0.05, shortest / 4))
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)

    def start(self) -> None:
        """Begin the rounds."""
        self._thread.start()

    def wake(self) -> None:
        """Do a round now: a build has ended."""
        self._wake.set()

    def stop(self) -> None:
        """End after the current round."""
        self._stopping = True
        self._wake.set()
        if self._thread.is_alive():
            self._thread.join()

    def round(self) -> None:
        """Everything once."""
        self._builds.mark_lost()
        self._uploads.expire()
        self._logs.seal_ended()
        self._catalog.write(requests.forget_old)
        self._retention.apply_if_due()
        self._collector.collect_if_due()

    def _run(self) -> None:
        last = time.monotonic()
        while not self._stopping:
            pause, last = time.monotonic() - last, time.monotonic()
            try:
                if pause > self._interval + LONGEST:
                    # The process was stopped, or the machine slept: nobody could be heard, so nobody is late.
                    extend_leases(self._catalog, self._limits)
                self.round()
            except Exception:  # a full disk must not end housekeeping for good; the next round tries again
                log.exception("housekeeping failed")
            self._wake.wait(self._interval)
            self._wake.clear()

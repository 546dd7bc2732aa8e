"""Everything of one registry, opened together and closed together."""

from __future__ import annotations

from pathlib import Path

from regsvc.catalog.database import Catalog, page_secret, store_id
from regsvc.service.builds import Builds
from regsvc.service.collecting import Collector
from regsvc.service.comparing import Comparer
from regsvc.service.copying import Copying
from regsvc.service.datasets import Datasets
from regsvc.service.deployments import Deployments
from regsvc.service.directions import Directions
from regsvc.service.events import Events
from regsvc.service.housekeeping import Housekeeping
from regsvc.service.lifecycle import Lifecycle
from regsvc.service.limits import Limits
from regsvc.service.lineage import Lineage
from regsvc.service.logs import Logs
from regsvc.service.paging import Pager
from regsvc.service.promotions import Promotions
from regsvc.service.queueing import Queue
from regsvc.service.reading import ChunkReader, VersionReader
from regsvc.service.recording import Records
from regsvc.service.recovery import recover
from regsvc.service.registry import Registry
from regsvc.service.retention import Retention
from regsvc.service.schedules import Schedules
from regsvc.service.search import Searcher
from regsvc.service.series import Series
from regsvc.service.templates import Templates
from regsvc.service.transfer_builds import BuildTaker
from regsvc.service.transfer_export import Exporter
from regsvc.service.transfer_import import Importer
from regsvc.service.transfer_versions import VersionTaker
from regsvc.service.triggers import Triggers
from regsvc.service.uploads import Uploads
from regsvc.service.webhooks import Webhooks
from regsvc.store import PackStore

CATALOG = "catalog.sqlite"


class RegistryApp:
    """A registry on one data directory.

    Opening takes the directory's lock (`AlreadyLocked` when another server has it) and recovers what the
    last run left. `close` ends everything in order; nothing acknowledged depends on it.
    """

    def __init__(self, data: Path, limits: Limits):
        self.limits = limits
        self.store = PackStore(data)
        try:
            self.catalog = Catalog(data / CATALOG)
            try:
                self._adopted = recover(self.catalog, self.store, limits)
                self._wire()
            except BaseException:
                self.catalog.close()
                raise
        except BaseException:
            self.store.close()
            raise

    def _wire(self) -> None:
        self.store_id = self.catalog.read(store_id)
        pager = Pager(self.catalog.read(page_secret))
        chunk_reader = ChunkReader(self.store, self.catalog)
        self.files = VersionReader(self.catalog, chunk_reader)
        self.registry = Registry(self.catalog, pager, self.limits)
        self.uploads = Uploads(self.catalog, self.store, chunk_reader, self.limits)
        self.builds = Builds(self.catalog, pager, self.limits)
        self.logs = Logs(self.catalog, self.store, self.files, self.limits)
        self.records = Records(self.catalog, self.store, self.files, pager, self.limits)
        self.promotions = Promotions(self.catalog, self.limits)
        self.deployments = Deployments(self.catalog, pager)
        self.lifecycle = Lifecycle(self.catalog, self.limits)
        self.searcher = Searcher(self.catalog, pager, self.limits)
        self.lineage = Lineage(self.catalog)
        self.series = Series(self.catalog, self.limits)
        self.directions = Directions(self.catalog, self.limits)
        self.datasets = Datasets(self.catalog, pager)
        self.comparer = Comparer(self.catalog, self.files, self.series)
        self.events = Events(self.catalog, self.limits)
        self.webhooks = Webhooks(self.catalog, pager, self.limits, self.store_id)
        self.collector = Collector(self.catalog, self.store, self.limits, self._adopted)
        self.copying = Copying(self.catalog, self.limits)
        self.retention = Retention(self.catalog, self.limits)
        self.housekeeping = Housekeeping(
            self.catalog, self.builds, self.logs, self.uploads, self.collector, self.retention, self.limits
        )
        self.exporter = Exporter(self.catalog, self.files, self.limits)
        self.importer = Importer(
            self.catalog,
            VersionTaker(self.catalog, self.uploads),
            BuildTaker(self.catalog, self.uploads, self.files, self.limits),
            self.limits,
        )
        self.templates = Templates(self.catalog, pager, self.limits)
        self.queue = Queue(self.catalog, self.limits)
        self.schedules = Schedules(self.catalog, self.limits)
        self.triggers = Triggers(self.catalog, self.limits)
        self.housekeeping.start()

    def close(self) -> None:
        """End the background work, then the sessions, then the files."""
        self.housekeeping.stop()
        self.retention.stop()
        self.collector.stop()
        self.uploads.close()
        self.logs.close()
        self.records.close()
        self.catalog.close()
        self.store.close()

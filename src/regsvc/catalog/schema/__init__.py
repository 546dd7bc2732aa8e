"""The tables, as migrations of sqlite-utils. A migration that has been released is never edited, new ones go last.

Types and statements keep to what PostgreSQL also runs; `docs/architecture.md` draws the relations.
"""

from __future__ import annotations

from sqlite_utils import Migrations

from regsvc.catalog.schema import (
    automation,
    deployments,
    lifecycle,
    metrics,
    promotion,
    records,
    searching,
    spine,
    transfer,
    webhooks,
)

__all__ = ["MIGRATIONS"]

MIGRATIONS = Migrations("regsvc")

for _step in (
    spine.spine,
    spine.damaged_chunks,
    records.the_record,
    searching.search,
    metrics.series,
    metrics.best_values,
    searching.more_search,
    promotion.promotion,
    deployments.deployments,
    webhooks.webhooks,
    lifecycle.lifecycle,
    transfer.transfer,
    automation.automation,
):
    MIGRATIONS()(_step)

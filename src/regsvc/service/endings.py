"""Builds end, and what follows is queued in the same transaction: a kill can neither lose nor double it."""

from __future__ import annotations

from dataclasses import replace

from regsvc.catalog import builds, runs, templates
from regsvc.catalog.builds import Build, BuildState
from regsvc.catalog.database import Transaction
from regsvc.catalog.runs import NewRun, Run, Why
from regsvc.content.template import MAX_BACKOFF


def end_build(tx: Transaction, build: Build, state: BuildState, reason: str) -> None:
    """End a running build; the retries of its template say whether another attempt is queued."""
    run = runs.find(tx, build.id)
    if run is None:
        builds.end(tx, build, state, reason)
        return
    builds.end(tx, build, state, reason, template=run.new.template.wire, attempt=run.new.attempt)
    following = None if build.cancel_requested else _next_attempt(tx, run, state)
    if following is not None:
        runs.queue(tx, following, retry_of=build)


def _next_attempt(tx: Transaction, run: Run, state: BuildState) -> NewRun | None:
    old, revision = run.new, templates.get(tx, run.new.revision_id)
    retries = revision.template.retries
    lost, failed = old.lost + (state is BuildState.LOST), old.failed + (state is BuildState.FAILED)
    if revision.deleted or (lost, failed) == (old.lost, old.failed):
        return None
    if lost > retries.lost or failed > retries.failed:
        return None
    backoff = min(retries.backoff_seconds * 2 ** (old.attempt - 1), MAX_BACKOFF)
    return replace(
        old,
        why=Why("retry", old.why.origin, old.why.cause, old.why.author),
        lost=lost,
        failed=failed,
        not_before=tx.now + backoff * 1_000_000 if backoff else 0,
    )

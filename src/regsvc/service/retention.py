"""Retention: say which versions of a model are kept, try it, apply it, and do so by the clock."""

from __future__ import annotations

import json
import logging
import threading
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace

from regsvc.catalog import lifecycle, requests, retention, storage, versions
from regsvc.catalog.aliases import Move
from regsvc.catalog.database import Catalog, Reader, TooSlow, Transaction, now_us
from regsvc.catalog.filters import VERSIONS
from regsvc.catalog.filters.query import check
from regsvc.catalog.requests import Request
from regsvc.catalog.retention import Policy, Verdict
from regsvc.catalog.storage import Chosen
from regsvc.content.expression import Node, Unsupported
from regsvc.errors import FilterTooCostly, InvalidArgument, NotFound
from regsvc.refs import ModelName
from regsvc.service.authors import author_of
from regsvc.service.checks import check_text
from regsvc.service.limits import Limits
from regsvc.service.search import compiled, invalid

log = logging.getLogger(__name__)

MAX_LABELS = 100
MAX_LABEL_BYTES = 100
LONGEST_US = 36_525 * 24 * 3600 * 1_000_000
"""A hundred years."""
AT_ONCE = 100
"""Versions that are deleted in one transaction."""
_REASON = "retention"
_AUTHOR = "retention"
"""Who deletes by the clock."""


@dataclass(frozen=True)
class Applied:
    """What came of a policy, or would."""

    verdicts: Sequence[Verdict]
    """Of every version that was not deleted before, newest first."""
    deleted: int
    freed_size: int
    """Bytes by which packs shrink when all those have been purged and collected in full."""


class Retention:
    """What `LifecycleService` does for retention."""

    def __init__(self, catalog: Catalog, limits: Limits):
        self._catalog = catalog
        self._limits = limits
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="retention")
        self._lock = threading.Lock()  # guards the next two
        self._running: Future[None] | None = None
        self._stopping = False

    def policy(self, model: ModelName) -> Policy:
        """Raises `NotFound` (model)."""
        return self._catalog.read(lambda db: retention.find(db, model))

    def set_policy(self, policy: Policy, author: str, request: Request) -> Policy:
        """Replace the policy of a model. Errors as SetRetention documents."""
        author = author_of(author)
        policy = self._checked(policy)
        self._read_filter(policy)

        def put(tx: Transaction) -> Policy:
            if requests.replay(tx, request) is None:
                retention.put(tx, policy, author)
                requests.remember(tx, request, policy.model.wire)
            return retention.find(tx, policy.model)

        return self._catalog.write(put)

    def would_apply(self, model: ModelName, policy: Policy | None) -> Applied:
        """What the policy of a model, or one that is tried, would delete. Errors as ApplyRetention documents."""
        found = self.policy(model) if policy is None else self._checked(replace(policy, model=model))
        verdicts = self._judge(found)
        return self._with_freed(verdicts, [each.id for each in verdicts if not each.reasons])

    def apply(self, model: ModelName, author: str, request: Request) -> Applied:
        """Delete what the policy of a model does not keep. Errors as ApplyRetention documents."""
        author = author_of(author)
        known = self._catalog.write(lambda tx: requests.replay(tx, request))
        if known is not None:
            deleted, freed = json.loads(known)
            return Applied(self._judge(self.policy(model)), deleted, freed)
        applied = self._apply(model, author)
        told = json.dumps([applied.deleted, applied.freed_size])
        self._catalog.write(lambda tx: requests.remember(tx, request, told))
        return applied

    def apply_if_due(self) -> None:
        """Begin to apply scheduled policies that were last applied as long ago as is set."""
        every = self._limits.retention_every_us
        if not every or not self._catalog.read(lambda db: retention.due(db, now_us() - every)):
            return
        with self._lock:
            if not self._stopping and (self._running is None or self._running.done()):
                self._running = self._thread.submit(self._apply_due)

    def stop(self) -> None:
        """End after the present model."""
        with self._lock:
            self._stopping = True
        self._thread.shutdown(wait=True)

    def _apply_due(self) -> None:
        before = now_us() - self._limits.retention_every_us
        for model in self._catalog.read(lambda db: retention.due(db, before)):
            if self._stopping:
                return
            try:
                self._apply(model, _AUTHOR)
            except NotFound:
                continue  # renamed meanwhile: it is due under its new name
            except FilterTooCostly:
                log.warning("a retention policy takes too long", extra={"model": model.wire})
                self._catalog.write(lambda tx, model=model: retention.note_applied(tx, model))  # type: ignore[misc]
            except Exception:  # one model must not keep the others from theirs
                log.exception("a retention policy was not applied")
                return

    def _apply(self, model: ModelName, author: str) -> Applied:
        verdicts = self._judge(self.policy(model))
        doomed = [each.id for each in verdicts if not each.reasons]
        applied = self._with_freed(verdicts, doomed)
        deleted = 0
        by = Move(author, _REASON)
        for start in range(0, len(doomed), AT_ONCE):
            some = doomed[start : start + AT_ONCE]
            deleted += self._catalog.write(lambda tx, some=some: self._delete(tx, some, by))  # type: ignore[misc]
        self._catalog.write(lambda tx: retention.note_applied(tx, model))
        return replace(applied, deleted=deleted)

    def _delete(self, tx: Transaction, doomed: Sequence[int], by: Move) -> int:
        """Delete those that nobody has begun to use since they were looked at; gives how many."""
        count = 0
        for version_id in doomed:
            version = versions.get(tx, version_id)
            use = lifecycle.use_of(tx, version)
            if version.deleted_at is None and version.archived_at is None and use.refusal(version) is None:
                lifecycle.delete(tx, version, use, keep_us=self._limits.delete_keep_us, by=by)
                count += 1
        return count

    def _judge(self, policy: Policy) -> list[Verdict]:
        node = self._read_filter(policy)
        now = now_us()
        try:
            return self._catalog.read_within(
                self._limits.search_seconds, lambda db: retention.judge(db, policy, node, now)
            )
        except TooSlow:
            seconds = self._limits.search_seconds
            raise FilterTooCostly(f"the filter takes longer than {seconds:g} s", limit=seconds) from None

    def _read_filter(self, policy: Policy) -> Node | None:
        if not policy.keep_filter:
            return None
        node = compiled(VERSIONS, policy.keep_filter, self._limits)
        try:
            check(VERSIONS, node)
        except Unsupported as error:
            raise invalid(policy.keep_filter, str(error), error.position) from None
        return node

    def _with_freed(self, verdicts: Sequence[Verdict], doomed: Sequence[int]) -> Applied:
        def freed(db: Reader) -> int:
            return storage.usage(db, Chosen(doomed)).freed_size

        return Applied(verdicts, len(doomed), self._catalog.read(freed) if doomed else 0)

    def _checked(self, policy: Policy) -> Policy:
        if not 0 <= policy.keep_younger_us <= LONGEST_US:
            raise InvalidArgument("keep_younger is 0 seconds to 100 years")
        labels = tuple(dict.fromkeys(policy.keep_labels))
        if len(labels) > MAX_LABELS:
            raise InvalidArgument(f"{len(labels)} labels, at most {MAX_LABELS}", limit=MAX_LABELS)
        for label in labels:
            if not label:
                raise InvalidArgument("a label is not empty")
            check_text(label, "label", MAX_LABEL_BYTES)
        return replace(policy, keep_labels=labels, keep_filter=policy.keep_filter.strip())

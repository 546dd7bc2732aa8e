"""Builds and their steps.

Every change takes the build's next `revision`; a watcher that holds revision r asks for what changed
after r. Log lines do not count as changes here, only their position does.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

from regsvc.catalog import events, models, records
from regsvc.catalog.database import Reader, Row, Transaction
from regsvc.catalog.records import Metadata
from regsvc.errors import BuildEnded, BuildQueued, NotFound, ResourceExhausted, StepEnded
from regsvc.refs import BuildName, ModelName, VersionRef

MAX_STEPS = 5_000
REASON_BYTES = 512 << 10
"""All reasons of the steps of a build: they travel in one message, with up to 5,000 names."""
CUT_REASON = 64
"""Characters of a reason when there is no more room."""


QUEUE = "queue"
"""Topic: a build was queued, taken or cancelled, or a running one shall stop."""


class BuildState(IntEnum):
    """As in build.proto."""

    RUNNING = 1
    SUCCEEDED = 2
    FAILED = 3
    CANCELLED = 4
    LOST = 5
    QUEUED = 6


class StepState(IntEnum):
    """As in build.proto."""

    RUNNING = 1
    SUCCEEDED = 2
    FAILED = 3
    CANCELLED = 4


_SELECT = """
SELECT b.id, n.name, m.name, b.number, b.model_id, b.state, b.reason, b.description, b.created_at, b.ended_at,
       b.lease_until, b.cancel_requested, b.log_seq, b.log_bytes, f.digest, b.revision, b.changed_revision
FROM builds b
JOIN models m ON m.id = b.model_id
JOIN namespaces n ON n.id = m.namespace_id
LEFT JOIN files f ON f.id = b.log_file_id
"""


@dataclass(frozen=True)
class Build:
    """One run that makes, or tries to make, a version."""

    id: int
    name: BuildName
    model_id: int
    state: BuildState
    reason: str
    description: str
    created_at: int
    ended_at: int | None
    lease_until: int
    cancel_requested: bool
    log_seq: int
    log_bytes: int
    log_digest: bytes | None
    revision: int
    """Counts every change of the build, its steps and its metrics."""
    changed_revision: int
    """Revision at which the build itself last changed."""

    @property
    def ended(self) -> bool:
        """It will never change again, but for the sealing of its log."""
        return self.state not in (BuildState.RUNNING, BuildState.QUEUED)


@dataclass(frozen=True)
class Step:
    """A named phase of a build."""

    number: int
    name: str
    state: StepState
    reason: str
    started_at: int
    ended_at: int | None


def topic(name: BuildName) -> str:
    """What to watch for changes of a build or its log."""
    return name.wire


def find(db: Reader, name: BuildName) -> Build:
    """Raises `NotFound`."""
    row = db.row(
        _SELECT + "WHERE n.name = ? AND m.name = ? AND b.number = ?",
        [name.model.namespace, name.model.model, name.number],
    )
    if row is None:
        raise NotFound(f"build {name} does not exist", build=name.wire)
    return _build(row)


def get(db: Reader, build_id: int) -> Build:
    """By id, which must exist."""
    row = db.row(_SELECT + "WHERE b.id = ?", [build_id])
    assert row is not None, "build ids come from the catalog"
    return _build(row)


def find_running(db: Reader, name: BuildName) -> Build:
    """Raises `NotFound`, `BuildEnded` or `BuildQueued`."""
    build = find(db, name)
    if build.state is BuildState.QUEUED:
        raise BuildQueued(f"build {name} waits for a runner", build=name.wire)
    if build.ended:
        raise BuildEnded(
            f"build {name} has ended: {build.state.name}", build=name.wire, state=build.state.name
        )
    return build


def page(db: Reader, model_id: int, before: int, limit: int) -> list[Build]:
    """Builds of a model, newest first, with a number below `before`."""
    rows = db.rows(
        f"{_SELECT} WHERE b.model_id = ? AND b.number < ? ORDER BY b.number DESC LIMIT ?",
        [model_id, before, limit],
    )
    return [_build(row) for row in rows]


def metadata(db: Reader, build: Build) -> Metadata:
    """Params, tags and the last value of every metric."""
    return records.find(db, "build", build.id, build.description)


def versions(db: Reader, build: Build) -> list[VersionRef]:
    """What the build published, by number."""
    rows = db.rows("SELECT number FROM versions WHERE build_id = ? ORDER BY number", [build.id])
    return [VersionRef(build.name.model, number=number) for (number,) in rows]


def steps(db: Reader, build_id: int, after_revision: int = 0) -> list[Step]:
    """Steps by number that changed after a revision."""
    rows = db.rows(
        "SELECT number, name, state, reason, started_at, ended_at FROM steps"
        " WHERE build_id = ? AND revision > ? ORDER BY number",
        [build_id, after_revision],
    )
    return [_step(row) for row in rows]


def create(tx: Transaction, model: ModelName, data: Metadata, lease_us: int) -> BuildName:
    """Begin a build of a model, which is made when it does not exist."""
    model_id = models.ensure(tx, model)
    name = BuildName(model, models.next_build(tx, model_id))
    build_id = tx.insert(
        "INSERT INTO builds (model_id, number, state, description, created_at, lease_until)"
        " VALUES (?, ?, ?, ?, ?, ?) RETURNING id",
        [model_id, name.number, BuildState.RUNNING, data.description, tx.now, tx.now + lease_us],
    )
    records.set_params(tx, "build", build_id, data.params)
    records.set_tags(tx, "build", build_id, data.tags)
    events.record(tx, "build.created", name.wire)
    return name


def queue(tx: Transaction, model: ModelName, data: Metadata, **told: object) -> tuple[int, BuildName]:
    """Make a build that waits for a runner; gives its id too. `told` is said in the event."""
    model_id = models.ensure(tx, model)
    name = BuildName(model, models.next_build(tx, model_id))
    build_id = tx.insert(
        "INSERT INTO builds (model_id, number, state, description, created_at, lease_until)"
        " VALUES (?, ?, ?, ?, ?, 0) RETURNING id",
        [model_id, name.number, BuildState.QUEUED, data.description, tx.now],
    )
    records.set_params(tx, "build", build_id, data.params)
    records.set_tags(tx, "build", build_id, data.tags)
    events.record(tx, "build.queued", name.wire, **told)
    tx.notify(QUEUE)
    return build_id, name


def begin(tx: Transaction, build: Build, lease_us: int, **told: object) -> None:
    """A runner has taken a queued build: it is RUNNING."""
    tx.run(
        "UPDATE builds SET state = ?, lease_until = ? WHERE id = ? AND state = ?",
        [BuildState.RUNNING, tx.now + lease_us, build.id, BuildState.QUEUED],
    )
    _changed(tx, build)
    events.record(tx, "build.started", build.name.wire, **told)
    tx.notify(QUEUE)


def renew(tx: Transaction, build: Build, lease_us: int) -> int:
    """Renew the publisher's lease; gives its new end."""
    until = tx.now + lease_us
    tx.run("UPDATE builds SET lease_until = ? WHERE id = ?", [until, build.id])
    return until


def log_params(tx: Transaction, build: Build, data: Metadata) -> None:
    """Add params and tags; a key that exists is replaced."""
    records.set_params(tx, "build", build.id, data.params)
    records.set_tags(tx, "build", build.id, data.tags)
    _changed(tx, build)
    events.record(tx, "build.params", build.name.wire)


def request_cancel(tx: Transaction, build: Build) -> None:
    """Ask the publisher to stop."""
    if not build.cancel_requested:
        tx.run("UPDATE builds SET cancel_requested = 1 WHERE id = ?", [build.id])
        _changed(tx, build)
        events.record(tx, "build.cancel_requested", build.name.wire)
        tx.notify(QUEUE)


def end(tx: Transaction, build: Build, state: BuildState, reason: str, **told: object) -> None:
    """End a running or queued build, and its running steps. `told` is said in the event."""
    step_state = StepState.SUCCEEDED if state is BuildState.SUCCEEDED else StepState.CANCELLED
    revision = _changed(tx, build)
    running = "SELECT number, name FROM steps WHERE build_id = ? AND state = ? ORDER BY number"
    for number, name in tx.rows(running, [build.id, StepState.RUNNING]):
        events.record(tx, "step.ended", build.name.wire, step=name, number=number, state=step_state.name)
    tx.run(
        "UPDATE builds SET state = ?, reason = ?, ended_at = ? WHERE id = ?",
        [state, reason, tx.now, build.id],
    )
    tx.run(
        "UPDATE steps SET state = ?, ended_at = ?, revision = ? WHERE build_id = ? AND state = ?",
        [step_state, tx.now, revision, build.id, StepState.RUNNING],
    )
    events.record(tx, "build.ended", build.name.wire, state=state.name, **told)


def start_step(tx: Transaction, build: Build, name: str) -> Step:
    """Begin a step. Raises `ResourceExhausted` when there are too many."""
    number = tx.value("SELECT coalesce(max(number), 0) + 1 FROM steps WHERE build_id = ?", [build.id])
    if number > MAX_STEPS:
        raise ResourceExhausted(f"build {build.name} has {MAX_STEPS} steps already", limit=MAX_STEPS)
    tx.run(
        "INSERT INTO steps (build_id, number, name, state, started_at, revision) VALUES (?, ?, ?, ?, ?, ?)",
        [build.id, number, name, StepState.RUNNING, tx.now, _next_revision(tx, build)],
    )
    events.record(tx, "step.started", build.name.wire, step=name, number=number, state="RUNNING")
    return find_step(tx, build, number)


def end_step(tx: Transaction, build: Build, number: int, state: StepState, reason: str) -> Step:
    """End a step. Raises `NotFound`, or `StepEnded` when it ended with another state."""
    step = find_step(tx, build, number)
    if step.state is StepState.RUNNING:
        used = tx.value("SELECT coalesce(sum(length(reason)), 0) FROM steps WHERE build_id = ?", [build.id])
        if 4 * (used + len(reason)) > REASON_BYTES:  # four bytes a character, at the most
            reason = reason[:CUT_REASON]
        tx.run(
            "UPDATE steps SET state = ?, reason = ?, ended_at = ?, revision = ? WHERE build_id = ? AND number = ?",
            [state, reason, tx.now, _next_revision(tx, build), build.id, number],
        )
        events.record(tx, "step.ended", build.name.wire, step=step.name, number=number, state=state.name)
    elif step.state is not state:
        raise StepEnded(f"step {number} of {build.name} has ended: {step.state.name}", state=step.state.name)
    return find_step(tx, build, number)


def find_step(db: Reader, build: Build, number: int) -> Step:
    """Raises `NotFound`."""
    row = db.row(
        "SELECT number, name, state, reason, started_at, ended_at FROM steps WHERE build_id = ? AND number = ?",
        [build.id, number],
    )
    if row is None:
        raise NotFound(f"build {build.name} has no step {number}", step=number)
    return _step(row)


def lapsed(db: Reader, now: int) -> list[BuildName]:
    """Running builds whose publisher was not heard from."""
    rows = db.rows(_SELECT + "WHERE b.state = ? AND b.lease_until < ?", [BuildState.RUNNING, now])
    return [_build(row).name for row in rows]


def extend_leases(tx: Transaction, lease_us: int) -> None:
    """Give every running build a whole lease: the time while the server was down does not count."""
    tx.run("UPDATE builds SET lease_until = ? WHERE state = ?", [tx.now + lease_us, BuildState.RUNNING])


def unsealed(db: Reader) -> list[BuildName]:
    """Ended builds whose log lines are not in a blob yet."""
    rows = db.rows(
        _SELECT + "WHERE b.state <> ? AND b.log_seq > 0 AND b.log_file_id IS NULL", [BuildState.RUNNING]
    )
    return [_build(row).name for row in rows]


def seal_log(tx: Transaction, build: Build, file_id: int, digest: bytes) -> None:
    """Note the blob that holds the log from now on."""
    tx.run("UPDATE builds SET log_file_id = ? WHERE id = ?", [file_id, build.id])
    _changed(tx, build)
    events.record(tx, "build.log_sealed", build.name.wire, digest=digest.hex())


def advance_log(tx: Transaction, build: Build, log_seq: int, added_bytes: int) -> None:
    """Note the last committed line."""
    tx.run(
        "UPDATE builds SET log_seq = ?, log_bytes = log_bytes + ? WHERE id = ?",
        [log_seq, added_bytes, build.id],
    )
    tx.notify(topic(build.name))


def next_revision(tx: Transaction, build: Build) -> int:
    """Take the next revision, for a change outside this module."""
    return _next_revision(tx, build)


def touch(tx: Transaction, build: Build) -> None:
    """Note that what `GetBuild` answers has changed: a version was published."""
    _changed(tx, build)


def _next_revision(tx: Transaction, build: Build) -> int:
    tx.notify(topic(build.name))
    return tx.insert("UPDATE builds SET revision = revision + 1 WHERE id = ? RETURNING revision", [build.id])


def _changed(tx: Transaction, build: Build) -> int:
    revision = _next_revision(tx, build)
    tx.run("UPDATE builds SET changed_revision = ? WHERE id = ?", [revision, build.id])
    return revision


def _build(row: Row) -> Build:
    (build_id, namespace, model, number, model_id, state, *rest) = row
    (
        reason,
        description,
        created_at,
        ended_at,
        lease_until,
        cancel,
        log_seq,
        log_bytes,
        digest,
        rev,
        changed,
    ) = rest
    return Build(
        id=build_id,
        name=BuildName(ModelName(namespace, model), number),
        model_id=model_id,
        state=BuildState(state),
        reason=reason,
        description=description,
        created_at=created_at,
        ended_at=ended_at,
        lease_until=lease_until,
        cancel_requested=bool(cancel),
        log_seq=log_seq,
        log_bytes=log_bytes,
        log_digest=digest,
        revision=rev,
        changed_revision=changed,
    )


def _step(row: Row) -> Step:
    number, name, state, reason, started_at, ended_at = row
    return Step(number, name, StepState(state), reason, started_at, ended_at)

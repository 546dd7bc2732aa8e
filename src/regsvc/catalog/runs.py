"""Runs: how builds came to be from templates, the queue of those that wait, and who has taken which."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field

from regsvc.catalog import builds
from regsvc.catalog.builds import Build, BuildState
from regsvc.catalog.database import Reader, Row, Transaction
from regsvc.catalog.records import Metadata
from regsvc.content import template as content
from regsvc.content.template import Input, ParamValue, Source
from regsvc.refs import BuildName, ModelName, TemplateName

_FOLLOWERS = 100
"""Of a build that is repeated over and over the newest are told."""

_SELECT = """
SELECT r.build_id, n.name, m.name, t.name, v.revision, r.template_id, r.revision_id, r.params, r.inputs, r.source,
  r.labels, r.trigger_kind, r.origin, r.cause, r.author, r.lost, r.failed, r.not_before, r.runner, r.session,
  r.started_at, a.number, b.number
FROM runs r
JOIN templates t ON t.id = r.template_id
JOIN template_revisions v ON v.id = r.revision_id
JOIN models m ON m.id = t.model_id
JOIN namespaces n ON n.id = m.namespace_id
LEFT JOIN builds a ON a.id = r.retry_of
LEFT JOIN builds b ON b.id = r.rerun_of
"""


# The lease is 0 of all that wait; said here, the index gives them in order.
_QUEUED = """
FROM builds b
JOIN runs r ON r.build_id = b.id
JOIN models m ON m.id = b.model_id
JOIN namespaces n ON n.id = m.namespace_id
WHERE b.state = ? AND b.lease_until = 0
"""
_RUNNING = """
SELECT r.runner, r.session, n.name, m.name, b.number
FROM builds b
JOIN runs r ON r.build_id = b.id
JOIN models m ON m.id = b.model_id
JOIN namespaces n ON n.id = m.namespace_id
WHERE b.state = ?
"""


_READ = """
SELECT n.name, m.name, b.number, r.inputs, r.source
FROM builds b
JOIN runs r ON r.build_id = b.id
JOIN models m ON m.id = b.model_id
JOIN namespaces n ON n.id = m.namespace_id
WHERE b.state IN (?, ?) AND (instr(r.inputs, ?) OR instr(r.source, ?))
ORDER BY b.id
"""


@dataclass(frozen=True)
class Why:
    """Who or what has a build queued."""

    trigger: str
    """`call`, `schedule`, `event` or `retry`."""
    origin: str
    """Of retries that of the first attempt, else `trigger`."""
    cause: str = ""
    """Of a schedule the time it was due, of an event its number."""
    author: str = ""


@dataclass(frozen=True)
class NewRun:
    """What is to be executed."""

    template: TemplateName
    template_id: int
    revision_id: int
    params: Mapping[str, ParamValue]
    inputs: tuple[Input, ...]
    """Of numbered versions."""
    source: Source | None
    labels: tuple[str, ...]
    why: Why
    lost: int = 0
    """Attempts before this one whose runner was lost."""
    failed: int = 0
    """Attempts before this one that failed."""
    not_before: int = 0
    """Microseconds since 1970; 0 means now."""

    @property
    def attempt(self) -> int:
        """1 for the first."""
        return 1 + self.lost + self.failed


@dataclass(frozen=True)
class Run:
    """How a build came to be."""

    new: NewRun
    revision: int
    runner: str
    """Who has taken it, or empty."""
    session: str
    started_at: int | None
    retry_of: BuildName | None
    rerun_of: BuildName | None
    followed_by: Sequence[BuildName] = field(default=())


def find(db: Reader, build_id: int) -> Run | None:
    """None when no template made the build."""
    row = db.row(_SELECT + "WHERE r.build_id = ?", [build_id])
    if row is None:
        return None
    followers = db.rows(
        "SELECT b.number FROM builds b WHERE b.id IN (SELECT build_id FROM runs WHERE retry_of = ?"
        " UNION SELECT build_id FROM runs WHERE rerun_of = ?) ORDER BY b.number DESC LIMIT ?",
        [build_id, build_id, _FOLLOWERS],
    )
    return _run(row, [number for (number,) in reversed(followers)])


def queue(
    tx: Transaction, new: NewRun, *, retry_of: Build | None = None, rerun_of: Build | None = None
) -> tuple[int, BuildName]:
    """Queue a build; gives its id too."""
    why = new.why
    build_id, name = builds.queue(
        tx,
        new.template.model,
        Metadata(params=new.params),
        template=new.template.wire,
        trigger=why.trigger,
        attempt=new.attempt,
    )
    tx.run(
        "INSERT INTO runs (build_id, template_id, revision_id, params, inputs, source, labels, trigger_kind, origin,"
        " cause, author, lost, failed, retry_of, rerun_of, not_before)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        [
            build_id,
            new.template_id,
            new.revision_id,
            json.dumps(dict(new.params), ensure_ascii=False),
            json.dumps([asdict(each) for each in new.inputs], ensure_ascii=False),
            json.dumps(None if new.source is None else asdict(new.source), ensure_ascii=False),
            json.dumps(new.labels, ensure_ascii=False),
            why.trigger,
            why.origin,
            why.cause,
            why.author,
            new.lost,
            new.failed,
            None if retry_of is None else retry_of.id,
            None if rerun_of is None else rerun_of.id,
            new.not_before,
        ],
    )
    for earlier in (retry_of, rerun_of):
        if earlier is not None:
            builds.touch(tx, earlier)  # it is followed by this one
    return build_id, name


def take(tx: Transaction, build: Build, run: Run, runner: str, session: str, lease_us: int) -> None:
    """A runner has the queued build from now on."""
    tx.run(
        "UPDATE runs SET runner = ?, session = ?, started_at = ? WHERE build_id = ?",
        [runner, session, tx.now, build.id],
    )
    new = run.new
    builds.begin(tx, build, lease_us, template=new.template.wire, runner=runner, attempt=new.attempt)


def count_queued(db: Reader, model: ModelName) -> int:
    """Builds of a model that wait."""
    return int(
        db.value(
            "SELECT count(*) FROM builds b JOIN models m ON m.id = b.model_id"
            " JOIN namespaces n ON n.id = m.namespace_id WHERE b.state = ? AND n.name = ? AND m.name = ?",
            [BuildState.QUEUED, model.namespace, model.model],
        )
    )


def waiting(db: Reader, now: int, labels: frozenset[str], limit: int) -> tuple[list[BuildName], int | None]:
    """Builds that a runner with these labels may take, oldest first; and when the next one will be due."""
    # There are few sets of labels and perhaps many builds, which runners that may take none of them need not walk.
    sets = db.rows(f"SELECT DISTINCT r.labels {_QUEUED}", [BuildState.QUEUED])
    able = [text for (text,) in sets if labels.issuperset(json.loads(text))]
    found: list[tuple[int, str, str, int]] = []
    due: list[int] = []
    for row in db.rows_in(
        f"SELECT b.id, n.name, m.name, b.number {_QUEUED} AND r.not_before <= ? AND r.labels IN ({{}})"
        f" ORDER BY b.id LIMIT {int(limit)}",
        able,
        before=[BuildState.QUEUED, now],
    ):
        found.append((row[0], row[1], row[2], row[3]))
    for (later,) in db.rows_in(
        f"SELECT min(r.not_before) {_QUEUED} AND r.not_before > ? AND r.labels IN ({{}})",
        able,
        before=[BuildState.QUEUED, now],
    ):
        due += [] if later is None else [later]
    names = [BuildName(ModelName(namespace, model), number) for _, namespace, model, number in sorted(found)]
    return names[:limit], min(due, default=None)


def running(db: Reader) -> list[tuple[str, str, BuildName]]:
    """(runner, session, build) of all that runners have, oldest first."""
    rows = db.rows(f"{_RUNNING} ORDER BY b.id", [BuildState.RUNNING])
    return [(row[0], row[1], BuildName(ModelName(row[2], row[3]), row[4])) for row in rows]


def to_stop(db: Reader, runner: str, session: str) -> list[BuildName]:
    """Builds that a runner has and that somebody asked to stop."""
    rows = db.rows(
        f"{_RUNNING} AND b.cancel_requested = 1 AND r.runner = ? AND r.session = ? ORDER BY b.id",
        [BuildState.RUNNING, runner, session],
    )
    return [BuildName(ModelName(row[2], row[3]), row[4]) for row in rows]


def readers(db: Reader, model: ModelName) -> dict[int, list[BuildName]]:
    """Builds that have not ended and read versions of a model, as inputs or source; by the number of the version."""
    begin = f"{model.wire}/versions/"
    found: dict[int, list[BuildName]] = {}
    for namespace, name, number, inputs, source in db.rows(
        _READ, [BuildState.QUEUED, BuildState.RUNNING, begin, begin]
    ):
        read = {each.version for each in content.inputs_from_json(json.loads(inputs))}
        made_of = content.source_from_json(json.loads(source))
        if made_of is not None:
            read.add(made_of.version)
        for version in read:
            if version.startswith(begin):
                build = BuildName(ModelName(namespace, name), number)
                found.setdefault(int(version.removeprefix(begin)), []).append(build)
    return found


def is_active(db: Reader, template_id: int, origin: str) -> bool:
    """Whether a build of a template that came of this has not ended."""
    return (
        db.row(
            "SELECT 1 FROM builds b JOIN runs r ON r.build_id = b.id"
            " WHERE b.state IN (?, ?) AND r.template_id = ? AND r.origin = ? LIMIT 1",
            [BuildState.QUEUED, BuildState.RUNNING, template_id, origin],
        )
        is not None
    )


def is_of(db: Reader, template_id: int, model: ModelName, *, build: int = 0, version: int = 0) -> bool:
    """Whether a template queued a build, or the build that published a version; by their numbers."""
    owner = "SELECT 1 FROM runs r JOIN builds b ON b.id = r.build_id JOIN models m ON m.id = b.model_id"
    if version:
        owner += " JOIN versions v ON v.build_id = b.id AND v.number = ?"
    else:
        owner += " AND b.number = ?"
    return (
        db.row(
            f"{owner} JOIN namespaces n ON n.id = m.namespace_id"
            " WHERE r.template_id = ? AND n.name = ? AND m.name = ? LIMIT 1",
            [version or build, template_id, model.namespace, model.model],
        )
        is not None
    )


def _run(row: Row, followers: Sequence[int]) -> Run:
    (
        _,
        namespace,
        model,
        template,
        revision,
        template_id,
        revision_id,
        params,
        inputs,
        source,
        labels,
        *rest,
    ) = row
    (trigger, origin, cause, author, lost, failed, not_before, runner, session, started_at, retry, rerun) = (
        rest
    )
    name = ModelName(namespace, model)
    new = NewRun(
        TemplateName(name, template),
        template_id,
        revision_id,
        json.loads(params),
        content.inputs_from_json(json.loads(inputs)),
        content.source_from_json(json.loads(source)),
        tuple(json.loads(labels)),
        Why(trigger, origin, cause, author),
        lost,
        failed,
        not_before,
    )
    return Run(
        new,
        revision,
        runner,
        session,
        started_at,
        None if retry is None else BuildName(name, retry),
        None if rerun is None else BuildName(name, rerun),
        [BuildName(name, number) for number in followers],
    )

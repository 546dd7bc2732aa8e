"""Templates: their revisions, when their schedules fire next, and how far their triggers have looked."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from regsvc.catalog import events, models
from regsvc.catalog.database import Reader, Row, Transaction
from regsvc.content import template as content
from regsvc.content.template import Template
from regsvc.errors import NotFound, ResourceExhausted
from regsvc.refs import ModelName, TemplateName

TOPIC = "templates"
MAX_TRIGGERS = 2_000
"""Of all templates: each looks at every event."""

_SELECT = """
SELECT t.id, r.id, n.name, m.name, t.name, r.revision, r.body, r.author, r.created_at, t.next_run_at,
  t.deleted, t.revision
FROM templates t
JOIN models m ON m.id = t.model_id
JOIN namespaces n ON n.id = m.namespace_id
JOIN template_revisions r ON r.template_id = t.id
"""


@dataclass(frozen=True)
class Revision:
    """A revision of a template."""

    template_id: int
    id: int
    name: TemplateName
    number: int
    body: str
    """`template` as text."""
    author: str
    created_at: int
    next_run_at: int | None
    """When the schedule of the template's newest revision fires next."""
    deleted: bool
    """The template is."""
    newest: bool

    @property
    def template(self) -> Template:
        """What was set."""
        return content.from_json(self.body)


@dataclass(frozen=True)
class Trigger:
    """A condition on events that runs a template."""

    id: int
    template_id: int
    filter: str
    seq: int
    """All events up to this one have been looked at."""
    build_id: int | None
    """The last build that it queued."""


def find(db: Reader, name: TemplateName, revision: int = 0) -> Revision:
    """A revision, or the newest. Raises `NotFound`."""
    found = newest(db, name)
    if found is None:
        raise NotFound(f"template {name} does not exist", template=name.wire)
    if revision in (0, found.number):
        return found
    row = db.row(_SELECT + "WHERE t.id = ? AND r.revision = ?", [found.template_id, revision])
    if row is None:
        raise NotFound(f"template {name} has no revision {revision}", template=name.wire, revision=revision)
    return _revision(row)


def newest(db: Reader, name: TemplateName) -> Revision | None:
    """The newest revision; None when there is none, or it was deleted."""
    row = db.row(
        _SELECT
        + "WHERE n.name = ? AND m.name = ? AND t.name = ? AND r.revision = t.revision AND t.deleted = 0",
        [name.model.namespace, name.model.model, name.template],
    )
    return None if row is None else _revision(row)


def get(db: Reader, revision_id: int) -> Revision:
    """By id, which must exist; of deleted templates too."""
    row = db.row(_SELECT + "WHERE r.id = ?", [revision_id])
    assert row is not None, "ids of revisions come from the catalog"
    return _revision(row)


def page(db: Reader, model: ModelName | None, after: tuple[str, str, str], limit: int) -> list[Revision]:
    """Newest revisions by name after a key; of one model, or of all."""
    where = "WHERE (n.name, m.name, t.name) > (?, ?, ?) AND r.revision = t.revision AND t.deleted = 0"
    parameters: list[object] = [*after]
    if model is not None:
        where += " AND t.model_id = ?"
        parameters.append(models.find_id(db, model))
    rows = db.rows(f"{_SELECT} {where} ORDER BY n.name, m.name, t.name LIMIT ?", [*parameters, limit])
    return [_revision(row) for row in rows]


def put(tx: Transaction, name: TemplateName, body: str, author: str) -> Revision:
    """The next revision. Its model is made when it does not exist."""
    model_id = models.ensure(tx, name.model)
    tx.run(
        "INSERT INTO templates (model_id, name) VALUES (?, ?) ON CONFLICT (model_id, name) DO NOTHING",
        [model_id, name.template],
    )
    template_id, revision = _row(
        tx,
        "UPDATE templates SET revision = revision + 1, deleted = 0 WHERE model_id = ? AND name = ?"
        " RETURNING id, revision",
        [model_id, name.template],
    )
    tx.run(
        "INSERT INTO template_revisions (template_id, revision, body, author, created_at) VALUES (?, ?, ?, ?, ?)",
        [template_id, revision, body, author, tx.now],
    )
    events.record(tx, "template.set", name.wire, revision=revision, author=author)
    tx.notify(TOPIC)
    return find(tx, name)


def delete(tx: Transaction, found: Revision, author: str) -> None:
    """With its schedule and triggers. Its revisions stay for the builds that name them."""
    set_triggers(tx, found.template_id, ())
    tx.run("UPDATE templates SET deleted = 1, next_run_at = NULL WHERE id = ?", [found.template_id])
    events.record(tx, "template.deleted", found.name.wire, author=author)
    tx.notify(TOPIC)


def set_next_run(tx: Transaction, template_id: int, at: int | None) -> None:
    """When the schedule fires next."""
    tx.run("UPDATE templates SET next_run_at = ? WHERE id = ?", [at, template_id])
    tx.notify(TOPIC)


def next_run(db: Reader) -> int | None:
    """When a schedule fires next; None when there is none."""
    at: int | None = db.value("SELECT min(next_run_at) FROM templates WHERE next_run_at IS NOT NULL")
    return at


def due(db: Reader, now: int, limit: int) -> list[Revision]:
    """Newest revisions of templates whose schedule fires, the longest due first."""
    rows = db.rows(
        _SELECT
        + "WHERE t.next_run_at <= ? AND r.revision = t.revision AND t.deleted = 0 ORDER BY t.next_run_at LIMIT ?",
        [now, limit],
    )
    return [_revision(row) for row in rows]


def set_triggers(tx: Transaction, template_id: int, filters: Sequence[str]) -> None:
    """Have these triggers; new ones begin with what comes, those that were there go on."""
    known = {each.filter: each.id for each in triggers(tx, template_id)}
    for text, trigger_id in known.items():
        if text not in filters:
            tx.run("DELETE FROM template_triggers WHERE id = ?", [trigger_id])
    last = events.bounds(tx)[1]
    tx.run_many(
        "INSERT INTO template_triggers (template_id, filter, seq) VALUES (?, ?, ?)",
        [(template_id, text, last) for text in filters if text not in known],
    )
    if tx.value("SELECT count(*) FROM template_triggers") > MAX_TRIGGERS:
        raise ResourceExhausted(f"all templates have more than {MAX_TRIGGERS} triggers", limit=MAX_TRIGGERS)
    tx.notify(TOPIC)


def triggers(db: Reader, template_id: int | None = None) -> list[Trigger]:
    """Of one template, or of all."""
    select = "SELECT id, template_id, filter, seq, build_id FROM template_triggers"
    if template_id is None:
        rows = db.rows(f"{select} ORDER BY id")
    else:
        rows = db.rows(f"{select} WHERE template_id = ? ORDER BY id", [template_id])
    return [Trigger(*row) for row in rows]


def trigger(db: Reader, trigger_id: int) -> Trigger | None:
    """None when it is gone."""
    row = db.row(
        "SELECT id, template_id, filter, seq, build_id FROM template_triggers WHERE id = ?", [trigger_id]
    )
    return None if row is None else Trigger(*row)


def newest_of(db: Reader, template_id: int) -> Revision:
    """By the id of a template, which must exist."""
    row = db.row(_SELECT + "WHERE t.id = ? AND r.revision = t.revision", [template_id])
    assert row is not None, "ids of templates come from the catalog"
    return _revision(row)


def move_trigger(tx: Transaction, trigger_id: int, seq: int, build_id: int | None = None) -> None:
    """All events up to `seq` have been looked at; `build_id` is the build that the last one queued."""
    tx.run(
        "UPDATE template_triggers SET seq = max(seq, ?), build_id = coalesce(?, build_id) WHERE id = ?",
        [seq, build_id, trigger_id],
    )


def _row(tx: Transaction, sql: str, parameters: Sequence[object]) -> Row:
    row = tx.row(sql, parameters)
    assert row is not None
    return row


def _revision(row: Row) -> Revision:
    template_id, revision_id, namespace, model, template, number, body, author, at, next_run_at, *rest = row
    name = TemplateName(ModelName(namespace, model), template)
    deleted, newest_number = rest
    return Revision(
        template_id,
        revision_id,
        name,
        number,
        body,
        author,
        at,
        next_run_at,
        bool(deleted),
        number == newest_number,
    )

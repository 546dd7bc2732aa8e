"""Templates: set, listed, deleted."""

from __future__ import annotations

from regsvc.catalog import templates
from regsvc.catalog.database import Catalog, Transaction
from regsvc.catalog.templates import Revision
from regsvc.content import template as content
from regsvc.content.template import Template
from regsvc.errors import EtagMismatch
from regsvc.refs import ModelName, TemplateName
from regsvc.service import cron
from regsvc.service.authors import author_of
from regsvc.service.limits import Limits
from regsvc.service.paging import Page, Pager, PageRequest
from regsvc.service.template_checks import check_template


class Templates:
    """What `TemplateService` does with templates."""

    def __init__(self, catalog: Catalog, pager: Pager, limits: Limits):
        self._catalog = catalog
        self._pager = pager
        self._limits = limits

    def set(self, name: TemplateName, template: Template, author: str, expect: int | None) -> Revision:
        """The newest revision. Errors as SetTemplate documents."""
        author = author_of(author)
        check_template(template, self._limits)
        body = content.to_json(template)

        def put(tx: Transaction) -> Revision:
            old = templates.newest(tx, name)
            number = 0 if old is None else old.number
            if old is not None and old.body == body:
                return old  # also when it was this very call, whose answer was lost
            if expect not in (None, number):
                raise EtagMismatch(
                    f"the newest revision of template {name} is {number}", template=name.wire, revision=number
                )
            made = templates.put(tx, name, body, author)
            templates.set_triggers(tx, made.template_id, () if template.paused else template.triggers)
            _schedule(tx, made, old)
            return templates.find(tx, name)

        return self._catalog.write(put)

    def get(self, name: TemplateName, revision: int) -> Revision:
        """A revision; 0 is the newest. Raises `NotFound`."""
        return self._catalog.read(lambda db: templates.find(db, name, revision))

    def list(self, model: ModelName | None, request: PageRequest) -> Page[Revision]:
        """Newest revisions by name, of one model or of all. Raises `NotFound`."""

        def fetch(after: list[str], limit: int) -> list[Revision]:
            return self._catalog.read(
                lambda db: templates.page(db, model, (after[0], after[1], after[2]), limit)
            )

        return self._pager.page(
            request,
            f"templates:{model or '-'}",
            ["", "", ""],
            fetch,
            lambda found: [found.name.model.namespace, found.name.model.model, found.name.template],
            lambda found: len(found.body) + 300,
        )

    def delete(self, name: TemplateName, author: str) -> None:
        """What is not there stays so. Errors as DeleteTemplate documents."""
        author = author_of(author)

        def delete(tx: Transaction) -> None:
            found = templates.newest(tx, name)
            if found is not None:
                templates.delete(tx, found, author)

        self._catalog.write(delete)


def _schedule(tx: Transaction, made: Revision, old: Revision | None) -> None:
    """Say when it fires next; a schedule that stays the same keeps what it has."""
    template = made.template
    if template.schedule is None or template.paused:
        templates.set_next_run(tx, made.template_id, None)
        return
    schedule, before = template.schedule, None if old is None else old.template.schedule
    same = before is not None and (before.cron, before.time_zone) == (schedule.cron, schedule.time_zone)
    if not same or made.next_run_at is None:
        at = cron.next_after(schedule.cron, schedule.time_zone, tx.now)
        templates.set_next_run(tx, made.template_id, at)

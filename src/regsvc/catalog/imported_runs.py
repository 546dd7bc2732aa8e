"""How builds that came from another registry were run. Their templates stay there: a schedule would fire twice."""

from __future__ import annotations

import json
from dataclasses import asdict

from regsvc.catalog import runs
from regsvc.catalog.builds import Build
from regsvc.catalog.database import Reader, Transaction
from regsvc.catalog.runs import NewRun, Run, Why
from regsvc.catalog.transfer_items import RunItem
from regsvc.content import template as content
from regsvc.refs import BuildName, TemplateName

_FOLLOWERS = 100
"""Of a build that is repeated over and over the newest are told."""


def add(tx: Transaction, build_id: int, item: RunItem) -> None:
    """Keep how a build was run."""
    tx.run(
        "INSERT INTO imported_runs (build_id, body, retry_of, rerun_of) VALUES (?, ?, ?, ?)",
        [build_id, json.dumps(asdict(item), ensure_ascii=False), item.retry_of, item.rerun_of],
    )


def told(db: Reader, build: Build) -> Run | None:
    """How a build was run, here or where it came from; None when no template made it."""
    return runs.find(db, build.id) or _imported(db, build)


def item_of(run: Run | None) -> RunItem | None:
    """As it is transferred."""
    if run is None:
        return None
    new = run.new
    return RunItem(
        template=new.template.template,
        revision=run.revision,
        inputs=new.inputs,
        source=new.source,
        trigger=new.why.trigger,
        cause=new.why.cause,
        author=new.why.author,
        attempt=new.attempt,
        retry_of=0 if run.retry_of is None else run.retry_of.number,
        rerun_of=0 if run.rerun_of is None else run.rerun_of.number,
        runner=run.runner,
        started_at=run.started_at,
        not_before=new.not_before,
        labels=new.labels,
    )


def _imported(db: Reader, build: Build) -> Run | None:
    body = db.value("SELECT body FROM imported_runs WHERE build_id = ?", [build.id])
    if body is None:
        return None
    item = json.loads(body)
    model, number = build.name.model, build.name.number
    followers = db.rows(
        "SELECT b.number FROM builds b WHERE b.model_id = ? AND b.id IN"
        " (SELECT build_id FROM imported_runs WHERE retry_of = ? UNION"
        " SELECT build_id FROM imported_runs WHERE rerun_of = ?) ORDER BY b.number DESC LIMIT ?",
        [build.model_id, number, number, _FOLLOWERS],
    )
    new = NewRun(
        template=TemplateName(model, item["template"]),
        template_id=0,
        revision_id=0,
        params={},
        inputs=content.inputs_from_json(item["inputs"]),
        source=content.source_from_json(item["source"]),
        labels=tuple(item["labels"]),
        why=Why(item["trigger"], item["trigger"], item["cause"], item["author"]),
        lost=item["attempt"] - 1,
        not_before=item["not_before"],
    )
    retry, rerun = item["retry_of"], item["rerun_of"]
    return Run(
        new,
        item["revision"],
        item["runner"],
        "",
        item["started_at"],
        BuildName(model, retry) if retry else None,
        BuildName(model, rerun) if rerun else None,
        [BuildName(model, each) for (each,) in reversed(followers)],
    )

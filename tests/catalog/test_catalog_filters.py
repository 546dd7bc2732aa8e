"""How searches are run: whatever drives one, it finds the same; and indexes answer what they are said to answer."""

from __future__ import annotations

import itertools
import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from regsvc.catalog.database import Catalog, Reader, TooSlow, Transaction
from regsvc.catalog.filters import (
    BUILDS,
    DATASETS,
    MODELS,
    VERSIONS,
    Found,
    Kind,
    Query,
    Scope,
    find_order,
    intersect,
    query,
)
from regsvc.catalog.filters.sql import Sql, Unique
from regsvc.service.limits import Limits
from regsvc.service.search import compiled

VERSION_COUNT = 300
EVERYWHERE = Scope()


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Catalog]:
    """Some hundred versions, with many ties."""
    found = Catalog(tmp_path_factory.mktemp("filters") / "catalog.sqlite")
    found.write(_fill)
    yield found
    found.close()


def _fill(tx: Transaction) -> None:
    rng = random.Random(7)
    for namespace in (1, 2):
        tx.run("INSERT INTO namespaces VALUES (?, ?, 0)", [namespace, f"team-{namespace}"])
    for model in range(1, 7):
        tx.run(
            "INSERT INTO models (id, namespace_id, name, created_at, updated_at) VALUES (?, ?, ?, ?, ?)",
            [model, 1 + model % 2, f"m{(model + 1) // 2}", model, rng.randrange(3)],
        )
        tx.run(
            "INSERT INTO datasets (id, namespace_id, name, created_at, last_version) VALUES (?, ?, ?, 0, 5)",
            [model, 1 + model % 2, f"d{(model + 1) // 2}"],
        )
    for each in range(1, 31):
        tx.run(
            "INSERT INTO dataset_versions (id, dataset_id, number, digest, uri, row_count, created_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            [
                each,
                1 + each % 6,
                1 + (each - 1) // 6,
                rng.randbytes(32),
                f"s3://{each % 3}",
                each % 4 or None,
                each,
            ],
        )
        tx.run(
            "INSERT INTO builds (id, model_id, number, state, created_at, ended_at, lease_until)"
            " VALUES (?, ?, ?, ?, ?, ?, 0)",
            [each, 1 + each % 6, 1 + (each - 1) // 6, 1 + each % 5, each, each % 4 if each % 5 else None],
        )
    for each in range(1, VERSION_COUNT + 1):
        _add_version(tx, each, rng)


def _add_version(tx: Transaction, each: int, rng: random.Random) -> None:
    tx.run(
        "INSERT INTO versions (id, model_id, number, digest, file_count, size, stored_size, created_at)"
        " VALUES (?, ?, ?, ?, ?, ?, 0, ?)",
        [
            each,
            1 + each % 6,
            1 + (each - 1) // 6,
            rng.randbytes(32),
            each % 3,
            each % 10,
            each * 1_000_000,
        ],
    )
    for key in "ab":
        if rng.random() < 0.8:
            tx.run("INSERT INTO version_metrics VALUES (?, ?, ?)", [each, key, rng.randrange(5) / 2])
    for key, value in (("lr", rng.randrange(4) / 4), ("name", "adam"), ("steps", rng.randrange(9))):
        column = {float: "double_value", int: "int_value", str: "string_value"}[type(value)]
        if rng.random() < 0.9:
            tx.run(
                f"INSERT INTO version_params (version_id, key, {column}) VALUES (?, ?, ?)",  # noqa: S608
                [each, key, value],
            )
    if rng.random() < 0.9:
        tx.run(
            "INSERT INTO version_tags VALUES (?, 'stage', ?)",
            [each, rng.choice(["eval", "evil", "train"])],
        )
    if each % 2:
        tx.run("INSERT INTO version_labels VALUES (?, ?)", [each, f"label-{each % 4}"])
    _add_record(tx, each, rng)


def _add_record(tx: Transaction, each: int, rng: random.Random) -> None:
    if each % 3:
        tx.run(
            "INSERT INTO version_records (version_id, framework, code_commit, body) VALUES (?, ?, ?, '{}')",
            [each, rng.choice(["", "onnx", "torch"]), rng.choice(["", "abc", "abd"])],
        )
    if each % 5 == 0:
        tx.run(
            "INSERT INTO evaluation_series (version_id, source, key, point_count, last_value, last_step, last_at,"
            " min_value, max_value) VALUES (?, ?, 'f1', 1, ?, 0, 0, 0, 1)",
            [each, rng.choice(["nightly", "canary"]), rng.random()],
        )
        tx.run("INSERT INTO version_datasets VALUES (?, ?, 'train', '')", [each, 1 + each % 30])
        tx.run("INSERT INTO version_parents VALUES (?, 0, 1, ?, NULL)", [each, f"hf:org/base-{each % 2}"])
    if each % 50 == 0:
        tx.run(
            "INSERT INTO aliases (model_id, name, version_id, updated_at) VALUES (?, ?, ?, 0)",
            [1 + each % 6, f"prod-{each}", each],
        )


DRIVEN = [
    "metrics.a > 1.0",
    "1.0 >= metrics.a",
    "metrics.a in [0.5, 1, 2.0]",
    "has(metrics.a)",
    '"b" in metrics',
    "params.lr < 0.5",
    "params.steps == 3",
    'params.name == "adam"',
    'params.name.startsWith("ad")',
    'params.steps in [1, "x", 2.0]',
    'tags.stage == "eval"',
    'tags.stage.startsWith("ev")',
    'tags.stage in ["eval", "train"]',
    '"label-1" in labels',
    'labels.exists(l, l == "label-1")',
    'labels.exists(l, l.startsWith("label-") && l != "label-3")',
    'labels.exists(l, l in ["label-1", "label-2"])',
    '"prod-50" in aliases',
    'parents.exists(p, p.name == "hf:org/base-1" && p.relation == "fine-tuned")',
    'parents.exists(p, p.name.startsWith("hf:org/base-1") && p.relation == "fine-tuned")',
    'parents.exists(p, p.name == "hf:org/base-1" || p.name == "x")',
    'datasets.exists(d, d.name == "d1" && d.split == "train")',
    'evaluations.exists(e, e.source == "nightly" && e.key == "f1" && e.value > 0.5)',
    'evaluations.exists(e, e.key in ["f1", "auc"] && e.max >= 1.0)',
    "number == 7",
    "number in [7, 8]",
    "size >= 8",
    'created > timestamp("1970-01-01T00:00:01Z") + duration("1m")',
    'name == "m1"',
    'name.startsWith("m")',
    'model == "team-1/m1"',
    'model in ["team-1/m1", "team-2/m2"]',
    'model.startsWith("team-1/")',
    'framework == "onnx"',
    'framework in ["onnx", "torch"]',
    'code.commit == "abc"',
    'metrics.a > 1.5 || tags.stage == "train"',
    '(metrics.a > 1.5 && size > 3) || (number < 4 && "label-1" in labels)',
]
"""An index answers each of them."""
WALKED = [
    'parents.exists(p, p.name.startsWith("hf:") || p.name == "x")',
    "metrics.a != 1.0",
    "!(metrics.a > 1.0)",
    "files == 1",
    "metrics.a > 1.5 || files == 1",
    'framework == ""',
    'code.commit in ["", "abc"]',
    'labels.all(l, l == "label-1")',
    "evaluations.exists(e, e.value > 0.5)",
    'tags.stage.startsWith("")',
    "metrics.a - metrics.b > 0.5",
    "true",
]
ORDERS = [
    "",
    "created",
    "number",
    "number desc",
    "name",
    "model desc",
    "namespace",
    "size desc",
    "files",
    "digest",
    "framework desc",
    "code.commit",
    "description",
    "metrics.a desc",
    'metrics["b"]',
    "params.lr",
    "params.steps desc",
    "tags.stage desc",
]


def _search(
    catalog: Catalog, kind: Kind, text: str, order_by: str, *, size: int = 7, scope: Scope = EVERYWHERE
) -> list[int]:
    """All ids, page by page."""
    node = compiled(kind, text, Limits()) if text else None
    order = find_order(kind, order_by)
    assert order is not None
    found: list[int] = []
    after = None
    while True:
        page: list[Found] = catalog.read_within(
            60, lambda db, after=after: Query(kind, node, scope, order, size).rows(db, after, size)
        )
        found += [row.id for row in page]
        if len(page) < size:
            return found
        after = page[-1].key


@pytest.fixture(params=["walked", "intersected"])
def broad(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """As if everything were found by very many."""
    monkeypatch.setattr(query, "SELECTIVE", -1)
    monkeypatch.setattr(query, "WALK_SECONDS", 60 if request.param == "walked" else 0)
    if request.param == "intersected":
        monkeypatch.setattr(Reader, "rows_within", lambda *_: None)


@pytest.mark.parametrize("text", [*DRIVEN, *WALKED])
@pytest.mark.usefixtures("broad")
def test_broad_conditions_find_what_selective_ones_find(catalog: Catalog, text: str) -> None:
    found = _search(catalog, VERSIONS, text, "")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(query, "SELECTIVE", 5_000)
        assert found == _search(catalog, VERSIONS, text, "")
    if text in DRIVEN:
        assert 0 < len(found) < VERSION_COUNT or "name" in text or "adam" in text, "it tells something"


@pytest.mark.parametrize("most", [10_000_000, VERSION_COUNT, VERSION_COUNT - 1, 10])
def test_ids_in_common_are_the_same_however_they_are_read(
    catalog: Catalog, monkeypatch: pytest.MonkeyPatch, most: int
) -> None:
    monkeypatch.setattr(intersect, "MOST", most)
    drivers = [
        Unique("SELECT id FROM versions WHERE id % 2 = ?", (0,)),
        Sql("SELECT id FROM versions WHERE id % 3 = ? UNION ALL SELECT id FROM versions", (0,)),
        Unique("SELECT id FROM versions WHERE id > ?", (100,)),
        Unique("SELECT id FROM versions WHERE id < ?", (9,)),
    ]

    def common(count: int, enough: int = -1) -> list[int] | None:
        found = catalog.read_within(
            60, lambda db: intersect.common(db, drivers[:count], enough, VERSION_COUNT)
        )
        return (
            None
            if found is None
            else [row[0] for row in catalog.read(lambda db: db.rows(found.text, found.parameters))]
        )

    everything = range(1, VERSION_COUNT + 1)
    even = [each for each in everything if each % 2 == 0]
    if most > 10:
        assert common(1) == common(2) == even
        assert common(3) == [each for each in even if each > 100]
        assert common(3, len(even)) == even, "few enough already"
        assert common(4) == []
    else:
        assert common(3) is None, "each finds too many"
        assert common(4) == list(range(1, 9))


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("text", ["", 'metrics.a > 0.5 && tags.stage == "eval"', "files == 1"])
@pytest.mark.usefixtures("broad")
def test_an_order_is_the_same_however_it_is_followed(catalog: Catalog, text: str, order: str) -> None:
    found = _search(catalog, VERSIONS, text, order)
    assert len(found) == len(set(found))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(query, "SELECTIVE", 5_000)
        assert found == _search(catalog, VERSIONS, text, order, size=1000)


def test_orders_are_by_their_values_and_leave_out_what_has_none(catalog: Catalog) -> None:
    def values(sql: str) -> dict[int, object]:
        return dict(catalog.read(lambda db: db.rows(sql)))

    columns = "FROM versions v JOIN models m ON m.id = v.model_id JOIN namespaces n ON n.id = m.namespace_id"
    for order, sql in {
        "number": "SELECT id, number FROM versions",
        "size": "SELECT id, size FROM versions",
        "name": f"SELECT v.id, m.name {columns}",
        "namespace": f"SELECT v.id, n.name {columns}",
        "metrics.a": "SELECT version_id, value FROM version_metrics WHERE key = 'a'",
        "params.steps": "SELECT version_id, int_value FROM version_params WHERE key = 'steps'",
        "tags.stage": "SELECT version_id, value FROM version_tags",
    }.items():
        known = values(sql)
        for direction, sign in (("", 1), (" desc", -1)):
            found = _search(catalog, VERSIONS, "", order + direction)
            assert sorted(found) == sorted(known), order
            assert [known[each] for each in found] == sorted(known.values())[::sign], order  # type: ignore[type-var]
    assert _search(catalog, VERSIONS, "", "params.name") == []


@pytest.mark.parametrize("kind", [BUILDS, MODELS, DATASETS], ids=lambda kind: kind.name)
def test_every_field_orders_every_kind(catalog: Catalog, kind: Kind) -> None:
    everything = sorted(_search(catalog, kind, "", ""))
    for order in itertools.chain(kind.columns, (f"{each} desc" for each in kind.columns)):
        found = _search(catalog, kind, "", order, size=3)
        expected = [each for each in everything if kind is not BUILDS or "ended" not in order or each % 5]
        assert sorted(found) == expected, order


@pytest.mark.parametrize("order", ["", "created", "number", "metrics.a"])
def test_a_scope_is_only_its_own(catalog: Catalog, order: str) -> None:
    own = [each for each in range(1, VERSION_COUNT + 1) if each % 6 == 0]  # model 1, in namespace 2
    found = _search(catalog, VERSIONS, "", order, scope=Scope("team-2", "m1", "models"))
    assert set(found) <= set(own)
    assert order == "metrics.a" or found == (own if order else own[::-1])


def test_pages_go_on_exactly_while_others_write(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "catalog.sqlite")
    catalog.write(_fill)
    order = find_order(VERSIONS, "metrics.a desc")
    assert order is not None
    before = _search(catalog, VERSIONS, "", "metrics.a desc", size=1000)
    found: list[int] = []
    after = None
    for new in itertools.count(VERSION_COUNT + 1):
        page = catalog.read_within(
            60, lambda db, after=after: Query(VERSIONS, None, Scope(), order, 10).rows(db, after, 10)
        )
        found += [row.id for row in page]
        if len(page) < 10:
            break
        after = page[-1].key
        value = after[0]  # the same value: above all of its ties

        def add(tx: Transaction, new: int = new, value: object = value) -> None:
            tx.run(
                "INSERT INTO versions (id, model_id, number, digest, file_count, size, stored_size, created_at)"
                " VALUES (?, 1, ?, x'', 0, 0, 0, 0)",
                [new, new],
            )
            tx.run("INSERT INTO version_metrics VALUES (?, 'a', ?)", [new, value])

        catalog.write(add)
    catalog.close()
    assert [each for each in found if each <= VERSION_COUNT] == before
    assert len(found) == len(set(found))


def _plans(catalog: Catalog, text: str, order_by: str) -> list[str]:
    """What SQLite says of the statements of a search."""
    plans: list[str] = []

    class Explaining(Reader):
        def rows(self, sql: str, parameters: object = ()) -> list[tuple[object, ...]]:  # type: ignore[override]
            rows = super().rows("EXPLAIN QUERY PLAN " + sql, parameters)  # type: ignore[arg-type]
            plans.append("\n".join(row[3] for row in rows))
            return super().rows(sql, parameters)  # type: ignore[arg-type]

        def row(self, sql: str, parameters: object = ()) -> tuple[object, ...] | None:  # type: ignore[override]
            return next(iter(self.rows(sql, parameters)), None)

    order = find_order(VERSIONS, order_by)
    assert order is not None
    node = compiled(VERSIONS, text, Limits()) if text else None
    catalog.read(
        lambda db: Query(VERSIONS, node, Scope(), order, 10).rows(Explaining(db._connection), None, 10)
    )
    return plans


_SMALL = re.compile(r"SCAN ((m|n|d|y|[0-9]+ )\b|\(|CONSTANT|dataset)")
"""Models, namespaces and datasets are few beside versions; the others are lists of literals and subqueries."""


@pytest.mark.parametrize("text", DRIVEN)
def test_an_index_answers_what_drives(catalog: Catalog, text: str) -> None:
    plans = _plans(catalog, text, "")
    assert len(plans) > 1, "something drives it"
    for plan in plans[:-1]:
        scanned = [line for line in plan.splitlines() if line.startswith("SCAN") and not _SMALL.match(line)]
        assert not scanned, plan


@pytest.mark.parametrize(
    "order",
    [
        *(
            "",
            "created",
            "number",
            "size desc",
            "name",
            "model desc",
            "namespace",
            "metrics.a desc",
            "params.lr",
        ),
        *("tags.stage", "params.steps desc"),
    ],
)
def test_an_index_gives_the_orders_that_people_use(catalog: Catalog, order: str) -> None:
    [plan] = _plans(catalog, "", order)
    assert "TEMP B-TREE" not in plan, plan


def test_what_takes_too_long_ends_and_the_connection_goes_on(catalog: Catalog) -> None:
    endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n"

    def read(db: Reader) -> object:
        assert db.rows_within(0.01, endless) is None
        assert db.rows_within(60, "SELECT 1") == [(1,)]
        return db.rows_within(60, endless)

    with pytest.raises(TooSlow):
        catalog.read_within(0.1, read)
    assert catalog.read(lambda db: db.value("SELECT 1")) == 1

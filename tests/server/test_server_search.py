"""Search on the wire: what the SQL finds is what CEL says of the same records, and errors tell where and why."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any

import grpc
import pytest
from cel_expr_python import cel
from hypothesis import given, settings
from hypothesis import strategies as st
from server.wire import LIMIT, Wire
from support import Server

from regsvc.v1 import build_pb2 as bld
from regsvc.v1 import record_pb2 as rec
from regsvc.v1 import registry_pb2 as reg
from regsvc.v1 import search_pb2 as pb
from regsvc.v1 import search_pb2_grpc

KINDS: Mapping[type, str] = {bool: "bool_value", int: "int_value", float: "double_value", str: "string_value"}

RECORDS: list[dict[str, Any]] = [
    {
        "model": "fraud",
        "metrics": {"f1": 0.71, "loss": 0.3},
        "params": {"lr": 0.001, "layers": 3, "opt": "adam", "amp": True},
        "tags": {"stage": "eval"},
        "aliases": ["prod"],
        "labels": ["credit", "nlp"],
        "packages": {"torch": "2.5.1", "numpy": "2.2.0"},
        "framework": "pytorch",
        "commit": "a" * 40,
        "card": "Detects credit card fraud in transactions.",
        "description": "first",
    },
    {
        "model": "fraud",
        "metrics": {"f1": 0.65},
        "params": {"lr": 0.1, "layers": 12, "opt": "sgd", "amp": False},
        "tags": {"stage": "train", "team": "risk"},
        "aliases": [],
        "labels": ["credit"],
        "packages": {"torch": "1.13.0"},
        "framework": "pytorch",
        "commit": "b" * 40,
        "card": "",
        "description": "100% of _ 'quotes' \"and\" %",
    },
    {
        "model": "churn",
        "metrics": {"loss": 0.9, "odd key": 1.0},
        "params": {"lr": "auto"},
        "tags": {},
        "aliases": ["prod", "canary"],
        "labels": [],
        "packages": {},
        "framework": "",
        "commit": "",
        "card": "Überprüft Kündigungen",
        "description": "",
    },
    {
        "model": "churn",
        "metrics": {},
        "params": {},
        "tags": {"stage": ""},
        "aliases": [],
        "labels": ["nlp"],
        "packages": {"torch": "2.0"},
        "framework": "onnx",
        "commit": "",
        "card": "",
        "description": "last",
    },
]


def search(wire: Wire, filter: str, **fields: object) -> pb.SearchResponse:
    """Search in the namespace of these tests."""
    stub = search_pb2_grpc.SearchServiceStub(wire.channel)
    fields = {"parent": "namespaces/find", **fields}
    return stub.Search(pb.SearchRequest(filter=filter, **fields), timeout=LIMIT)  # type: ignore[arg-type]


@pytest.fixture(scope="module")
def stored(shared_server: Server) -> Iterator[tuple[Wire, list[dict[str, Any]]]]:
    """The records as versions, with what CEL is told of each."""
    with Wire(shared_server) as wire:
        known = []
        for place, record in enumerate(RECORDS):
            version = wire.push(
                f"find/{record['model']}",
                {"a": b"x" * (place + 1)},
                aliases=record["aliases"],
                metadata=reg.VersionMetadata(
                    description=record["description"],
                    metrics=record["metrics"],
                    params={k: reg.ParamValue(**{KINDS[type(v)]: v}) for k, v in record["params"].items()},
                    tags=record["tags"],
                ),
                record=rec.Record(
                    labels=record["labels"],
                    framework=record["framework"],
                    card=record["card"],
                    code=rec.Code(commit=record["commit"]),
                    environment=rec.Environment(
                        packages=[rec.Package(name=n, version=v) for n, v in record["packages"].items()]
                    ),
                ),
            )
            known.append(
                {
                    **record,
                    "number": version.number,
                    "size": version.size,
                    "files": 1,
                    "name": record["model"],
                    "model": f"find/{record['model']}",
                    "namespace": "find",
                    "digest": version.digest,
                    "code": {"commit": record["commit"], "branch": "", "remote": ""},
                    "created": version.create_time.ToDatetime(tzinfo=UTC),
                    "wire": version.name,
                }
            )
        for record in known:  # an alias has moved away from what was pushed before
            name = reg.GetVersionRequest(name=record["wire"])
            record["aliases"] = list(wire.registry.GetVersion(name, timeout=LIMIT).version.aliases)
        yield wire, known


T = cel.Type
ENVIRONMENT = cel.NewEnv(
    variables={
        **dict.fromkeys(["metrics", "params"], T.Map(T.STRING, T.DYN)),
        **dict.fromkeys(["tags", "packages", "code"], T.Map(T.STRING, T.STRING)),
        **dict.fromkeys(["aliases", "labels"], T.List(T.STRING)),
        **dict.fromkeys(
            ["model", "name", "namespace", "framework", "description", "digest", "card"], T.STRING
        ),
        **dict.fromkeys(["number", "size", "files"], T.DYN),
        "created": T.TIMESTAMP,
    }
)


def expected(filter: str, known: list[dict[str, Any]]) -> set[str]:
    """What CEL itself says: an error is no match."""
    expression = ENVIRONMENT.compile(filter)
    found = set()
    for record in known:
        data = {key: value for key, value in record.items() if key not in ("wire", "commit")}
        if expression.eval(data=data).value() is True:
            found.add(record["wire"])
    return found


FILTERS = [
    "metrics.f1 > 0.7",
    "0.7 < metrics.f1",
    "metrics.f1 >= 0.65 && metrics.loss < 1.0",
    "metrics.f1 > 0.7 || metrics.loss > 0.5",
    "!(metrics.f1 > 0.7)",
    "has(metrics.f1)",
    "!has(metrics.f1)",
    'metrics["odd key"] == 1.0',
    '"odd key" in metrics',
    "params.lr < 0.01",
    "params.layers == 3",
    "params.layers > 2.5",
    'params.opt == "adam"',
    'params.opt.startsWith("s")',
    "params.amp == true",
    "params.amp",
    "!params.amp",
    'params.lr == "auto"',
    'tags.stage == "eval"',
    'tags.stage != "eval"',
    'tags["stage"] == ""',
    '"prod" in aliases',
    '!("prod" in aliases)',
    'aliases.exists(a, a.startsWith("can"))',
    'aliases.all(a, a == "prod")',
    "size(labels) == 2",
    'labels.exists(l, l == "nlp") && "credit" in labels',
    'packages["torch"].startsWith("2.")',
    '"numpy" in packages',
    'framework == "pytorch"',
    'framework in ["onnx", "pytorch"]',
    "number in [2, 3]",
    'code.commit.startsWith("aaa")',
    f'code.commit == "{"a" * 40}"',
    f'"{"b" * 40}" == code.commit && metrics.f1 < 0.7',
    'code.commit == ""',
    'packages["torch"] == "2.5.1"',
    'packages["torch"] >= "2"',
    'description.contains("%")',
    'description.contains("_ \'quotes\' \\"and\\"")',
    'description.endsWith("%")',
    'description.endsWith("")',
    'model == "find/churn" && number == 1',
    'name == "churn"',
    "size > 1 && size <= 3",
    'created > timestamp("2026-01-01T00:00:00Z")',
    'created < timestamp("2026-01-01T00:00:00+02:00")',
    'card.contains("Kündigungen")',
    "true",
    "false || metrics.f1 > 0.7",
]


@pytest.mark.parametrize("filter", FILTERS)
def test_a_filter_finds_what_cel_says(stored: tuple[Wire, list[dict[str, Any]]], filter: str) -> None:
    wire, known = stored
    assert {version.name for version in search(wire, filter).versions} == expected(filter, known)


COMPOUND = st.recursive(
    st.sampled_from([each for each in FILTERS if "all(" not in each]),
    lambda inner: st.one_of(
        st.tuples(inner, inner).map(lambda two: f"({two[0]}) && ({two[1]})"),
        st.tuples(inner, inner).map(lambda two: f"({two[0]}) || ({two[1]})"),
        inner.map(lambda one: f"!({one})"),
    ),
    max_leaves=5,
)


@settings(max_examples=150, deadline=None)
@given(filter=COMPOUND)
def test_compounds_find_what_cel_says_also_of_what_is_missing(
    stored: tuple[Wire, list[dict[str, Any]]], filter: str
) -> None:
    wire, known = stored
    assert {version.name for version in search(wire, filter).versions} == expected(filter, known)


@pytest.mark.parametrize(
    ("filter", "line", "column", "word"),
    [
        ("metrics.f1 >", "1", "13", "Syntax"),
        ("nonsense == 1", "1", "1", "undeclared"),
        ("true &&\n  nonsense", "2", "3", "undeclared"),
        ('created > "2026"', "1", "9", "overload"),
        ("metrics.f1", "1", "8", "condition"),
        ('metrics.f1 == "high"', "1", "15", "string"),
        ("metrics.f1 > metrics.loss ? true : false", None, None, "not known"),
        ("metrics.f1 + 1.0 > 2.0", None, None, "not known"),
        ("aliases.map(a, a) == aliases", None, None, "exists and all"),
        ("labels.exists(l, aliases.exists(a, a == l))", None, None, "within a list"),
        ('created > timestamp("yesterday")', "1", "21", "time is written"),
        ("name.matches('(a+)+$')", None, None, "not known"),
        ('text("")', None, None, "1 to 32 words"),
        ('size("a") == size("b" + name)', None, None, "not known"),
        ("code.nothing == 'a'", None, None, "commit"),
        ("params.lr == params.layers", None, None, "literal"),
        ("[1, 2] == [1, 2]", None, None, ""),
        ("null == null", None, None, ""),
        ("b'a' == b'a'", None, None, ""),
        ("number == 18446744073709551615u", None, None, "64 bits"),
        ("(" * 100 + "true" + ")" * 100, None, None, "parentheses"),
        (" && ".join(["number>1"] * 300), None, None, "operators"),
    ],
)
def test_what_cannot_be_answered_is_refused_with_position_and_reason(
    wire: Wire, filter: str, line: str | None, column: str | None, word: str
) -> None:
    stub = search_pb2_grpc.SearchServiceStub(wire.channel)
    with pytest.raises(grpc.RpcError) as refused:
        stub.Search(pb.SearchRequest(filter=filter), timeout=LIMIT)
    assert word in refused.value.details()
    with wire.refused("INVALID_ARGUMENT", "FILTER_INVALID") as metadata:
        search(wire, filter)
    if line is not None:
        assert (metadata["line"], metadata["column"]) == (line, column)
    assert {"line", "column"} <= set(metadata)


def test_a_filter_of_many_bytes_is_refused(wire: Wire) -> None:
    with wire.refused("RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"):
        search(wire, 'name == "' + "x" * 5000 + '"')


def test_text_finds_words_of_names_cards_labels_and_descriptions(
    stored: tuple[Wire, list[dict[str, Any]]],
) -> None:
    wire, known = stored

    def found(words: str) -> list[int]:
        names = {version.name for version in search(wire, f'text("{words}")').versions}
        return [place for place, record in enumerate(known) if record["wire"] in names]

    assert found("credit card fraud") == [0]
    assert found("FRAUD") == [0, 1]
    assert found("nlp") == [0, 3]
    assert found("kündigungen") == [2]
    assert found("first OR ) *") == []
    models = search(wire, 'text("churn")', kind=pb.SEARCH_KIND_MODELS).models
    assert [model.name for model in models] == ["namespaces/find/models/churn"]


@pytest.mark.parametrize(
    ("order", "expected"),
    [
        ("", [3, 2, 1, 0]),
        ("created", [0, 1, 2, 3]),
        ("created desc", [3, 2, 1, 0]),
        ("size desc", [3, 2, 1, 0]),
        ("metrics.f1 desc", [0, 1]),
        ("metrics.f1", [1, 0]),
        ("metrics.loss", [0, 2]),
        ("params.lr", [0, 1]),
        ("name", [2, 3, 0, 1]),
    ],
)
def test_results_are_ordered_and_paged_without_gap_or_double(
    stored: tuple[Wire, list[dict[str, Any]]], order: str, expected: list[int]
) -> None:
    wire, known = stored
    names, token = [], ""
    while True:
        page = search(wire, "number > 0", order_by=order, page_size=1, page_token=token)
        names += [version.name for version in page.versions]
        token = page.next_page_token
        if not token:
            break
    assert names == [known[place]["wire"] for place in expected]


def test_a_page_is_stable_while_others_write(wire: Wire) -> None:
    before = [wire.push("stable/m", {"a": b"1"}).name for _ in range(5)]
    first = search(wire, "", parent="namespaces/stable/models/m", page_size=2)
    wire.push("stable/m", {"a": b"1"})
    rest = search(wire, "", parent="namespaces/stable/models/m", page_token=first.next_page_token)
    assert [version.name for version in (*first.versions, *rest.versions)] == before[::-1]


def test_a_token_of_another_search_is_refused(stored: tuple[Wire, list[dict[str, Any]]]) -> None:
    wire, _ = stored
    token = search(wire, "number > 0", page_size=1).next_page_token
    with wire.refused("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID"):
        search(wire, "number > 1", page_token=token)
    with wire.refused("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID"):
        search(wire, "number > 0", order_by="size", page_token=token)
    with wire.refused("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID"):
        search(wire, "number > 0", kind=pb.SEARCH_KIND_BUILDS, page_token=token)


@pytest.mark.parametrize("order", ["nonsense", "created sideways", "tags.stage", "metrics."])
def test_an_unknown_order_is_refused(wire: Wire, order: str) -> None:
    with wire.refused("INVALID_ARGUMENT", "INVALID_ARGUMENT"):
        search(wire, "", order_by=order)


def test_builds_are_found_by_state_metrics_and_params(wire: Wire) -> None:
    first = wire.create_build(
        "builds/found", metadata=reg.VersionMetadata(params={"lr": reg.ParamValue(double_value=0.1)})
    )
    second = wire.create_build("builds/found", metadata=reg.VersionMetadata(tags={"a": "b"}))
    points = [bld.MetricPoint(key="loss", value=0.5), bld.MetricPoint(key="loss", value=0.25)]
    wire.builds.LogMetrics(bld.LogMetricsRequest(build=second, points=points), timeout=LIMIT)
    wire.finish(first, bld.BUILD_STATE_FAILED)

    def found(filter: str, **fields: object) -> list[str]:
        return [
            build.name
            for build in search(
                wire, filter, kind=pb.SEARCH_KIND_BUILDS, parent="namespaces/builds", **fields
            ).builds
        ]

    assert found('state == "FAILED"') == [first]
    assert found("metrics.loss < 0.3") == [second]
    assert found("metrics.loss > 0.3") == []
    assert found("params.lr == 0.1") == [first]
    assert found('tags.a == "b" && state == "RUNNING"') == [second]
    assert found(f'ended > timestamp("{datetime(2026, 1, 1, tzinfo=UTC).isoformat()}")') == [first]
    assert found("", order_by="created") == [first, second]

"""Search on the wire: what the SQL finds is what CEL says of the same records, and errors tell where and why."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
from cel_expr_python import cel
from cel_expr_python.ext import ext_strings
from hypothesis import given, settings
from hypothesis import strategies as st
from server.wire import LIMIT, Wire
from support import Server

from regsvc.catalog.filters import Scope
from regsvc.errors import FilterTooCostly
from regsvc.service.app import RegistryApp
from regsvc.service.limits import Limits
from regsvc.service.paging import PageRequest
from regsvc.service.search import Search
from regsvc.v1 import build_pb2 as bld
from regsvc.v1 import dataset_pb2 as dat
from regsvc.v1 import dataset_pb2_grpc, metric_pb2_grpc, search_pb2_grpc
from regsvc.v1 import metric_pb2 as met
from regsvc.v1 import record_pb2 as rec
from regsvc.v1 import registry_pb2 as reg
from regsvc.v1 import search_pb2 as pb

MANY = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) SELECT 'n' || i, 0 FROM n"
PARENT = rec.PARENT_RELATION_FINE_TUNED
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
        "evaluations": [("nightly", "f1", 0.8), ("nightly", "auc", 0.9)],
        "datasets": [("transactions", "train"), ("holdout", "test")],
        "parents": ["hf:org/base"],
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
        "evaluations": [("nightly", "f1", 0.6), ("canary", "f1", 0.9)],
        "datasets": [("transactions", "train")],
        "parents": ["hf:org/base", "hf:org/other"],
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
        "evaluations": [],
        "datasets": [],
        "parents": [],
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
        "evaluations": [("canary", "auc", 0.5)],
        "datasets": [("holdout", "train")],
        "parents": ["https://x/y"],
    },
]


def search(wire: Wire, filter: str, **fields: object) -> pb.SearchResponse:
    """Search in the namespace of these tests."""
    stub = search_pb2_grpc.SearchServiceStub(wire.channel)
    fields = {"parent": "namespaces/find", **fields}
    return stub.Search(pb.SearchRequest(filter=filter, **fields), timeout=LIMIT)  # type: ignore[arg-type]


def register(wire: Wire, name: str, uri: str = "", rows: int = 0, digest: str = "1") -> dat.Dataset:
    """A version of a dataset."""
    namespace, _, dataset = name.partition("/")
    request = dat.RegisterDatasetRequest(
        parent=f"namespaces/{namespace}/datasets/{dataset}", digest=digest * 64, uri=uri
    )
    if rows:
        column = {
            "name": "a",
            "type": "int",
            "count": rows,
            "nulls": 0,
            "not_finite": 0,
            "approximate": False,
        }
        request.profile = json.dumps({"version": 1, "rows": rows, "columns": [column]})
    stub = dataset_pb2_grpc.DatasetServiceStub(wire.channel)
    return stub.RegisterDataset(request, timeout=LIMIT).dataset


def evaluate(wire: Wire, version: str, source: str, key: str, value: float) -> None:
    """Two points: the second is the value."""
    points = [
        met.EvaluationPoint(key=key, value=each, step=step) for step, each in enumerate((value - 1, value))
    ]
    request = met.AddEvaluationRequest(version=version, source=source, points=points)
    metric_pb2_grpc.MetricServiceStub(wire.channel).AddEvaluation(request, timeout=LIMIT)


@pytest.fixture(scope="module")
def stored(shared_server: Server) -> Iterator[tuple[Wire, list[dict[str, Any]]]]:
    """The records as versions, with what CEL is told of each."""
    with Wire(shared_server) as wire:
        known = []
        register(wire, "find/transactions")
        register(wire, "find/holdout")
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
                    parents=[rec.Parent(uri=uri, relation=PARENT) for uri in record["parents"]],
                    datasets=[
                        rec.DatasetUse(dataset=f"namespaces/find/datasets/{name}/versions/1", split=split)
                        for name, split in record["datasets"]
                    ],
                ),
            )
            for source, key, value in record["evaluations"]:
                evaluate(wire, version.name, source, key, value)
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
                    "evaluations": [
                        {"source": source, "key": key, "value": value, "min": value - 1, "max": value}
                        for source, key, value in record["evaluations"]
                    ],
                    "datasets": [
                        {"name": name, "namespace": "find", "number": 1, "split": split}
                        for name, split in record["datasets"]
                    ],
                    "parents": [{"name": uri, "relation": "fine-tuned"} for uri in record["parents"]],
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
        **dict.fromkeys(["evaluations", "datasets", "parents"], T.List(T.Map(T.STRING, T.DYN))),
        **dict.fromkeys(
            ["model", "name", "namespace", "framework", "description", "digest", "card"], T.STRING
        ),
        **dict.fromkeys(["number", "size", "files"], T.DYN),
        "created": T.TIMESTAMP,
    },
    extensions=[ext_strings.ExtStrings()],
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
    # Arithmetic: ints are ints, doubles doubles; what overflows, or is divided by zero, is missing.
    "metrics.f1 - metrics.loss > 0.4",
    "metrics.f1 * 2.0 > 1.4",
    "metrics.f1 / metrics.loss >= 2.0",
    "-metrics.f1 < -0.7",
    "0.1 + 0.2 + metrics.f1 > 1.0",
    "number + 1 == 2",
    "2 - number <= 0",
    "size * 2 - 1 > 4",
    "size / 2 == 1",
    "-size / 2 == -1",
    "-size % 2 == -1",
    "(size + number) % 2 == 0",
    "double(size) / 2.0 > 1.0",
    "double(size) * 0.5 < double(number)",
    "size + 9223372036854775807 > 0",
    "!(size * 9223372036854775807 > 0)",
    "-9223372036854775807 - size < 0",
    "size / (number - 1) > 0",
    "size % (number - 1) == 0",
    "size == number || size / (number - 1) > 0",
    "params.layers + 1 == 4",
    "params.layers * 2 > size",
    "params.lr * 10.0 < 0.5",
    "params.lr + 1 > 0",
    "size(labels) + size(aliases) == 2",
    "size(name) - 1 == 4",
    "size > metrics.f1",
    # Times.
    'created > timestamp("2026-01-01T00:00:00Z") - duration("720h")',
    'created < timestamp("2026-01-01T00:00:00Z") + duration("1h30m") - duration("0.5s")',
    'created - duration("1h") < timestamp("2026-01-01T00:00:00Z")',
    'created + duration("24h") > created',
    'created - timestamp("2020-01-01T00:00:00Z") > duration("8760h")',
    'created - timestamp("2020-01-01T00:00:00Z") > duration("-8760h") + duration("1us")',
    'created + duration("87000000h") > created',
    '!(created + duration("87000000h") > created)',
    # Text.
    'name.lowerAscii() == "churn"',
    'card.lowerAscii().contains("credit")',
    'card.upperAscii().startsWith("ÜBERPRÜFT")',
    'card.upperAscii().startsWith("ÜBERPRüFT")',
    'tags.stage.upperAscii() == "EVAL"',
    'params.opt.upperAscii() == "ADAM"',
    'digest.startsWith("0") || digest.startsWith("f")',
    'digest > "8"',
    "digest.size() == 64",
    # Lists.
    'labels.exists(l, l.startsWith("cre"))',
    'labels.exists(l, l.startsWith("cre") || l.endsWith("p"))',
    'labels.exists(l, l in ["nlp", "x"])',
    'labels.exists(l, l.lowerAscii() == "nlp")',
    'evaluations.exists(e, e.source == "nightly" && e.key == "f1" && e.value > 0.7)',
    'evaluations.exists(e, e.key == "f1" && e.min < -0.1 && e.max >= 0.9)',
    "evaluations.exists(e, e.value - e.min > 0.5)",
    'evaluations.exists(e, e.key.startsWith("a"))',
    "size(evaluations) == 2",
    'datasets.exists(d, d.name == "transactions" && d.split == "train")',
    'datasets.exists(d, d.name == "holdout" && d.number == 1 && d.namespace == "find")',
    'parents.exists(p, p.name == "hf:org/base")',
    'parents.exists(p, p.name.startsWith("hf:") && p.relation == "fine-tuned")',
    'parents.exists(p, p.name == "hf:org/other" || p.name == "https://x/y")',
    'tags.stage in ["eval", "train"]',
    'params.lr in [0.1, "auto"]',
    "params.layers in [3, 4.0]",
    "metrics.f1 in [0.71, 0.5]",
    'model in ["find/churn", "x"]',
    # Indexes.
    'tags.stage.startsWith("ev")',
    'params.opt.startsWith("ad")',
    'model.startsWith("find/f")',
    'framework == "pytorch" && framework.startsWith("py")',
    'metrics.f1 > 0.7 || params.lr == "auto"',
    '(metrics.f1 > 0.6 && number == 2) || "canary" in aliases',
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
    ("kind", "filter", "meant"),
    [
        ("versions", "f1 > 0.7", "metrics.f1"),
        ("versions", "metrics.f1 > 0.7 && layers > 2", "params.layers"),
        ("versions", "amp", "params.amp"),
        ("versions", "opt == stage", "params.opt"),
        ("versions", 'torch.startsWith("2")', "packages.torch"),
        ("versions", 'stage == "eval"', "tags.stage"),
        ("versions", "framework == stage", "tags.stage"),
        ("versions", "framework == pytorch", '"pytorch"'),
        ("builds", "lrs > 0.1", ""),
    ],
)
def test_a_name_that_is_a_key_is_suggested(
    stored: tuple[Wire, list[dict[str, Any]]], kind: str, filter: str, meant: str
) -> None:
    stub = search_pb2_grpc.SearchServiceStub(stored[0].channel)
    asked = pb.SearchKind.Value(f"SEARCH_KIND_{kind.upper()}")
    with pytest.raises(grpc.RpcError) as refused:
        stub.Search(pb.SearchRequest(filter=filter, kind=asked), timeout=LIMIT)
    said = refused.value.details()
    assert ("did you mean" in said) == bool(meant), said
    assert f"did you mean {meant}" in said or not meant, said


@pytest.mark.parametrize(
    ("filter", "line", "column", "word"),
    [
        ("metrics.f1 >", "1", "13", "something is missing"),
        ("nonsense == 1", "1", "1", "is not known here"),
        ("true &&\n  nonsense", "2", "3", "is not known here"),
        ('created > "2026"', "1", "9", "does not take"),
        ("metrics.f1", "1", "8", "condition"),
        ('metrics.f1 == "high"', "1", "15", "string"),
        ("metrics.f1 > metrics.loss ? true : false", None, None, "not known"),
        ("double(size) + 1 > 2", "1", "14", "does not take"),
        ("size / 1024.0 > 2.0", "1", "6", "double(...)"),
        ("metrics.f1 + number > 2.0", "1", "12", "double(...)"),
        ("metrics.f1 % metrics.loss > 1.0", "1", "12", "ints"),
        ("number + 7u > 1u", "1", "10", "unsigned"),
        ('name + "x" == "churnx"', "1", "6", "string"),
        ("params.lr + params.layers > 1.0", "1", "11", "number beside"),
        ("-name == 'x'", None, None, "does not take"),
        ("int(metrics.f1) == 0", None, None, "'int'"),
        ("double(name) > 1.0", None, None, "numbers"),
        ('created > timestamp("2026-01-01T00:00:00Z") - duration("1 day")', "1", "56", "duration is written"),
        ('created - duration("1ns") > created', None, None, "microseconds"),
        ('created - duration("99999999999h") > created', None, None, "10,000 years"),
        ('created > timestamp("0001-01-01T00:00:00Z") - duration("1s")', "1", "45", "1 to 9999"),
        ('created > timestamp("0001-01-01T00:00:00+14:00")', "1", "21", "1 to 9999"),
        ('created > timestamp("9999-12-31T23:59:59-14:00")', "1", "21", "1 to 9999"),
        ('created > timestamp("10000-01-01T00:00:00Z")', "1", "21", "time is written"),
        ('created > timestamp("2026-02-30T00:00:00Z")', "1", "21", "time is written"),
        ('created - created > duration("' + "9" * 90 + 'h")', "1", "30", "10,000 years"),
        ("created > timestamp(number)", None, None, "literal string"),
        ("created.getFullYear() == 2026", None, None, "not known"),
        ('name.charAt(0) == "c"', None, None, "not known"),
        ('namespace == "find"', "1", "1", "reserved"),
        ('labels.filter(l, l == "nlp").size() == 1', None, None, "exists and all"),
        ("evaluations.exists(e, e.nothing > 1.0)", None, None, "max, min, source, value"),
        ('evaluations.exists(e, e.value == "high")', None, None, "string"),
        ('"f1" in evaluations', "1", "6", "does not take"),
        ("number + " * 40 + "number > 0", "1", "1", "more than 32"),
        ("(" * 40 + "true" + ")" * 40, "1", "1", "more than 32"),
        ("metrics[name] > 1.0", "1", "9", "literal string"),
        ("aliases.map(a, a) == aliases", None, None, "exists and all"),
        ("labels.exists(l, aliases.exists(a, a == l))", None, None, "within a list"),
        ('created > timestamp("yesterday")', "1", "21", "time is written"),
        ("name.matches('(a+)+$')", "1", "13", "no index answers patterns"),
        ('text("")', None, None, "1 to 32 words"),
        ('size("a") == size("b" + name)', None, None, "not known"),
        ("code.nothing == 'a'", None, None, "commit"),
        ("params.lr == params.layers", None, None, "literal"),
        ("[1, 2] == [1, 2]", None, None, ""),
        ("null == null", None, None, ""),
        ("b'a' == b'a'", None, None, ""),
        ("number == 18446744073709551615u", None, None, "64 bits"),
        ("number == 9223372036854775808", "1", "11", "invalid int"),
        ("number > 0x" + "f" * 20, "1", "10", "invalid hex int"),
        # Positions count characters, not bytes nor UTF-16, whoever finds the error.
        ('name == "ü𝄞" && nonsense == 1', "1", "17", "is not known here"),
        ('name == "ü𝄞" && metrics.f1 == "x"', "1", "31", "string"),
        ('name == "𝄞"\n && code.nothing == "ü"', "2", "9", "commit"),
        ("𝄞 == 1", "1", "1", "'𝄞' is not known here"),
        ("name" + ".a" * 2000, "1", "1", "more than 32"),
        ("name.matches(name)", "1", "13", "no index answers patterns"),
        ('matches(name, "(x+x+)+y")', "1", "8", "no index answers patterns"),
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


@pytest.mark.parametrize(
    "filter",
    [
        'name == "' + "x" * 5000 + '"',
        'name == "' + "x" * (1 << 20) + '"',
        "(" * 10_000 + "true" + ")" * 10_000,
        "!" * 10_000 + "true",
        "[" * 10_000,
        "true?" * 2_000 + "true" + ":true" * 2_000,
        # Fewer characters than are allowed bytes.
        'name == "' + "𝄞" * 1200 + '"',
    ],
    ids=["5 KB", "1 MiB", "parentheses", "negations", "brackets", "conditionals", "characters"],
)
def test_a_filter_of_many_bytes_is_refused_before_it_is_read(wire: Wire, filter: str) -> None:
    with wire.refused("RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED") as metadata:
        search(wire, filter)
    assert metadata["limit"] == "4096"


@pytest.mark.parametrize("filter", ["a" * 4000, "ü" * 2000, "a." * 15 + "b" * 4000])
def test_an_error_does_not_repeat_a_long_filter(wire: Wire, filter: str) -> None:
    """Errors travel in headers, of which clients take 8 KiB."""
    stub = search_pb2_grpc.SearchServiceStub(wire.channel)
    with pytest.raises(grpc.RpcError) as refused:
        stub.Search(pb.SearchRequest(filter=filter), timeout=LIMIT)
    assert refused.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert len(refused.value.details()) < 400


def test_an_empty_key_is_one_that_nothing_has(wire: Wire) -> None:
    name = wire.push("odd/empty", {"a": b"1"}).name
    parent = name.rpartition("/versions/")[0]
    for filter in (
        *('params[""] == 1', 'params[""] != 1', '!(params[""] == 1.0)', 'params[""]', 'params[""] + 1 > 0'),
        *('metrics[""] > 0.0', '!(metrics[""] > 0.0)', 'tags[""] == ""', 'packages[""].startsWith("")'),
        *('"" in metrics', '"" in params', '"" in labels', '"" in aliases'),
    ):
        assert not search(wire, filter, parent=parent).versions, filter
    for filter in ('!("" in metrics)', '!("" in tags)', '!("" in labels)'):
        assert [version.name for version in search(wire, filter, parent=parent).versions] == [name], filter


@pytest.mark.parametrize(
    ("filter", "found"),
    [
        ("metrics.f1 < 1e400", True),
        ("metrics.f1 > -1e400", True),
        ("metrics.f1 > 1e-400", True),
        ("metrics.f1 > 1e308 * 10.0", False),
        ("metrics.f1 == 0.0 / 0.0", False),
        ("number < 1e300", True),
        ("number > -9223372036854775808", True),
        ("number <= 9223372036854775807", True),
        ("number - 9223372036854775807 - 9223372036854775807 < 0", False),
        ("number * 4611686018427387904 * 4 >= 0", False),
    ],
)
def test_huge_numbers_are_compared_or_missing(
    stored: tuple[Wire, list[dict[str, Any]]], filter: str, found: bool
) -> None:
    wire, known = stored
    names = [version.name for version in search(wire, filter, parent="namespaces/find/models/fraud").versions]
    assert names == ([known[1]["wire"], known[0]["wire"]] if found else [])


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
    assert found("kündigungen") == found("KUNDIGUNGEN") == [2]
    assert found("kündigung") == [], "words are whole"
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
        ("model desc", [1, 0, 3, 2]),
        ("number", [0, 2, 1, 3]),
        ("number DESC", [3, 1, 2, 0]),
        ('metrics["odd key"]', [2]),
        ("metrics['f1'] desc", [0, 1]),
        ("params.layers desc", [1, 0]),
        ("params.opt", []),
        ("tags.stage", [3, 0, 1]),
        ('tags["stage"] desc', [1, 0, 3]),
        ("code.commit desc", [1, 0, 3, 2]),
        ("framework", [2, 3, 0, 1]),
        ("files desc", [3, 2, 1, 0]),
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
    with wire.refused("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID"):
        search(wire, "number > 0", parent="namespaces/-", page_token=token)
    for forged in (token[:-4] + "AAAA", "ü\0", token + token, "=" * 100):
        with wire.refused("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID"):
            search(wire, "number > 0", page_token=forged)


@pytest.mark.parametrize(
    "order",
    [
        *("nonsense", "created sideways", "metrics.", "metrics", "aliases", "datasets.name", "code.nothing"),
        *(
            'metrics[""]',
            'metrics["a" desc',
            "metrics[a]",
            "packages.torch",
            "size desc desc",
            "size, number",
        ),
        *("size; DROP TABLE versions", "v.id", "(SELECT 1)", "size--", "size\0", "desc", "\u0661"),
    ],
)
def test_an_unknown_order_is_refused(wire: Wire, order: str) -> None:
    with wire.refused("INVALID_ARGUMENT", "INVALID_ARGUMENT"):
        search(wire, "", order_by=order)


@pytest.mark.parametrize(
    "key", ["'", '"', "a'; DROP TABLE versions; --", "?", "]", "ü \u202e", "a.b", "*", "{}"]
)
def test_keys_are_values_and_never_sql(wire: Wire, key: str) -> None:
    model = f"odd/keys-{key.encode().hex()[:40]}"
    metadata = reg.VersionMetadata(metrics={key: 1.0}, tags={key: key})
    first = wire.push(model, {"a": b"1"}, metadata=metadata).name
    other = wire.push(model, {"a": b"1"}).name
    quoted = json.dumps(key, ensure_ascii=False)

    def found(filter: str, order: str = "") -> list[str]:
        answer = search(wire, filter, parent=first.rpartition("/versions/")[0], order_by=order)
        return [version.name for version in answer.versions]

    assert found(f"metrics[{quoted}] == 1.0") == [first]
    assert found(f"tags[{quoted}] == {quoted}") == [first]
    assert found(f"tags[{quoted}].startsWith({quoted})") == [first]
    assert found("", f"metrics[{quoted}] desc") == [first]
    assert found(f"!({quoted} in metrics)") == [other]


@pytest.mark.parametrize(
    "filter",
    [
        *("number > 0\0", "\u202e", "name == '\n'", '"', '""" ', "metrics[", "\x1b[31m", "a" * 4000),
        *("!" * 200 + "number", "-" * 201 + "true", "[" * 50 + "]" * 50 + " == []", "number > " + "9" * 500),
    ],
)
def test_what_cannot_be_read_is_refused_and_harms_nothing(wire: Wire, filter: str) -> None:
    with wire.refused("INVALID_ARGUMENT", "FILTER_INVALID") as metadata:
        search(wire, filter)
    assert int(metadata["line"]) >= 1
    assert int(metadata["column"]) >= 1


@pytest.mark.parametrize(
    "filter",
    [
        " + ".join(["number"] * 30) + " > 0",
        "(" * 12 + "number" + " + 1)" * 12 + " > 0",
        " && ".join(["number > 0"] * 60),
        " || ".join(["metrics.f1 > 0.0"] * 40),
        "!" * 40 + "(number > 0)",
        "number in [" + ", ".join(map(str, range(200))) + "]",
        'metrics["' + "x" * 3000 + '"] > 1.0',
        "metrics.f1 < 1e308 * 10.0",
        "number < 9223372036854775807",
    ],
)
def test_what_is_long_or_deep_but_allowed_is_answered(wire: Wire, filter: str) -> None:
    search(wire, filter, parent="namespaces/nowhere")


def test_what_reads_for_too_long_is_refused(tmp_path: Path) -> None:
    """By the service itself: the wire's 5 seconds would want millions of versions."""
    app = RegistryApp(tmp_path, Limits(search_seconds=1e-9))
    try:
        app.catalog.write(lambda tx: tx.run(f"INSERT INTO namespaces (name, created_at) {MANY}"))
        models = "INSERT INTO models (namespace_id, name, created_at, updated_at) SELECT id, 'm', 0, 0 FROM namespaces"
        app.catalog.write(lambda tx: tx.run(models))
        with pytest.raises(FilterTooCostly, match="add a condition"):
            app.searcher.models(Search('description.contains("x")', "", Scope(), PageRequest(0, "")))
    finally:
        app.close()


def test_datasets_are_found_by_what_is_known_of_them_and_who_used_them(wire: Wire) -> None:
    old = register(wire, "sets/tx", "s3://lake/transactions/2025.parquet", rows=10).name
    new = register(wire, "sets/tx", "s3://lake/transactions/2026.parquet", rows=30, digest="2").name
    other = register(wire, "sets/reviews", "file:///reviews.csv", rows=20, digest="3").name
    uses = [rec.DatasetUse(dataset=old, split="train"), rec.DatasetUse(dataset=other)]
    wire.push("sets/fraud", {"a": b"1"}, record=rec.Record(datasets=uses))

    def found(filter: str, parent: str = "namespaces/sets", order: str = "created") -> list[str]:
        answer = search(wire, filter, kind=pb.SEARCH_KIND_DATASETS, parent=parent, order_by=order)
        return [dataset.name for dataset in answer.datasets]

    assert found("") == [old, new, other]
    assert found("", order="") == [other, new, old]
    assert found("latest") == [new, other]
    assert found("!latest && rows == 10") == [old]
    assert found("latest == false") == [old]
    assert found('name == "tx" && number == 2') == [new]
    assert found('dataset == "sets/reviews"') == [other]
    assert found(f'digest == "{"2" * 64}"') == found(f'digest == "b3:{"2" * 64}"') == [new]
    assert found('uri.startsWith("s3://lake/transactions/2026")') == [new]
    assert found("rows > 10 && columns == 1") == [new, other]
    assert found('text("parquet 2026")') == [new]
    assert found('text("reviews")') == [other]
    assert found('users.exists(u, u.model == "sets/fraud" && u.split == "train")') == [old]
    assert found('users.exists(u, u.model == "sets/fraud" && u.number == 1)') == [old, other]
    assert found("size(users) == 0") == [new]
    assert found("", order="rows desc") == [new, other, old]
    assert found("", order="uri") == [other, old, new]
    assert found("", "namespaces/sets/datasets/tx") == [old, new]
    assert found("", "namespaces/sets/datasets/tx", "created desc") == [new, old]
    assert found('dataset == "sets/tx"', "namespaces/-") == [old, new]
    for filter, parent in (("", "namespaces/sets/models/fraud"), ("", new)):
        with wire.refused("INVALID_ARGUMENT", "INVALID_ARGUMENT"):
            found(filter, parent)
    with wire.refused("INVALID_ARGUMENT", "INVALID_ARGUMENT"):
        search(wire, "", parent="namespaces/sets/datasets/tx")
    with wire.refused("INVALID_ARGUMENT", "FILTER_INVALID"):
        found("metrics.f1 > 0.5")


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
    assert found("", order_by="ended desc") == [first], "one that runs has no end"
    assert found("", order_by="metrics.loss") == [second]
    assert found("", order_by="state desc") == [second, first]
    assert found('ended - created < duration("1h")') == [first]
    assert found('state in ["FAILED", "LOST"]') == [first]

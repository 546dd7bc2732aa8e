"""Gates: what is refused when they are set, what they say, and that what cannot be evaluated stays closed."""

from __future__ import annotations

from collections.abc import Iterator

import grpc
import pytest
from server.wire import LIMIT, Wire
from support import Server

from regsvc.v1 import metric_pb2 as met
from regsvc.v1 import metric_pb2_grpc
from regsvc.v1 import promotion_pb2 as pb
from regsvc.v1 import record_pb2 as rec
from regsvc.v1 import registry_pb2 as reg

MODEL = "namespaces/g/models/gated"
PROD, EMPTY = f"{MODEL}/aliases/prod", f"{MODEL}/aliases/empty"
TRUE, FALSE, ERROR = pb.GATE_VERDICT_TRUE, pb.GATE_VERDICT_FALSE, pb.GATE_VERDICT_ERROR


@pytest.fixture(scope="module")
def gated(shared_server: Server) -> Iterator[Wire]:
    """Two versions; `prod` names the first, `empty` nothing."""
    with Wire(shared_server) as wire:
        for number, f1 in ((1, 0.72), (2, 0.81)):
            wire.push(
                "g/gated",
                {"a": str(number).encode(), "b": b""},
                author="alice",
                aliases=["prod"] if number == 1 else [],
                metadata=reg.VersionMetadata(
                    metrics={"f1": f1, "eval/f1": f1, "zero": 0.0},
                    tags={"stage": "eval"},
                    params={
                        "lr": reg.ParamValue(double_value=0.1),
                        "arch": reg.ParamValue(string_value="bert"),
                    },
                ),
                record=rec.Record(framework="pytorch", labels=["nlp", "small"]),
            )
        yield wire


def tried(wire: Wire, gate: str, alias: str = PROD, number: int = 2, current: str = "") -> pb.Promotability:
    request = pb.TestGateRequest(
        gate=gate, alias=alias, version=f"{MODEL}/versions/{number}", current=current
    )
    return wire.promotions.TestGate(request, timeout=LIMIT).promotability


def values(term: pb.GateTerm) -> dict[str, str | None]:
    return {each.path: None if each.missing else each.value for each in term.values}


@pytest.mark.parametrize(
    "gate",
    [
        "version.metrics.f1 > 0.7 && version.metrics.f1 >= current.metrics.f1",
        'version.metrics["eval/f1"] / current.metrics["eval/f1"] > 1.1',
        'version.tags.stage == "eval" && version.params.lr < 0.2 && version.params.arch == "bert"',
        '"nlp" in version.labels && version.labels.exists(l, l.startsWith("sm")) && size(version.labels) == 2',
        'version.framework.lowerAscii() == "pytorch" && version.author == "alice" && !version.bad',
        "version.number > current.number && version.created >= current.created && version.files == 2",
        'version.created - current.created < duration("1h") && version.digest != current.digest',
        "!has(current.number) || version.metrics.f1 >= current.metrics.f1",
        "current.metrics.zero == 0.0 || version.metrics.f1 / current.metrics.zero > 1.0",
        "version.metrics.zero == 0.0 && 1 < version.size / version.number + 2",
        'has(version.metrics.f1) && !("nope" in version.metrics) && "prod" in current.aliases',
    ],
)
def test_a_gate_that_is_true_lets_in(gated: Wire, gate: str) -> None:
    found = tried(gated, gate)
    assert (found.gate, found.allowed, list(found.refusals)) == (TRUE, True, [])
    assert all(term.verdict == TRUE for term in found.terms)


@pytest.mark.parametrize(
    ("gate", "alias", "error"),
    [
        ("version.metrics.auc > 0.7", PROD, "version.metrics.auc is missing"),
        ("version.metrics.f1 > current.metrics.auc", PROD, "current.metrics.auc is missing"),
        (
            "version.metrics.f1 >= current.metrics.f1",
            EMPTY,
            "there is no current.metrics.f1, as the alias names nothing yet",
        ),
        (
            "version.number > current.number",
            EMPTY,
            "there is no current.number, as the alias names nothing yet",
        ),
        ("version.metrics.f1 / version.metrics.zero > 0.1", PROD, "division by zero"),
        ("version.metrics.f1 / 0.0 > 0.1", PROD, "division by zero"),
        ("1 / 0 > 0", PROD, "division by zero"),
        ("version.size / (version.number - 2) > 0", PROD, "division by zero"),
        ("1 % (version.number - 2) == 0", PROD, "division by zero"),
        (
            "version.evaluations.all(e, e.value > 0.5) && 9223372036854775807 + version.number > 0",
            PROD,
            "a number",
        ),
        ("version.params.arch > 1.0", PROD, "values of types that do not go together"),
        ("version.params.arch", PROD, "it is neither true nor false"),
    ],
)
def test_what_cannot_be_evaluated_stays_closed_and_says_why(
    gated: Wire, gate: str, alias: str, error: str
) -> None:
    found = tried(gated, gate, alias)
    assert (found.gate, found.allowed) == (ERROR, False)
    broken = next(term for term in found.terms if term.verdict == ERROR)
    assert broken.error.startswith(error)
    assert error in found.refusals[0]
    assert broken.expression in found.refusals[0]


@pytest.mark.parametrize("guard", ["!has(current.number)", "!has(current.metrics.f1)"])
def test_a_guard_decides_when_the_alias_names_nothing(gated: Wire, guard: str) -> None:
    gate = f"{guard} || version.metrics.f1 >= current.metrics.f1"
    assert tried(gated, gate, EMPTY, 1).gate == TRUE
    assert tried(gated, gate, EMPTY, 1, current=f"{MODEL}/versions/2").gate == FALSE


def test_an_infinite_quotient_does_not_pass_within_a_list_either(gated: Wire) -> None:
    gate = "version.labels.exists(l, double(size(l)) / version.metrics.zero > 1.0)"
    assert tried(gated, gate).gate == ERROR


def test_terms_tell_what_they_saw(gated: Wire) -> None:
    found = tried(
        gated,
        '(version.metrics.f1 > 0.8 && (version.tags.stage == "&& (")) &&'
        " version.metrics.auc > 0.5 && !has(version.tags.x)",
    )
    assert found.gate == FALSE
    assert [(term.expression, term.verdict, values(term)) for term in found.terms] == [
        ("version.metrics.f1 > 0.8", TRUE, {"version.metrics.f1": "0.81"}),
        ('(version.tags.stage == "&& (")', FALSE, {"version.tags.stage": '"eval"'}),
        ("version.metrics.auc > 0.5", ERROR, {"version.metrics.auc": None}),
        ("!has(version.tags.x)", TRUE, {"version.tags.x": None}),
    ]
    assert list(found.refusals) == [
        '(version.tags.stage == "&& (") is false: version.tags.stage is "eval"',
        "version.metrics.auc > 0.5 cannot be evaluated: version.metrics.auc is missing",
    ]


def test_a_term_that_errs_does_not_close_what_another_decides(gated: Wire) -> None:
    assert tried(gated, "true || version.metrics.auc > 0.5").gate == TRUE
    assert tried(gated, "version.metrics.auc > 0.5 && false").gate == FALSE


@pytest.mark.parametrize(
    ("gate", "where", "why"),
    [
        ("version.metrics.f1 >", "1:21", "something is missing"),
        ("metrics.f1 > 0.5", "1:8", "did you mean version.metrics.f1?"),
        ("version.metrcs.f1 > 0.5", "1:8", "a version has no 'metrcs'; it has aliases, archived, author"),
        ("has(version.metrcs)", "1:", "a version has no 'metrcs'"),
        ("version.metrics.f1\n  > 'high'", "2:5", "double and string cannot be compared"),
        ("version.metrics.f1", "1:16", "a condition is expected here"),
        ("version.number + 1", "1:1", "a filter is a condition"),
        ("version.size / 1024.0 > 2.0", "1:14", "does not mix int and double"),
        ('version.labels.filter(l, l == "a") == []', "1:", "only exists and all are known of lists"),
        ('version.labels.exists(version, version == "a")', "1:8", "'version' has a meaning here"),
        ("version.labels.all(a, version.labels.all(b, a != b))", "1:", "a list within a list"),
        ('text("fraud")', "1:5", "'text' is not known here: there is no such function"),
        ('version["metrics"].f1 > 0.5', "1:1", "a field of it is expected"),
        ('version.name.replace("a", "bb") == "c"', "1:", "is not known in filters"),
        (" && ".join(["true"] * 251), "1:1", "more than 250 operators"),
        ("(" * 61 + "true" + ")" * 61, "1:1", "parentheses within each other"),
    ],
)
def test_what_is_no_gate_is_refused_with_its_place(gated: Wire, gate: str, where: str, why: str) -> None:
    tested = pb.TestGateRequest(gate=gate, alias=PROD, version=f"{MODEL}/versions/2")
    wanted = pb.SetAliasRulesRequest(rules=pb.AliasRules(name=PROD, gate=gate))
    for call, request in ((gated.promotions.TestGate, tested), (gated.promotions.SetAliasRules, wanted)):
        with pytest.raises(grpc.RpcError) as refused:
            call(request, timeout=LIMIT)
        assert why in refused.value.details()
        with gated.refused("INVALID_ARGUMENT", "FILTER_INVALID") as metadata:
            call(request, timeout=LIMIT)
        assert f"{metadata['line']}:{metadata['column']}".startswith(where)
    assert not gated.promotions.GetAliasRules(pb.GetAliasRulesRequest(name=PROD), timeout=LIMIT).rules.etag


def test_a_gate_has_at_most_4_kib(gated: Wire) -> None:
    gate = f'version.name != "{"x" * 4096}"'
    with gated.refused("RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"):
        tried(gated, gate)


def test_a_version_of_another_model_is_refused(gated: Wire) -> None:
    gated.push("g/other", {"a": b"1"})
    other, own = "namespaces/g/models/other/versions/1", f"{MODEL}/versions/1"
    for fields in ({"version": other}, {"version": own, "current": other}):
        with gated.refused("INVALID_ARGUMENT", "INVALID_ARGUMENT"):
            gated.promotions.TestGate(pb.TestGateRequest(gate="true", alias=PROD, **fields), timeout=LIMIT)


def test_a_gate_goes_through_lists_within_bounds(gated: Wire) -> None:
    version = gated.push("g/many", {"a": b"1"}).name
    metrics = metric_pb2_grpc.MetricServiceStub(gated.channel)
    for part in range(2):
        points = [met.EvaluationPoint(key=f"k{part}-{number}", value=0.5) for number in range(1000)]
        metrics.AddEvaluation(
            met.AddEvaluationRequest(version=version, source="s", points=points), timeout=LIMIT
        )
    alias, term = "namespaces/g/models/many/aliases/prod", "version.evaluations.all(e, e.value < 1.0)"
    for count, verdict in ((4, TRUE), (6, ERROR)):
        gate = " && ".join([term] * count)
        request = pb.TestGateRequest(gate=gate, alias=alias, version=version)
        assert gated.promotions.TestGate(request, timeout=LIMIT).promotability.gate == verdict
    gate = f"version.evaluations.all(e, {' && '.join(['e.value < 1.0'] * 40)})"
    request = pb.TestGateRequest(gate=gate, alias=alias, version=version)
    assert gated.promotions.TestGate(request, timeout=LIMIT).promotability.gate == TRUE

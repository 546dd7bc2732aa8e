"""The reference grammar: protos/vectors/references.json, which every client reads too, and its properties."""

from __future__ import annotations

import json
import string
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from regsvc import refs
from regsvc.errors import NameInvalid

VECTORS = json.loads((Path(__file__).parents[1] / "protos/vectors/references.json").read_text())

Parser = Callable[[str], object]
SHORT: dict[str, Parser] = {
    "models": refs.parse_model,
    "builds": refs.parse_build,
    "aliases": refs.parse_alias,
}
WIRE: dict[str, Parser] = {
    "models": refs.model_from_wire,
    "builds": refs.build_from_wire,
    "aliases": refs.alias_from_wire,
    "references": refs.version_from_wire,
    "versions": refs.version_from_wire,
}


def valid(kind: str) -> list[dict[str, str]]:
    return VECTORS[kind]["valid"]


REFUSING: dict[str, Parser] = {
    **SHORT,
    "references": refs.parse_reference,
    "versions": refs.version_from_wire,
}


@pytest.mark.parametrize("vector", valid("references"), ids=lambda vector: vector["text"])
def test_reference_vectors(vector: dict[str, str]) -> None:
    parsed = refs.parse_reference(vector["text"])
    assert (parsed.server, parsed.version.wire) == (vector["server"], vector["wire"])
    assert str(parsed.version) == vector["canonical"]


@pytest.mark.parametrize("kind", SHORT)
def test_name_vectors(kind: str) -> None:
    for vector in valid(kind):
        parsed = SHORT[kind](vector["text"])
        assert (parsed.wire, str(parsed)) == (vector["wire"], vector["canonical"])  # type: ignore[attr-defined]


@pytest.mark.parametrize("kind", WIRE)
def test_wire_names_parse_back_to_what_they_name(kind: str) -> None:
    for vector in valid(kind):
        parsed = WIRE[kind](vector["wire"])
        assert (parsed.wire, str(parsed)) == (vector["wire"], vector["canonical"])  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("kind", "text"), [(kind, text) for kind in REFUSING for text in VECTORS[kind]["invalid"]]
)
def test_invalid_vectors_are_refused(kind: str, text: str) -> None:
    with pytest.raises(NameInvalid):
        REFUSING[kind](text)


def test_an_alias_can_neither_be_latest_nor_look_like_a_number() -> None:
    for alias in ("latest", "7", "1st", "b3:" + "0" * 64, ""):
        with pytest.raises(NameInvalid):
            refs.check_alias(alias)


def test_an_error_repeats_a_bad_name_shortened_and_printable() -> None:
    with pytest.raises(NameInvalid) as caught:
        refs.parse_reference("\x1b[31m" + "x" * 10_000)
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 300


EDGE = string.ascii_lowercase + string.digits
ids = st.builds(
    lambda first, middle, last: first + middle + last,
    st.sampled_from(EDGE),
    st.text(EDGE + "._-", max_size=61),
    st.sampled_from(EDGE),
) | st.sampled_from(EDGE)
models = st.builds(refs.ModelName, ids, ids)
numbers = st.integers(1, 10**18 - 1)
aliases = ids.filter(lambda alias: alias[0].isalpha() and alias != refs.LATEST)
digests = st.text("0123456789abcdef", min_size=64, max_size=64)
versions = st.one_of(
    st.builds(refs.VersionRef, models),
    st.builds(refs.VersionRef, models, number=numbers),
    st.builds(refs.VersionRef, models, alias=aliases),
    st.builds(refs.VersionRef, models, digest=digests),
)
servers = st.none() | st.builds("{}.example:{}".format, ids, st.integers(1, 65535))


@given(versions, servers)
def test_references_round_trip(version: refs.VersionRef, server: str | None) -> None:
    typed = str(version) if server is None else f"regsvc://{server}/{version}"
    assert refs.parse_reference(typed) == refs.Reference(version, server)
    assert refs.version_from_wire(version.wire) == version


@given(models)
def test_models_round_trip(model: refs.ModelName) -> None:
    assert refs.parse_model(str(model)) == refs.model_from_wire(model.wire) == model
    assert refs.namespace_from_wire(f"namespaces/{model.namespace}") == model.namespace


@given(st.builds(refs.BuildName, models, numbers))
def test_builds_round_trip(build: refs.BuildName) -> None:
    assert refs.parse_build(str(build)) == refs.parse_build(build.wire) == build


@given(st.builds(refs.AliasName, models, aliases))
def test_aliases_round_trip(alias: refs.AliasName) -> None:
    assert refs.parse_alias(str(alias)) == refs.alias_from_wire(alias.wire) == alias


@given(st.text(st.characters() | st.sampled_from("/:@.-_b3"), max_size=80))
def test_any_text_is_a_name_or_name_invalid(text: str) -> None:
    """No other exception, and whatever parses travels as a name that parses back to the same thing."""
    try:
        version = refs.parse_reference(text).version
    except NameInvalid:
        return
    assert refs.version_from_wire(version.wire) == version


@given(st.lists(st.text(EDGE + "./:-", max_size=8) | ids, min_size=1, max_size=7))
def test_a_wire_name_is_refused_or_spelled_one_way(parts: list[str]) -> None:
    """Two names for one thing would be two rows; only `aliases/latest` stands for `versions/latest`."""
    for words in (
        ["namespaces", "models"],
        ["namespaces", "models", "versions"],
        ["namespaces", "models", "builds"],
    ):
        pairs = zip(words, parts, strict=False)
        name = "/".join(word for pair in pairs for word in pair)
        for parse in WIRE.values():
            try:
                parsed = parse(name)
            except NameInvalid:
                continue
            assert parsed.wire == name  # type: ignore[attr-defined]


def test_a_build_may_name_its_server() -> None:
    assert refs.parse_source("regsvc://host:1/team/fraud/builds/7") == (
        "host:1",
        refs.parse_build("team/fraud/builds/7"),
    )
    assert refs.parse_source("regsvc://host/fraud/builds/7")[0] == "host:7070"
    assert refs.parse_source("team/fraud/builds/7") == (None, refs.parse_build("team/fraud/builds/7"))

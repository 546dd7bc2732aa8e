"""What the page about search says is so: examples are answered, or refused with these words; its fields are all."""

from __future__ import annotations

import itertools
import re
import shlex
from collections.abc import Iterator

import pytest

from regsvc.catalog.filters import KINDS, Kind, Scope, query
from regsvc.errors import FilterInvalid
from regsvc.service.app import RegistryApp
from regsvc.service.limits import Limits
from regsvc.service.paging import PageRequest
from regsvc.service.search import Search, compiled

from .reading import ROOT, blocks, indented

PAGE = ROOT / "docs/search.md"


@pytest.fixture(scope="module")
def app(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RegistryApp]:
    found = RegistryApp(tmp_path_factory.mktemp("docs"), Limits())
    yield found
    found.close()


def examples() -> Iterator[tuple[str, str, str]]:
    """(kind, filter, order)"""
    for block in blocks(PAGE):
        if block.language == "cel":
            yield from ((block.file, line, "") for line in block.text.splitlines())
    for line in indented(PAGE):
        words = shlex.split(line)
        if words[:2] == ["regsvc", "search"]:
            options = dict(itertools.pairwise(words))
            yield options.get("--kind", "versions"), words[2], options.get("--order-by", "")


def refused() -> Iterator[tuple[str, str, str]]:
    """(kind, filter, what is said)"""
    for block in blocks(PAGE):
        if block.language == "refused":
            for line in block.text.splitlines():
                filter, _, said = line.rpartition(" | ")
                yield block.file, filter.rstrip(), said


def documented(kind: str) -> set[str]:
    """The fields of a kind's table; of entries and records their first name."""
    table = PAGE.read_text().partition(f"| {kind} | type |\n|---|---|\n")[2].partition("\n\n")[0]
    cells = [row.split("|")[1] for row in table.splitlines()]
    return {name.partition(".")[0] for cell in cells for name in re.findall(r"`([\w.]+)`", cell)}


@pytest.mark.parametrize(("kind", "filter", "order"), [*examples()])
def test_an_example_is_answered(app: RegistryApp, kind: str, filter: str, order: str) -> None:
    assert getattr(app.searcher, kind)(Search(filter, order, Scope(), PageRequest(0, ""))).items == []


@pytest.mark.parametrize(("kind", "filter", "said"), [*refused()])
def test_what_is_refused_is_refused_there_and_so(app: RegistryApp, kind: str, filter: str, said: str) -> None:
    with pytest.raises(FilterInvalid) as error:
        getattr(app.searcher, kind)(Search(filter, "", Scope(), PageRequest(0, "")))
    assert str(error.value).startswith(said)


@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_every_field_is_documented_with_its_type(kind: Kind) -> None:
    known = {*kind.columns, *kind.maps, *kind.lists, *kind.records} - {"namespace"}
    assert documented(kind.name) == known
    with pytest.raises(FilterInvalid, match="reserved"):
        compiled(kind, 'namespace == "team"', Limits())
    for name, table in kind.lists.items():
        fields = {field for field in table.fields if field}
        text = next(
            row for row in PAGE.read_text().splitlines() if re.match(rf"\| .*`{name}`.*\| lists? of", row)
        )
        assert fields <= set(re.findall(r"`(\w+)`", text.split("|")[2])), name


def test_the_numbers_are_those_of_the_code() -> None:
    page, limits = PAGE.read_text(), Limits()
    for number in (
        f"| {limits.max_filter_bytes >> 10} KiB |",
        f"| {limits.max_filter_nodes} operators, names and literals;",
        f"| {limits.search_seconds:g} seconds of reading |",
        f"up to {query.SELECTIVE:,} by its index",
        f"longer than {query.WALK_SECONDS * 1000:g} ms",
    ):
        assert number in page, number

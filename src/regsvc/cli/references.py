"""Several references in one command line, where what follows may leave out what the first one says."""

from __future__ import annotations

from collections.abc import Sequence

from regsvc import refs

_SHORT = (":", "@", "/builds/")


def beside(reference: str, first: str) -> str:
    """A reference that begins with `:`, `@` or `/builds/` is of the first one's model and server.

    Raises `NameInvalid` if the first itself is short.
    """
    if not reference.startswith(_SHORT):
        return reference
    server, source = refs.parse_source(first)
    return f"regsvc://{server}/{source.model}{reference}" if server else f"{source.model}{reference}"


def whole_sources(references: Sequence[str]) -> list[str]:
    """Versions and builds, each `beside` the first."""
    return [references[0], *(beside(each, references[0]) for each in references[1:])]


def whole_datasets(references: Sequence[str]) -> list[str]:
    """Datasets: one that begins with `:` is a version of the first one. Raises `NameInvalid`."""
    first, *others = references
    dataset = refs.parse_dataset(first)
    home = f"{dataset.namespace}/{dataset.dataset}"
    return [first, *(home + each if each.startswith(":") else each for each in others)]

"""Several references in one command line, where what follows may leave out what the first one says."""

from __future__ import annotations

from collections.abc import Sequence

from regsvc import refs


def whole_sources(references: Sequence[str]) -> list[str]:
    """Versions and builds: one that begins with `:`, `@` or `/builds/` is of the first one's model and server.

    Raises `NameInvalid`, also when the first itself is short.
    """
    first, *others = references
    server, source = refs.parse_source(first)
    home = f"regsvc://{server}/{source.model}" if server else str(source.model)
    return [first, *(home + each if each.startswith((":", "@", "/builds/")) else each for each in others)]


def whole_datasets(references: Sequence[str]) -> list[str]:
    """Datasets: one that begins with `:` is a version of the first one. Raises `NameInvalid`."""
    first, *others = references
    dataset = refs.parse_dataset(first)
    home = f"{dataset.namespace}/{dataset.dataset}"
    return [first, *(home + each if each.startswith(":") else each for each in others)]

"""Why a search found nothing, as far as a few cheap questions tell: a place or a key that does not exist."""

from __future__ import annotations

import itertools
import json
import re
from collections.abc import Iterator

from regsvc.client.client import Client
from regsvc.errors import NotFound, RegsvcError

_WORDS = {"metrics": "metric", "params": "param", "tags": "tag", "packages": "package"}
_KEY = re.compile(
    r"""\b(?P<map>metrics|params|tags|packages)(?:\.(?P<name>\w+)|\[\s*["'](?P<key>[^"'\\]+)["']\s*\])"""
    r"""|["'](?P<member>[^"'\\]+)["']\s+in\s+(?P<of>metrics|params|tags|packages)\b"""
)
_MOST = 5
"""Keys that are asked for."""


def hints(client: Client, filter_: str, kind: str, within: str) -> Iterator[str]:
    """What is named and does not exist. Never raises `RegsvcError`: the search itself was answered."""
    try:
        missing = _missing_place(client, kind, within) if within else ""
        if missing:
            yield missing
        elif kind in ("versions", "builds"):
            yield from _missing_keys(client, filter_, kind, within)
    except RegsvcError:
        return


def _missing_place(client: Client, kind: str, within: str) -> str:
    if within.endswith("/"):
        listed = client.datasets(within[:-1]) if kind == "datasets" else client.models(within[:-1])
        what = "dataset" if kind == "datasets" else "model"
        return "" if next(iter(listed), None) is not None else f"there is no {what} in the namespace {within}"
    try:
        if kind == "datasets":
            client.dataset(within)
        else:
            client.model(within)
    except NotFound as error:
        return error.message
    return ""


def _missing_keys(client: Client, filter_: str, kind: str, within: str) -> Iterator[str]:
    named = {
        (found["map"] or found["of"], found["name"] or found["key"] or found["member"]): None
        for found in _KEY.finditer(filter_)
    }
    for field, key in itertools.islice(named, _MOST):
        asked = f"{json.dumps(key, ensure_ascii=False)} in {field}"
        if not list(client.search(asked, kind=kind, within=within, limit=1)):
            place = f" of {within}" if within else ""
            yield f"no {kind.removesuffix('s')}{place} has a {_WORDS[field]} {key!r}"

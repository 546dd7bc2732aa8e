"""What MLflow holds, in the form that regsvc takes: ids, typed params, and texts within the limits."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from blake3 import blake3

from regsvc.client.params import MAX_KEY_BYTES, MAX_STRING_BYTES
from regsvc.client.records import Param

MAX_ENTRIES = 2_000
"""Params, tags and metric series of one build, each."""
MAX_DESCRIPTION = 64 << 10
_RECORD_BYTES = (1 << 20) - (96 << 10)
"""Params, tags and metrics of one build, with room for the tags of the version that it publishes."""
_ENTRY_BYTES = 24
_MAX_ID = 63

_INTEGER = re.compile(r"-?(0|[1-9][0-9]{0,17})")
_DECIMAL = re.compile(r"-?(0|[1-9][0-9]*|(?=\.[0-9]))(\.[0-9]*)?([eE][+-]?[0-9]+)?")
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f]")


def typed(text: str) -> Param:
    """A param as the number or boolean that it spells, else as text.

    What has leading zeros or a plus (`007`) is text, since it is more likely a name; so are NaN and infinities.
    """
    if text in ("True", "true", "False", "false"):
        return text in ("True", "true")
    if _INTEGER.fullmatch(text):
        return int(text)
    if _DECIMAL.fullmatch(text) and math.isfinite(float(text)):
        return float(text)
    return text


def model_ids(names: Iterable[str]) -> dict[str, str]:
    """An id for each name. Of names that have the same one the first keeps it, the others get a mark of their own.

    So names come in the order in which they were made: then what is added later changes no id.
    """
    ids: dict[str, str] = {}
    taken: set[str] = set()
    for name in names:
        if name in ids:
            continue
        plain = _id(name)
        ids[name] = plain if plain not in taken else _marked(plain, name)
        taken.add(ids[name])
    return ids


def alias_id(alias: str) -> str:
    """An alias: lower case, and with a letter in front."""
    plain = _id(alias)
    plain = plain if plain[0].isalpha() else f"a{plain}"[:_MAX_ID].rstrip("._-")
    return f"{plain}-alias" if plain == "latest" else plain


def dataset_id(name: str) -> str:
    """An id for a dataset."""
    return _id(name)


@dataclass(frozen=True)
class Fitted:
    """Params and tags within the limits, and what did not fit."""

    params: Mapping[str, Param]
    tags: Mapping[str, str]
    over: Mapping[str, Mapping[str, str]]
    """By `params` and `tags`: what was cut or left out, whole, by its own key."""
    notices: tuple[str, ...]


def fitted(params: Mapping[str, str], tags: Mapping[str, str], metrics: int) -> Fitted:
    """Params and tags as a build takes them; `metrics` is how many series it has besides."""
    over: dict[str, dict[str, str]] = {"params": {}, "tags": {}}
    notices: list[str] = []
    left = _RECORD_BYTES - metrics * (MAX_KEY_BYTES + _ENTRY_BYTES + 8)
    kept: dict[str, dict[str, str]] = {}
    for kind, entries in (("tags", tags), ("params", params)):
        found = kept[kind] = {}
        for original, text in sorted(entries.items()):
            key, value = fit_key(original), fit_text(text, MAX_STRING_BYTES)
            if key != original or value != text:
                over[kind][original] = text
                notices.append(f"{kind[:-1]} '{original[:60]}' was shortened")
            size = _ENTRY_BYTES + len(key.encode()) + len(value.encode())
            if len(found) == MAX_ENTRIES or size > left:
                over[kind][original] = text
                continue
            found[key] = value
            left -= size
        if len(found) < len(entries):
            notices.append(f"{len(entries) - len(found)} of {len(entries)} {kind} did not fit")
    return Fitted(
        {key: typed(value) for key, value in kept["params"].items()},
        kept["tags"],
        {kind: entries for kind, entries in over.items() if entries},
        tuple(notices),
    )


def fit_key(key: str) -> str:
    """A key without control characters; one that is too long gets a mark of its own at the end."""
    clean = _CONTROL.sub("_", _unicode(key)) or "_"
    if len(clean.encode()) <= MAX_KEY_BYTES and clean == key:
        return clean
    mark = f"~{blake3(key.encode('utf-8', 'replace')).hexdigest()[:8]}"
    return fit_text(clean, MAX_KEY_BYTES - len(mark)) + mark


def fit_text(text: str, limit: int) -> str:
    """At most `limit` bytes of UTF-8, cut at the end."""
    clean = _unicode(text)
    data = clean.encode()
    return clean if len(data) <= limit else data[:limit].decode("utf-8", "ignore")


def file_id(path: str, taken: set[str]) -> str:
    """A name for an attachment: `plots/roc.png` becomes `plots_roc.png`."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", path)
    if plain in taken or len(plain) > 100:
        mark = blake3(path.encode("utf-8", "replace")).hexdigest()[:8]
        plain = f"{mark}-{plain[-80:]}"
    taken.add(plain)
    return plain


def request_id(*parts: object) -> str:
    """The same for the same parts."""
    return blake3("\n".join(map(repr, parts)).encode("utf-8", "replace")).hexdigest(length=16)


def _id(name: str) -> str:
    plain = re.sub(r"[^a-z0-9._-]+", "-", name.lower())[:_MAX_ID].strip("._-")
    return plain or f"m-{_mark(name)}"


def _marked(plain: str, name: str) -> str:
    return f"{plain[: _MAX_ID - 9].rstrip('._-')}-{_mark(name)}"


def _mark(name: str) -> str:
    return blake3(name.encode("utf-8", "replace")).hexdigest()[:8]


def _unicode(text: str) -> str:
    return text.encode("utf-8", "replace").decode()

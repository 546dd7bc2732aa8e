"""What a model card and the configuration beside it say, as fields of a record.

Cards are written by hand and by many tools: whatever cannot be used is left out and said, and nothing here raises.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any

from regsvc.client.importing.hf_files import ModelFile, read_json
from regsvc.client.importing.hf_front_matter import Readme, read_readme
from regsvc.content.record import EMPTY, Parent, Record, Relation

MOST_CARD = 256 << 10
"""Bytes of a record's card."""
MOST_LABELS = 100
MOST_LABEL = 100
"""Bytes."""
MOST_PARENTS = 64
MOST_METRICS = 1000
MOST_KEY = 250
"""Bytes of a metric's key."""
_MOST_ITEMS = 10_000
"""Entries of a list that are looked at, and results in all: aliases make a small text into an endless one."""
_CUT = "\n\n*The card is longer: README.md has all of it.*\n"
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,95}(?:/[A-Za-z0-9][A-Za-z0-9._-]{0,95})?", re.ASCII)
_HUB = re.compile(r"(?:https?://(?:www\.)?(?:huggingface\.co|hf\.co)/|hf://|hf:)")
_RELATIONS = {
    "finetune": Relation.FINE_TUNED,
    "adapter": Relation.FINE_TUNED,
    "quantized": Relation.QUANTISED,
    "merge": Relation.MERGED,
}
_FRAMEWORKS = (
    ("model_index.json", "_diffusers_version", "diffusers"),
    ("adapter_config.json", "peft_type", "peft"),
    ("config_sentence_transformers.json", "__version__", "sentence-transformers"),
    ("config.json", "transformers_version", "transformers"),
)
"""A file, what it has only if this made it, and this."""
_FORMATS = (
    ("safetensors", re.compile(r"\.safetensors$")),
    ("gguf", re.compile(r"\.gguf$")),
    ("onnx", re.compile(r"\.onnx$")),
    ("pytorch", re.compile(r"(^|/)(pytorch_model|adapter_model)[^/]*\.bin$|\.pth?$|\.ckpt$")),
    ("tensorflow", re.compile(r"(^|/)tf_model[^/]*\.h5$")),
    ("flax", re.compile(r"(^|/)flax_model[^/]*\.msgpack$")),
)
"""The first of which there is a file."""


@dataclass(frozen=True)
class Facts:
    """What is pushed beside the files."""

    record: Record = EMPTY
    metrics: Mapping[str, float] = field(default_factory=dict)
    tags: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """What was left out, and why."""


def read_facts(files: Mapping[str, ModelFile]) -> Facts:
    """What the files of a model, by path, say about it. Raises `OSError`."""
    readme = read_readme(files["README.md"].location) if "README.md" in files else Readme()
    notes = [*readme.notes]
    record = Record(
        card=_card(readme.card, notes),
        labels=_labels(readme.fields, notes),
        parents=_parents(readme.fields, "adapter_config.json" in files, notes),
        framework=_framework(readme.fields, files),
        format=next((name for name, of in _FORMATS if any(map(of.search, files))), ""),
    )
    metrics = _metrics(readme.fields.get("model-index"), notes)
    return Facts(record, metrics, _configured(read_json(files, "config.json")), tuple(notes))


def _card(text: str, notes: list[str]) -> str:
    data = text.encode()
    if len(data) <= MOST_CARD:
        return text
    notes.append(f"README.md: the card is cut to {MOST_CARD >> 10} KiB")
    return data[: MOST_CARD - len(_CUT)].decode("utf-8", "ignore") + _CUT


def _labels(fields: Mapping[str, Any], notes: list[str]) -> tuple[str, ...]:
    """The task first, since a card may have more tags than a record has labels."""
    found: dict[str, None] = {}
    bad = 0
    for name, prefix in (
        ("pipeline_tag", ""),
        ("license", "license:"),
        ("language", "language:"),
        ("datasets", "dataset:"),
        ("tags", ""),
    ):
        for text in _texts(fields.get(name)):
            label = prefix + text.strip()
            if not text.strip() or _CONTROL.search(label) or len(label.encode()) > MOST_LABEL:
                bad += 1
            else:
                found[label] = None
    if bad:
        notes.append(
            f"README.md: {bad} tags cannot be labels (1 to {MOST_LABEL} bytes, no control characters)"
        )
    if len(found) > MOST_LABELS:
        notes.append(
            f"README.md: {len(found) - MOST_LABELS} tags left out, a record has {MOST_LABELS} labels"
        )
    return tuple(islice(found, MOST_LABELS))


def _parents(fields: Mapping[str, Any], is_adapter: bool, notes: list[str]) -> tuple[Parent, ...]:
    said = fields.get("base_model_relation")
    relation = _RELATIONS.get(said.strip().lower()) if isinstance(said, str) else None
    if said is not None and relation is None:
        notes.append("README.md: its base_model_relation is none that is known")
    if said is None:
        # What the files and tags prove; the hub guesses the rest.
        if is_adapter:
            relation = Relation.FINE_TUNED
        elif {"merge", "mergekit"} & set(_texts(fields.get("tags"))):
            relation = Relation.MERGED
    found: dict[Parent, None] = {}
    bad = 0
    for text in _texts(fields.get("base_model")):
        name = _HUB.sub("", text.strip(), count=1).rstrip("/")
        if _MODEL.fullmatch(name):
            found[Parent(relation or Relation.UNSPECIFIED, uri=f"hf:{name}")] = None
        else:
            bad += 1
    if bad:
        notes.append(f"README.md: {bad} of its base models are none of the hub")
    if len(found) > MOST_PARENTS:
        notes.append(f"README.md: {len(found) - MOST_PARENTS} base models left out")
    return tuple(islice(found, MOST_PARENTS))


def _framework(fields: Mapping[str, Any], files: Mapping[str, ModelFile]) -> str:
    named = fields.get("library_name")
    if isinstance(named, str) and 0 < len(named.strip()) <= MOST_LABEL and not _CONTROL.search(named.strip()):
        return named.strip()
    return next((name for path, key, name in _FRAMEWORKS if key in read_json(files, path)), "")


def _configured(config: Mapping[str, Any]) -> dict[str, str]:
    """Tags of what config.json says for certain."""
    dtype = config.get("dtype") or config.get("torch_dtype")
    named = {
        "hf.architectures": ",".join(islice(_texts(config.get("architectures")), 20)),
        "hf.model_type": config.get("model_type"),
        "hf.dtype": dtype.removeprefix("torch.") if isinstance(dtype, str) else None,
    }
    return {
        key: text
        for key, text in named.items()
        if isinstance(text, str) and 0 < len(text) <= 1000 and not _CONTROL.search(text)
    }


def _metrics(index: Any, notes: list[str]) -> dict[str, float]:
    """`task/dataset[/config][/split]/metric` for each number of a model-index; the first of a key counts."""
    found: dict[str, float] = {}
    bad = more = 0
    for parts, metric in islice(_results(index), _MOST_ITEMS):
        key, value = _metric_key(parts, metric, found), metric.get("value")
        if not key or isinstance(value, bool) or not isinstance(value, int | float) or not _is_finite(value):
            bad += 1
        elif len(found) >= MOST_METRICS:
            more += 1
        else:
            found[key] = float(value)
    if bad:
        notes.append(f"README.md: {bad} of its results are no numbers, have no name, or stand there twice")
    if more:
        notes.append(f"README.md: {more} of its results left out, {MOST_METRICS} are taken")
    return found


def _results(index: Any) -> Iterator[tuple[list[str], Mapping[str, Any]]]:
    """What names a result, outermost first, and the metric, of each that has the form."""
    for model in _mappings(index):
        for result in _mappings(model.get("results")):
            task, dataset = _mapping(result.get("task")), _mapping(result.get("dataset"))
            parts = [
                _text(task.get("type")) or _text(task.get("name")),
                _text(dataset.get("type")) or _text(dataset.get("name")),
                _text(dataset.get("config")),
                _text(dataset.get("split")),
            ]
            for metric in _mappings(result.get("metrics")):
                yield [part for part in parts if part], metric


def _metric_key(parts: list[str], metric: Mapping[str, Any], taken: Mapping[str, float]) -> str:
    """By the metric's type, or by its name where one of that type is there; empty if neither will do."""
    for name in (_text(metric.get("type")), _text(metric.get("name"))):
        key = "/".join([*parts, name])
        if name and key not in taken and len(key.encode()) <= MOST_KEY:
            return key
    return ""


def _is_finite(value: float) -> bool:
    try:
        return math.isfinite(value)
    except OverflowError:  # an integer beyond every float
        return False


def _text(value: Any) -> str:
    """A short text that may stand in a key; else empty."""
    text = str(value) if isinstance(value, int) and abs(value) < 1 << 63 else value
    return text.strip() if isinstance(text, str) and not _CONTROL.search(text) else ""


def _texts(value: Any) -> Iterator[str]:
    """A text, or the texts in a list."""
    if isinstance(value, list):
        yield from (each for each in islice(value, _MOST_ITEMS) if isinstance(each, str))
    elif isinstance(value, str):
        yield value


def _mappings(value: Any) -> Iterator[Mapping[str, Any]]:
    """Of a list, the mappings in it."""
    if isinstance(value, list):
        yield from (each for each in islice(value, _MOST_ITEMS) if isinstance(each, dict))


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, dict) else {}

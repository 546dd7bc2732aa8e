"""What the files of an MLflow model say about how it was made: `MLmodel`, `requirements.txt`, `conda.yaml`."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from regsvc.client.capture.code import without_credentials
from regsvc.content.record import Code, Environment, Record, Signature, TensorSpec

_MOST_BYTES = 4 << 20
"""Of a file that is read whole; MLmodel and requirements are far smaller."""
_SCHEMA_BYTES = 256 << 10
_MAX_PACKAGES = 5_000
_MAX_DIMENSIONS = 32
_PIN = re.compile(r"([A-Za-z0-9][A-Za-z0-9._-]*)(?:\[[^\]]*\])?\s*={2,3}\s*([^\s;,#]+)")
_FORMATS = ("serialization_format", "model_format", "save_format")
_COMMIT = "mlflow.source.git.commit"
_BRANCH = "mlflow.source.git.branch"
_REMOTE = "mlflow.source.git.repoURL"


@dataclass(frozen=True)
class Described:
    """The record of a model's files, its attachments, and what could not be read."""

    record: Record
    attachments: Mapping[str, bytes]
    notices: tuple[str, ...] = ()


def described(folder: Path) -> Described:
    """What a folder of model files says; nothing when it holds no `MLmodel`, for then MLflow did not make it."""
    notices: list[str] = []
    model = _document(folder / "MLmodel", notices)
    flavors = model.get("flavors")
    flavors = flavors if isinstance(flavors, dict) else {}
    framework = next((name for name in flavors if name != "python_function"), "")
    framework = str(framework or next(iter(flavors), ""))
    flavor = flavors.get(framework)
    flavor = flavor if isinstance(flavor, dict) else {}
    named = next((str(flavor[key]) for key in _FORMATS if flavor.get(key)), "")
    environment, attachments = _environment(folder, flavors, notices)
    record = Record(
        framework=framework[:100],
        format=("onnx" if framework == "onnx" else named or ("mlflow" if flavors else ""))[:100],
        signature=_signature(model.get("signature"), notices),
        environment=environment,
    )
    return Described(record, attachments, tuple(notices))


def code_of(tags: Mapping[str, str]) -> Code:
    """The code that a run was started from, by its tags."""
    return Code(
        remote=without_credentials(tags.get(_REMOTE, "")),
        commit=tags.get(_COMMIT, ""),
        branch=tags.get(_BRANCH, ""),
    )


def _environment(
    folder: Path, flavors: Mapping[str, Any], notices: list[str]
) -> tuple[Environment, Mapping[str, bytes]]:
    conda = _document(folder / "conda.yaml", notices)
    dependencies = conda.get("dependencies")
    lines: list[str] = []
    python = str(_document(folder / "python_env.yaml", notices).get("python", ""))
    for each in dependencies if isinstance(dependencies, list) else ():
        if isinstance(each, dict):
            lines += [str(line) for line in each.get("pip") or ()]
        elif str(each).startswith("python="):
            python = python or str(each).partition("=")[2].strip("=")
    requirements = _read(folder / "requirements.txt", notices)
    if requirements is not None:
        lines = requirements.decode("utf-8", "replace").splitlines()
    generic = flavors.get("python_function")
    python = python or str((generic if isinstance(generic, dict) else {}).get("python_version", ""))
    pins = (_PIN.match(line.strip()) for line in lines)
    packages = {_normal(pin[1]): pin[2] for pin in pins if pin is not None}
    if len(packages) > _MAX_PACKAGES:
        notices.append(f"{len(packages) - _MAX_PACKAGES} of {len(packages)} packages were left out")
        packages = dict(sorted(packages.items())[:_MAX_PACKAGES])
    name, lock = "requirements.txt", requirements
    if lock is None:
        name, lock = "conda.yaml", _read(folder / "conda.yaml", notices)
    return (
        Environment(python=python, packages=packages, lock_file=name if lock else ""),
        {name: lock} if lock else {},
    )


def _signature(found: Any, notices: list[str]) -> Signature:
    if not isinstance(found, dict):
        return Signature()
    sides: dict[str, list[Any]] = {}
    for side in ("inputs", "outputs", "params"):
        try:
            parsed = json.loads(found.get(side) or "[]")
        except (TypeError, ValueError):
            notices.append(f"the signature's {side} cannot be read")
            parsed = []
        sides[side] = [each for each in parsed if isinstance(each, dict)] if isinstance(parsed, list) else []
    schema = json.dumps({side: specs for side, specs in sides.items() if specs}, ensure_ascii=False)
    if len(schema.encode("utf-8", "replace")) > _SCHEMA_BYTES:
        notices.append("the signature is too long to be kept as JSON")
        schema = ""
    inputs, outputs = (tuple(map(_spec, sides[side])) for side in ("inputs", "outputs"))
    return Signature(inputs, outputs, schema if inputs or outputs or sides["params"] else "")


def _spec(found: Mapping[str, Any]) -> TensorSpec:
    """A tensor with its shape, or a column, which has none."""
    tensor = found.get("tensor-spec")
    tensor = tensor if isinstance(tensor, dict) else {}
    shape = tensor.get("shape")
    sizes: Sequence[Any] = shape[:_MAX_DIMENSIONS] if isinstance(shape, list) else ()
    return TensorSpec(
        str(found.get("name") or "")[:1000],
        str(tensor.get("dtype") or found.get("type") or "")[:100],
        tuple(size if isinstance(size, int) and -1 <= size < 1 << 53 else -1 for size in sizes),
    )


def _document(path: Path, notices: list[str]) -> Mapping[str, Any]:
    text = _read(path, notices)
    if text is None:
        return {}
    try:
        found = yaml.safe_load(text)
    except (yaml.YAMLError, UnicodeError, RecursionError):
        notices.append(f"'{path.name}' cannot be read as YAML")
        return {}
    return found if isinstance(found, dict) else {}


def _read(path: Path, notices: list[str]) -> bytes | None:
    if not path.is_file():
        return None
    if path.stat().st_size > _MOST_BYTES:
        notices.append(f"'{path.name}' is too large to be read")
        return None
    return path.read_bytes()


def _normal(name: str) -> str:
    """As PEP 503 normalises it."""
    return re.sub(r"[-_.]+", "-", name).lower()

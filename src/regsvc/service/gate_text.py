"""The texts of a gate: its terms as they were written, the paths in them, and values for people."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from regsvc.content.expression import Call, Const, Ident, Node, Select, children

_LONGEST_VALUE = 200
"""Characters of a value."""
_STRING = re.compile(
    r"""(?:r|R|b|B)*(?:'''.*?'''|\"\"\".*?\"\"\"|'(?:\\.|[^'\\])*'|"(?:\\.|[^"\\])*")|//[^\n]*""", re.DOTALL
)
_IDENTIFIER = re.compile("[A-Za-z_][A-Za-z0-9_]*", re.ASCII)


@dataclass(frozen=True)
class Path:
    """What a gate looks at: `version.metrics.f1`."""

    side: str
    field: str
    keys: Sequence[str]
    """Of a map, or a record; none for a field that is looked at as a whole."""
    tested: bool
    """Whether only `has` asks for it."""

    @property
    def text(self) -> str:
        """As a gate has it."""
        keys = (
            f".{key}" if _IDENTIFIER.fullmatch(key) else f"[{json.dumps(key, ensure_ascii=False)}]"
            for key in self.keys
        )
        return f"{self.side}.{self.field}{''.join(keys)}"


def term_texts(text: str, operators: Sequence[int]) -> list[str]:
    """The parts of a text between its `&&`, which have so many characters before them; without outer parentheses."""
    bounds = [0, *(place + 2 for place in operators)]
    return [_trimmed(text[begin:end]) for begin, end in zip(bounds, [*operators, len(text)], strict=True)]


def paths_of(node: Node, sides: Sequence[str]) -> Iterator[Path]:
    """What an expression looks at, in the order of the text, each once."""
    found = sorted(_paths(node, sides), key=lambda item: item[0])
    seen: dict[str, Path] = {}
    for _, path in found:
        known = seen.get(path.text)
        if known is None or (known.tested and not path.tested):
            seen[path.text] = path
    yield from seen.values()


def value_at(fields: Mapping[str, Any], path: Path) -> tuple[bool, Any]:
    """Whether there is a value at a path, and the value."""
    value: Any = fields
    for key in (path.field, *path.keys):
        if not isinstance(value, Mapping) or key not in value:
            return False, None
        value = value[key]
    return True, value


def shown(value: Any) -> str:
    """A value for people, on one line."""
    if isinstance(value, datetime):
        text = value.isoformat().replace("+00:00", "Z")
    else:
        text = json.dumps(value, ensure_ascii=False, default=str)
    return text if len(text) <= _LONGEST_VALUE else text[:_LONGEST_VALUE] + "..."


def _paths(node: Node, sides: Sequence[str]) -> Iterator[tuple[int, Path]]:
    found = _path(node, sides)
    if found is not None:
        yield found
        return
    match node:
        case Call(function="@in", args=(Const(value=str(key)), container)):
            held = _path(container, sides)
            if held is not None and held[1].field in ("metrics", "params", "tags", "packages"):
                position, path = held
                yield position, Path(path.side, path.field, (key,), tested=True)
                return
    for child in children(node):
        yield from _paths(child, sides)


def _path(node: Node, sides: Sequence[str]) -> tuple[int, Path] | None:
    keys: list[str] = []
    tested = isinstance(node, Select) and node.test
    while True:
        match node:
            case Select(operand=Ident(name=side, position=position)) if side in sides:
                return position, Path(side, node.field, tuple(reversed(keys)), tested)
            case Select(operand=operand):
                keys.append(node.field)
                node = operand
            case Call(function="_[_]", args=(operand, Const(value=str(key)))):
                keys.append(key)
                node = operand
            case _:
                return None


def _trimmed(part: str) -> str:
    """Without blanks, and without parentheses that are not closed, or opened, within."""
    part = part.strip()
    depth = lowest = 0
    for char in _STRING.sub(lambda found: " " * len(found[0]), part):
        depth += (char in "([{") - (char in ")]}")
        lowest = min(lowest, depth)
    opened, closed = depth - lowest, -lowest
    while opened and part.startswith("("):
        part, opened = part[1:].lstrip(), opened - 1
    while closed and part.endswith(")"):
        part, closed = part[:-1].rstrip(), closed - 1
    return " ".join(part.split())

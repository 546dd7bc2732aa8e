"""The front matter of a README.md: YAML between two lines of `---`, that anybody may have written.

It is read as the hub reads it rather than as YAML 1.1 would have it: `no` is Norwegian and not false, a date is text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any

import yaml

_MOST = 1 << 20
"""Most bytes that are read of a README.md."""
_MOST_YAML = 256 << 10
"""Longest front matter that is parsed, in characters: a second or two."""
_BLOCK = re.compile(r"\s*---[ \t]*(?:\r\n|\r|\n)")
_END = re.compile(r"^---[ \t]*(?:\r\n|\r|\n|\Z)", re.MULTILINE)


class _Loader(yaml.SafeLoader):
    """Plain values only, and numbers as JSON has them."""

    def flatten_mapping(self, node: yaml.MappingNode) -> None:
        """`<<` is a key as any other: before PyYAML 6.0.4 merged mappings of merged ones grow without end."""


_NULL, _INT, _FLOAT = (f"tag:yaml.org,2002:{name}" for name in ("null", "int", "float"))
_Loader.yaml_implicit_resolvers = {}
_Loader.add_implicit_resolver(_NULL, re.compile(r"(?:~|null|Null|NULL|)\Z"), ["~", "n", "N", ""])
_Loader.add_implicit_resolver(_INT, re.compile(r"[-+]?[0-9]+\Z"), list("-+0123456789"))
_Loader.add_implicit_resolver(
    _FLOAT,
    re.compile(r"[-+]?(?:[0-9]+\.[0-9]*|\.[0-9]+|[0-9]+(?=[eE]))(?:[eE][-+]?[0-9]+)?\Z"),
    list("-+.0123456789"),
)
# PyYAML's own read 1:30:00 as a number of base 60, in time that grows with the square of its length.
_Loader.add_constructor(_INT, lambda loader, node: int(_scalar(loader, node)))
_Loader.add_constructor(_FLOAT, lambda loader, node: float(_scalar(loader, node)))


def _scalar(loader: Any, node: yaml.Node) -> str:
    # A tag may stand before anything; what is no scalar raises there.
    return str(loader.construct_scalar(node))


@dataclass(frozen=True)
class Readme:
    """A README.md in its two parts."""

    card: str = ""
    """Markdown, without the front matter."""
    fields: dict[str, Any] = field(default_factory=dict)
    """The front matter; values of any type."""
    notes: tuple[str, ...] = ()
    """What could not be read."""


def read_readme(location: str) -> Readme:
    """A README.md, at most its first MiB. Raises `OSError`."""
    with open(location, "rb") as file:
        data = file.read(_MOST + 1)
    # PostgreSQL, which may hold this one day, has no text with NUL.
    text = data[:_MOST].decode("utf-8", "replace").removeprefix("\ufeff").replace("\x00", "\ufffd")
    readme = split(text)
    if len(data) <= _MOST:
        return readme
    return Readme(readme.card, readme.fields, (*readme.notes, "README.md: only its first MiB was read"))


def split(text: str) -> Readme:
    """Card and front matter of a text. Never raises: front matter that cannot be read is said in the notes."""
    begin = _BLOCK.match(text)
    end = _END.search(text, begin.end()) if begin else None
    if begin is None or end is None:
        return Readme(text)
    card = text[end.end() :].lstrip("\r\n")
    head = text[begin.end() : end.start()]
    if len(head) > _MOST_YAML:
        return Readme(card, notes=(f"README.md: front matter of {len(head)} characters is not read",))
    try:
        fields = yaml.load(head, _Loader)
    # PyYAML's constructors meet values that do not fit their tags with whatever comes.
    except (
        yaml.YAMLError,
        ValueError,
        TypeError,
        LookupError,
        AttributeError,
        ArithmeticError,
        RecursionError,
    ):
        return Readme(card, notes=("README.md: its front matter is no YAML that can be read",))
    if fields is None:
        return Readme(card)
    if not isinstance(fields, dict):
        return Readme(card, notes=("README.md: its front matter has no fields",))
    return Readme(card, fields)

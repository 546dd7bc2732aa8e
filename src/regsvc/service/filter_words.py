"""What is wrong with a filter, in plain words: CEL's parser speaks of tokens, containers and overloads.

Its messages are those of cel-cpp's parser and checker, as `cel-expr-python` gives them; what is not known here stays as
it is.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable

Suggest = Callable[[str], str]
"""From a name that is not known to what may be meant, or ""."""

_CONTAINER = re.compile(r" \(in container '[^']*'\)")
_UNDECLARED = re.compile(r"undeclared reference to '(.*)'$")
_OVERLOAD = re.compile(r"found no matching overload for '(.*?)' applied to '(?:[^(']*\.)?\((.*)\)'")
_TOKEN = re.compile(r"Syntax error: token recognition error at: '(.*)'$", re.DOTALL)
_INPUT = re.compile(
    r"Syntax error: (?:mismatched|extraneous) input '(.*?)' expecting .*"
    r"|Syntax error: no viable alternative at input '(.*)'$",
    re.DOTALL,
)
_MISSING = re.compile(r"Syntax error: missing '(.*?)' at '(.*)'$", re.DOTALL)
_WORDS = {"and": "&&", "or": "||", "not": "!", "is": "==", "eq": "==", "like": "contains(...)"}
_SIGNS = {
    "=>": ">=",
    "=<": "<=",
    "=": "==",
    "&": "&&",
    "|": "||",
    "≥": ">=",
    "≤": "<=",
    "≠": "!=",
    "“": '"',
    "”": '"',
    "„": '"',
    "’": "'",
    "‘": "'",
}
"""Longest first: the first that fits is it."""
_OPERATOR = re.compile(r"[_@]?([^_@].*?)_?")
_KEY = re.compile(r"\b(metrics|params|tags|packages)\.(\w+(?:[-/.]\w+)+)", re.ASCII)
_END = "<EOF>"
_SHOWN = 60
"""Characters of what is repeated."""


def plain_words(text: str, position: int, message: str, suggest: Suggest) -> str:
    """`message`, of the parser or checker, for people; `position` is how many characters of `text` are before it."""
    message = _CONTAINER.sub("", message)
    if found := _UNDECLARED.match(message):
        return _unknown(text, position, found[1], suggest)
    if found := _OVERLOAD.match(message):
        return _not_taken(found[1], found[2])
    if found := _TOKEN.match(message):
        return _sign(text, position, found[1])
    if found := _MISSING.match(message):
        where = "at the end" if found[2] == _END else f"before '{found[2][:_SHOWN]}'"
        return f"'{found[1]}' is missing {where}"
    if found := _INPUT.match(message):
        return _unexpected(text, position, found[1] or found[2] or "")
    return message


def nearest(name: str, known: Iterable[str]) -> str:
    """A dotted name whose first part is nearly one that is known, with that; or ""."""
    head, dot, rest = name.partition(".")
    close = difflib.get_close_matches(head, known, 1, 0.75)
    return f"{close[0]}{dot}{rest}" if close else ""


def _unknown(text: str, position: int, name: str, suggest: Suggest) -> str:
    if name.lower() in _WORDS:
        return f"'{name}' is no operator; {_meant(_WORDS[name.lower()])}"
    said = f"'{name[:_SHOWN]}' is not known here"
    if text[position : position + 1] == "(":
        return f"{said}: there is no such function"
    meant = _bracketed(text, position) or suggest(name)
    if not meant and name.isidentifier() and _is_compared(text, position, name):
        meant = f'"{name}"'
    return f"{said}; {_meant(meant)}" if meant else said


def _bracketed(text: str, position: int) -> str:
    """The key of a map that is no identifier, and has to stand in brackets: `metrics.eval/f1`."""
    found = next((each for each in _KEY.finditer(text) if each.start(2) < position < each.end()), None)
    return f'{found[1]}["{found[2]}"]' if found else ""


def _is_compared(text: str, position: int, name: str) -> bool:
    """Whether it stands where a literal would: behind == or !=, or before `in`."""
    before, after = text[:position].rstrip(), text[position + len(name) :].lstrip()
    return before.endswith(("==", "!=")) or after.startswith("in ")


def _not_taken(function: str, types: str) -> str:
    found = _OPERATOR.fullmatch(function)
    name = found[1] if found and not function.isidentifier() else function
    shown = types.replace("google.protobuf.T", "t").replace("google.protobuf.D", "d")
    kinds = [kind.strip() for kind in re.split(r",\s*(?![^()]*\))", shown)]
    said = f"'{name}' does not take {' and '.join(kinds)}"
    if set(kinds) == {"timestamp", "string"}:
        return f'{said}; a time is written as timestamp("2026-01-31T12:00:00Z")'
    if kinds[0].startswith("list") and name in ("==", "!=", "contains"):
        return f'{said}; a list is asked by "x" in LIST'
    return said


def _sign(text: str, position: int, token: str) -> str:
    if token[:1] in "\"'":
        return f"the string that begins here is not closed: {token[:_SHOWN]}"
    rest = text[position : position + 2]
    for sign, meant in _SIGNS.items():
        if rest.startswith(sign):
            return f"'{sign}' is not known here; {_meant(meant)}"
    return f"'{token.strip()[:_SHOWN]}' is not known here"


def _unexpected(text: str, position: int, found: str) -> str:
    if found == _END:
        return "something is missing at the end"
    before = text[:position].split()
    word = found.strip().lower()
    if word in _WORDS:
        return f"'{found}' is no operator; {_meant(_WORDS[word])}"
    if before and before[-1].lower() == "not":
        return f"'{before[-1]}' is no operator; {_meant('!')}"
    if found == ">" and text[:position].endswith("<"):
        return f"'<>' is no operator; {_meant('!=')}"
    if found == "," and re.search(r"\d$", text[:position]):
        return "',' was not expected here; decimals have a point: 0.7"
    return f"'{found[:_SHOWN]}' was not expected here"


def _meant(what: str) -> str:
    name = what[0].isalnum() or len(what) > 2
    return f"did you mean {what}?" if name else f"did you mean '{what}'?"

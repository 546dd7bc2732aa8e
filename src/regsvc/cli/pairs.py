"""Options that take `key=value`: params, metrics and tags."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import click

from regsvc.client.records import Param

_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?")

Command = TypeVar("Command", bound=Callable[..., Any])


def param_option(command: Command) -> Command:
    """Repeatable `--param k=v`; the function gets a dict as `params`."""
    return _option("--param", "params", "A param. 3, 0.1, true and false keep their types.", _typed)(command)


def metric_option(command: Command) -> Command:
    """Repeatable `--metric k=v`; the function gets a dict as `metrics`."""
    return _option("--metric", "metrics", "A final metric.", float)(command)


def tag_option(command: Command) -> Command:
    """Repeatable `--tag k=v`; the function gets a dict as `tags`."""
    return _option("--tag", "tags", "A tag.", str)(command)


def host_label_option(command: Command) -> Command:
    """`--label K=V`, repeatable; the function gets them as `labels`."""
    return _option("--label", "labels", "Kept in the inventory.", str)(command)


def _option(flag: str, name: str, text: str, convert: Callable[[str], Any]) -> Callable[[Command], Command]:
    def parse(ctx: click.Context, option: click.Parameter, pairs: Sequence[str]) -> dict[str, Any]:
        parsed = {}
        for pair in pairs:
            key, equals, value = pair.partition("=")
            if not key or not equals:
                raise click.BadParameter(f"{pair!r} is not KEY=VALUE")
            try:
                parsed[key] = convert(value)
            except ValueError:
                raise click.BadParameter(f"{value!r} is not a number") from None
        return parsed

    return click.option(flag, name, multiple=True, metavar="K=V", callback=parse, help=f"{text} Repeatable.")


def _typed(text: str) -> Param:
    """The type that the text looks like. `1_000` is text, and so are NaN and infinities: params are finite."""
    if text in ("true", "false"):
        return text == "true"
    if _INTEGER.fullmatch(text):
        return int(text)
    return float(text) if _DECIMAL.fullmatch(text) and math.isfinite(float(text)) else text

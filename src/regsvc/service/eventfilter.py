"""Which events a watch or a webhook wants: an expression of CEL, read once and asked of each event."""

from __future__ import annotations

import functools
from collections.abc import Iterable
from datetime import UTC, datetime, timedelta

from cel_expr_python import cel

from regsvc.catalog.events import Event
from regsvc.content.expression import Node, Quantified, children
from regsvc.service.filter_words import nearest
from regsvc.service.limits import Limits
from regsvc.service.search import checked, invalid

_MAX_LOOPS = 2
"""`exists` and `all` within each other: each multiplies the time by the number of attributes."""
_STRINGS = ("kind", "resource", "model")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class EventFilter:
    """A condition on events; of an empty text, none. Raises `FilterInvalid`, `ResourceExhausted`."""

    def __init__(self, text: str, limits: Limits):
        self._expression = None
        if text.strip():
            self._expression, node = checked(
                _environment(),
                text,
                limits,
                lambda name: nearest(name, [*_STRINGS, "seq", "time", "attributes"]),
            )
            if (deepest := _deepest(node, 0)) is not None:
                raise invalid(text, f"more than {_MAX_LOOPS} of exists and all within each other", deepest)

    def __call__(self, event: Event) -> bool:
        """Whether it lets an event through. What it asks for and the event lacks makes it false."""
        if self._expression is None:
            return True
        result = self._expression.eval(
            data={
                "kind": event.kind,
                "resource": event.resource,
                "model": _model(event.resource),
                "seq": event.seq,
                "time": _EPOCH + timedelta(microseconds=event.at),
                "attributes": event.attributes,
            }
        )
        # An error, such as of a missing key, is a value too.
        return result.value() is True

    def of(self, events: Iterable[Event]) -> list[Event]:
        """Those that it lets through."""
        return [event for event in events if self(event)]


def _model(resource: str) -> str:
    """`namespace/model` of a resource name; empty when it has none."""
    match resource.split("/"):
        case ["namespaces", namespace, "models", model, *_]:
            return f"{namespace}/{model}"
    return ""


def _deepest(node: Node, loops: int) -> int | None:
    """Where loops are nested too deep, or None."""
    if isinstance(node, Quantified):
        loops += 1
        if loops > _MAX_LOOPS:
            return node.position
    return next((at for child in children(node) if (at := _deepest(child, loops)) is not None), None)


@functools.cache
def _environment() -> cel.Env:
    """What filters of events see. Without the extension of strings: its `replace` can make texts of any length."""
    strings = cel.Type.Map(cel.Type.STRING, cel.Type.STRING)
    variables = dict.fromkeys(_STRINGS, cel.Type.STRING)
    return cel.NewEnv(
        variables={**variables, "seq": cel.Type.INT, "time": cel.Type.TIMESTAMP, "attributes": strings}
    )

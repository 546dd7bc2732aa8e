"""What was said of a model's metrics: which values are the better ones."""

from __future__ import annotations

from regsvc.catalog import events, models
from regsvc.catalog.database import Reader, Transaction
from regsvc.content.comparison import Direction
from regsvc.errors import ResourceExhausted
from regsvc.refs import ModelName

MAX_DEFINITIONS = 2_000
"""Most defined metrics of one model."""


def define(tx: Transaction, model: ModelName, key: str, direction: Direction) -> None:
    """Replace what was said of a metric, `UNKNOWN` takes it back; nothing happens when it was said already.

    The model is made when it does not exist. Raises `ResourceExhausted`.
    """
    model_id = models.ensure(tx, model)
    before = tx.value(
        "SELECT direction FROM metric_definitions WHERE model_id = ? AND key = ?", [model_id, key]
    )
    if (before or Direction.UNKNOWN) == direction:
        return
    if direction is Direction.UNKNOWN:
        tx.run("DELETE FROM metric_definitions WHERE model_id = ? AND key = ?", [model_id, key])
    else:
        tx.run(
            "INSERT INTO metric_definitions (model_id, key, direction) VALUES (?, ?, ?)"
            " ON CONFLICT (model_id, key) DO UPDATE SET direction = excluded.direction",
            [model_id, key, int(direction)],
        )
        count = tx.value("SELECT count(*) FROM metric_definitions WHERE model_id = ?", [model_id])
        if count > MAX_DEFINITIONS:
            raise ResourceExhausted(
                f"{model} has more than {MAX_DEFINITIONS} defined metrics", limit=MAX_DEFINITIONS
            )
    models.touch(tx, model_id)
    events.record(tx, "metric.defined", model.wire, key=key, direction=direction.name)


def of_model(db: Reader, model: ModelName) -> dict[str, Direction]:
    """Directions by key, in its order. Raises `NotFound`."""
    rows = db.rows(
        "SELECT key, direction FROM metric_definitions WHERE model_id = ? ORDER BY key",
        [models.find_id(db, model)],
    )
    return {key: Direction(direction) for key, direction in rows}

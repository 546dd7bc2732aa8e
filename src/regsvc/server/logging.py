"""Structured logs: one JSON object a line, to stderr."""

from __future__ import annotations

import json
import logging
import sys
import time
from datetime import UTC, datetime

_STANDARD = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class JsonLines(logging.Formatter):
    """Time, level, message and whatever `extra` brings. Tracebacks, which hold paths, at debug level only."""

    def __init__(self, *, tracebacks: bool):
        super().__init__()
        self._tracebacks = tracebacks

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        entry: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
        }
        entry |= {key: value for key, value in vars(record).items() if key not in _STANDARD}
        if record.exc_info and record.exc_info[0] is not None:
            entry["error"] = record.exc_info[0].__name__
            if self._tracebacks:
                entry["traceback"] = self.formatException(record.exc_info)
        return json.dumps(entry, default=str)


def configure(level: str) -> None:
    """Send everything at this level or above to stderr. For the server's own process only."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(tracebacks=level == "debug"))
    logging.basicConfig(level=level.upper(), handlers=[handler], force=True)
    logging.getLogger("asyncio").setLevel(max(logging.WARNING, logging.getLogger().level))
    # grpc.aio reports every poller hiccup and cancelled call there (grpc#25364).
    logging.getLogger("grpc").setLevel(logging.CRITICAL if level != "debug" else logging.DEBUG)


def milliseconds_since(start: float) -> float:
    """Milliseconds since a `time.monotonic()`."""
    return round((time.monotonic() - start) * 1000, 3)

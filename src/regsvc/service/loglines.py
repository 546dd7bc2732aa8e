"""Log lines as newline-delimited JSON: how batches and sealed logs hold them.

One object a line: `{"seq":1,"time":"2026-01-02T03:04:05.678901Z","step":"train","stream":"stdout",
"text":"..."}`. A text that is not UTF-8 stands under "base64" instead of "text"; "partial":true marks a line
that the next one continues. Times have microseconds.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime

STREAMS = ("", "stdout", "stderr", "log")
"""By number of `LogStream` in build.proto."""


@dataclass(frozen=True, slots=True)
class LogLine:
    """One line of a build's log."""

    seq: int
    at: int
    """Microseconds since 1970."""
    step: str
    stream: int
    """Index in `STREAMS`."""
    partial: bool
    text: bytes


def to_json_lines(lines: Iterable[LogLine]) -> bytes:
    """Lines in their stored form."""
    return b"".join(_to_json(line) for line in lines)


def from_json_lines(data: bytes) -> list[LogLine]:
    """Lines from their stored form."""
    return [_from_json(line) for line in data.splitlines()]


def _to_json(line: LogLine) -> bytes:
    entry: dict[str, object] = {
        "seq": line.seq,
        "time": datetime.fromtimestamp(line.at // 1_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%S")
        + f".{line.at % 1_000_000:06d}Z",
        "step": line.step,
        "stream": STREAMS[line.stream],
    }
    if line.partial:
        entry["partial"] = True
    try:
        entry["text"] = line.text.decode()
    except UnicodeDecodeError:
        entry["base64"] = base64.b64encode(line.text).decode()
    # ASCII only: a raw U+2028 or NEL inside a text would be a line break to many readers.
    return json.dumps(entry, separators=(",", ":")).encode() + b"\n"


def _from_json(data: bytes) -> LogLine:
    entry = json.loads(data)
    text = entry["text"].encode() if "text" in entry else base64.b64decode(entry["base64"])
    moment = datetime.fromisoformat(entry["time"])
    at = int(moment.replace(microsecond=0).timestamp()) * 1_000_000 + moment.microsecond
    return LogLine(
        entry["seq"], at, entry["step"], STREAMS.index(entry["stream"]), entry.get("partial", False), text
    )

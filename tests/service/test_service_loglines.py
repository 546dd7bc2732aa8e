"""Log lines keep what they are in their stored form, which is plain JSON."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta

from hypothesis import example, given
from hypothesis import strategies as st

from regsvc.service.checks import LAST_AT
from regsvc.service.loglines import STREAMS, LogLine, from_json_lines, to_json_lines

LINES = st.builds(
    LogLine,
    seq=st.integers(1, 2**63),
    at=st.integers(0, LAST_AT),
    step=st.text(max_size=20),
    stream=st.integers(0, len(STREAMS) - 1),
    partial=st.booleans(),
    text=st.binary(max_size=50) | st.text(max_size=50).map(lambda text: text.encode("utf-8", "replace")),
)


@given(st.lists(LINES, max_size=8))
@example([LogLine(1, 0, "", 0, False, b'\n\r\x0b\x1c\x85"\\\x7f' + "\u2028\x85\U0001f600".encode())])
def test_lines_survive_their_stored_form(lines: list[LogLine]) -> None:
    data = to_json_lines(lines)
    assert from_json_lines(data) == lines
    assert data.count(b"\n") == len(lines)
    assert data.isascii()


@given(LINES)
def test_the_stored_form_is_what_any_json_writer_makes(line: LogLine) -> None:
    moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(microseconds=line.at)
    entry: dict[str, object] = {
        "seq": line.seq,
        "time": moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
        "step": line.step,
        "stream": STREAMS[line.stream],
    }
    if line.partial:
        entry["partial"] = True
    try:
        entry["text"] = line.text.decode()
    except UnicodeDecodeError:
        entry["base64"] = base64.b64encode(line.text).decode()
    assert to_json_lines([line]) == json.dumps(entry, separators=(",", ":")).encode() + b"\n"

"""The writing end of a build's log: numbered lines, kept until the server has made them durable.

One thread owns the AppendLog stream. It opens it again after every disconnect; the server's first answer
tells which lines it has, and the rest is sent again, so no line is lost, doubled or reordered.
"""

from __future__ import annotations

import math
import random
import threading
import time
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import grpc

from regsvc import errors
from regsvc.client.build_records import LOG_STREAMS
from regsvc.client.connection import Connection, translate
from regsvc.client.resume import DEFAULT_PATIENCE, FIRST_WAIT
from regsvc.client.streams import check_same_store, closed_connection, silence_limit
from regsvc.v1 import build_pb2

BUFFER_LIMIT = 64 << 20
"""Bytes of lines kept in memory until acknowledged; then `append` waits."""

_LONGEST_WAIT = 1.0
"""Seconds between attempts to reach the server again; short, since readers wait for these lines."""

_LONGEST_HEARTBEAT = 2.0
"""Seconds between messages on a quiet stream; the answer to each tells of a cancel."""

_IN_FLIGHT = 4
"""Batches on their way before lines are held back to be grouped. The first goes at once, so a single line is
not late; under load a batch holds what arrived during one fsync of the server."""

_PACE = 0.005
"""Seconds between messages that are not full. After a pause a line goes at once; where lines come all the time, each
message costs the server a commit, with an fsync, and every follower a wake-up."""

_LINE_COST = 160
"""Bytes that a line takes in memory besides its text."""

_MAX_LINES = 4096
"""Most lines of one message; keeps messages far below gRPC's limit however short the lines are."""

_STREAM_NUMBERS = {name: number for number, name in LOG_STREAMS.items()}


class _Line(NamedTuple):
    text: bytes
    stream: str
    step: str
    time_ns: int
    partial: bool


@dataclass(frozen=True)
class _Batch:
    """Lines that were sent, kept until acknowledged."""

    last: int
    size: int
    request: Any


@dataclass
class _Attempt:
    """One AppendLog stream. Protected by `LogPublisher._changed`."""

    resend: deque[_Batch] | None = None
    """What to send first; None until the server has told what it has."""
    heard: float = field(default_factory=time.monotonic)
    over: bool = False
    call: Any = None


class LogPublisher:
    """Numbers and sends the log lines of one build, and keeps the build alive meanwhile.

    Any thread may call `append`. `close` stops the thread; `flush` first, or unsent lines are dropped.
    """

    def __init__(self, connection: Connection, build: str) -> None:
        limits = connection.capabilities()
        self._connection = connection
        self._build = build
        self._max_line: int = limits.max_log_line_bytes
        self._max_batch: int = limits.max_log_batch_bytes
        self._silence = silence_limit(connection)
        self._heartbeat = min(limits.build_lease_ms / 3000, _LONGEST_HEARTBEAT)
        # Protects everything below; notified when lines, acknowledgements, failure or the end come.
        self._changed = threading.Condition()
        self._waiting: deque[_Line] = deque()
        self._waiting_bytes = 0
        self._unacked: deque[_Batch] = deque()
        self._size = 0
        self._cut_seq = 0
        self._acked_seq = 0
        self._sent = -math.inf
        self._contact = time.monotonic()
        self._trouble: errors.RegsvcError | None = None
        self._defect_since: float | None = None
        self._failure: errors.RegsvcError | None = None
        self._cancel_requested = False
        self._stopped = False
        self._attempt = _Attempt()
        self._thread = threading.Thread(target=self._run, name="regsvc-log", daemon=True)
        self._thread.start()

    @property
    def cancel_requested(self) -> bool:
        """Somebody asked the build to stop."""
        return self._cancel_requested

    @property
    def failure(self) -> errors.RegsvcError | None:
        """Why no line can be published any more, or None."""
        return self._failure

    @property
    def has_room(self) -> bool:
        """Whether `append` would take a line without waiting."""
        return self._size < BUFFER_LIMIT or self._failure is not None

    @property
    def max_line(self) -> int:
        """Bytes of the longest line that travels in one piece."""
        return self._max_line

    def append(
        self, texts: Sequence[bytes], *, stream: str, step: str, partial: bool = False, wait: bool = True
    ) -> None:
        """Take lines (without newlines) to be published in this order, and return before they are.

        Longer ones than the server takes are split. `partial`: the last of `texts` goes on in the next line.
        Waits while more than `BUFFER_LIMIT` bytes are not acknowledged, unless `wait` is false. Raises the
        failure that ended publishing, such as `BuildEnded`.
        """
        now = time.time_ns()
        lines = [
            _Line(piece, stream, step, now, more or (partial and index == len(texts) - 1))
            for index, text in enumerate(texts)
            for piece, more in self._pieces(text)
        ]
        size = sum(len(line.text) for line in lines)
        with self._changed:
            while wait and not self.has_room:
                self._changed.wait()
            if self._failure is not None:
                raise self._failure
            told = bool(self._waiting)
            self._waiting.extend(lines)
            self._waiting_bytes += size
            self._size += size + _LINE_COST * len(lines)
            # The sender knows that lines wait, and when to send them; waking it for each costs more than the line.
            if not told or self._is_full():
                self._changed.notify_all()

    def flush(self, patience: float = DEFAULT_PATIENCE) -> None:
        """Wait until every line is durable.

        Raises the failure that ended publishing; `Unavailable` when the server did not answer for `patience`
        seconds.
        """
        began = time.monotonic()
        with self._changed:
            self._sent = -math.inf
            self._changed.notify_all()
            while self._failure is None and (self._waiting or self._unacked):
                left = max(began, self._contact) + patience - time.monotonic()
                if left <= 0:
                    lines = len(self._waiting) + self._cut_seq - self._acked_seq
                    raise errors.Unavailable(
                        f"{lines} log lines could not be delivered: {self._why()}", lines=lines
                    )
                self._changed.wait(left)
            if self._failure is not None:
                raise self._failure

    def close(self) -> None:
        """Stop the thread. Lines that were not flushed are dropped."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()
        # The stream ends by itself now, unless the server is not there to end it.
        self._thread.join(timeout=2)
        while self._thread.is_alive():
            with self._changed:
                call = self._attempt.call
            if call is not None:
                call.cancel()
            self._thread.join(timeout=0.1)

    def _pieces(self, text: bytes) -> Iterator[tuple[bytes, bool]]:
        start = 0
        while len(text) - start > self._max_line:
            yield text[start : start + self._max_line], True
            start += self._max_line
        yield text[start:], False

    # The thread.

    def _run(self) -> None:
        try:
            delay = FIRST_WAIT
            while not self._stopped:
                self._attempt = _Attempt()
                began, acked = time.monotonic(), self._acked_seq
                trouble = self._stream(self._attempt)
                if self._acked_seq > acked or time.monotonic() - began > _LONGEST_WAIT:
                    delay, self._defect_since = FIRST_WAIT, None
                if trouble is not None and not self._passes(trouble):
                    self._fail(trouble)
                    return
                with self._changed:
                    self._trouble = trouble
                    self._changed.wait_for(lambda: self._stopped, delay * random.uniform(0.7, 1.3))
                if not self._stopped:
                    delay = min(_LONGEST_WAIT, delay * 2)
                    check_same_store(self._connection)
        except errors.RegsvcError as error:
            self._fail(error)
        except BaseException as error:
            closed = closed_connection(error)
            self._fail(closed or errors.Internal("the log publisher broke down"))
            if closed is None:
                raise

    def _stream(self, attempt: _Attempt) -> errors.RegsvcError | None:
        """One AppendLog stream from its start to its end, and the error that ended it."""
        try:
            attempt.call = self._connection.builds.AppendLog(self._requests(attempt))
            for response in attempt.call:
                self._take(response, attempt)
        except grpc.RpcError as error:
            return translate(error, self._connection.target)
        finally:
            with self._changed:
                attempt.over = True
                self._changed.notify_all()
            if attempt.call is not None:
                attempt.call.cancel()
        return None

    def _take(self, response: Any, attempt: _Attempt) -> None:
        committed: int = response.committed_seq
        with self._changed:
            attempt.heard = self._contact = time.monotonic()
            self._trouble = None
            self._cancel_requested = self._cancel_requested or response.cancel_requested
            if committed > self._cut_seq:
                raise errors.Superseded("another publisher writes this build's log", committed_seq=committed)
            if attempt.resend is None and committed < self._acked_seq:
                raise errors.DataLoss(
                    f"the server has lost log lines after {committed}, which it had acknowledged",
                    committed_seq=committed,
                )
            self._acked_seq = max(self._acked_seq, committed)
            while self._unacked and self._unacked[0].last <= committed:
                self._size -= self._unacked.popleft().size
            if attempt.resend is None:
                attempt.resend = deque(self._unacked)
            self._changed.notify_all()

    def _passes(self, trouble: errors.RegsvcError) -> bool:
        """Whether to try again: anything that says nothing against the build or the lines."""
        if isinstance(trouble, errors.Unavailable | errors.DeadlineExceeded | errors.StorageFull):
            return True
        if not isinstance(trouble, errors.Internal | errors.Unknown):
            return False
        # It may be the server's dying breath; one that comes back at every attempt is to be told.
        now = time.monotonic()
        self._defect_since = self._defect_since or now
        return now - self._defect_since < DEFAULT_PATIENCE

    def _fail(self, failure: errors.RegsvcError) -> None:
        with self._changed:
            self._failure = failure
            self._waiting.clear()
            self._unacked.clear()
            self._size = self._waiting_bytes = 0
            self._changed.notify_all()

    def _why(self) -> str:
        return self._trouble.message if self._trouble is not None else "the server does not acknowledge them"

    # gRPC iterates over the requests on a thread of its own, which ends with the stream.

    def _requests(self, attempt: _Attempt) -> Iterator[Any]:
        yield build_pb2.AppendLogRequest(build=self._build)
        while (request := self._next_request(attempt)) is not None:
            yield request

    def _next_request(self, attempt: _Attempt) -> Any:
        due = time.monotonic() + self._heartbeat
        with self._changed:
            while not attempt.over and not self._stopped:
                if attempt.resend:
                    return attempt.resend.popleft().request
                now = time.monotonic()
                wake = due
                if attempt.resend is not None and self._waiting and self._may_send():
                    wake = min(due, self._sent + _PACE)
                    if now >= wake or self._is_full():
                        self._sent = now
                        return self._cut().request
                if now > attempt.heard + self._silence and attempt.call is not None:
                    attempt.call.cancel()
                    return None
                if now >= due:
                    return build_pb2.AppendLogRequest()
                self._changed.wait(wake - now)
        return None

    def _may_send(self) -> bool:
        return len(self._unacked) < _IN_FLIGHT or self._is_full()

    def _is_full(self) -> bool:
        return self._waiting_bytes >= self._max_batch or len(self._waiting) >= _MAX_LINES

    def _cut(self) -> _Batch:
        """Make a batch of the lines that wait, as many as fit one message."""
        request = build_pb2.AppendLogRequest()
        text_bytes = count = 0
        while self._waiting and count < _MAX_LINES:
            text, stream, step, time_ns, partial = self._waiting[0]
            if count and text_bytes + len(text) > self._max_batch:
                break
            self._waiting.popleft()
            text_bytes += len(text)
            count += 1
            line = request.lines.add(
                seq=self._cut_seq + count, step=step, stream=_STREAM_NUMBERS[stream], text=text
            )
            if partial:
                line.partial = True
            line.time.seconds, line.time.nanos = divmod(time_ns, 1_000_000_000)
        self._cut_seq += count
        self._waiting_bytes -= text_bytes
        batch = _Batch(self._cut_seq, text_bytes + _LINE_COST * count, request)
        self._unacked.append(batch)
        return batch

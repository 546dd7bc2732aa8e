"""Build logs: appended by one, resumed without loss, read by many."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator

from blake3 import blake3
from server.wire import LIMIT, Wire, lines
from support import Server, wait_until

from regsvc.service.loglines import LogLine, to_json_lines
from regsvc.v1 import build_pb2 as bld


class Publisher:
    """An AppendLog stream that is fed by hand."""

    def __init__(self, wire: Wire, build: str):
        self._requests: queue.SimpleQueue[bld.AppendLogRequest | None] = queue.SimpleQueue()
        self._build = build
        self.acks = wire.builds.AppendLog(iter(self._requests.get, None), timeout=LIMIT)
        self.send()
        self.start = next(self.acks).committed_seq

    def send(self, *some: bld.LogLine) -> None:
        self._requests.put(bld.AppendLogRequest(build=self._build, lines=some))

    def wait(self, seq: int) -> None:
        """Until this line is acknowledged."""
        for ack in self.acks:
            if ack.committed_seq >= seq:
                return
        raise AssertionError("the stream ended")

    def end(self) -> None:
        self._requests.put(None)


def test_lines_come_back_as_they_were_whatever_bytes_they_hold(wire: Wire) -> None:
    build = wire.create_build("l/bytes")
    texts = [
        b"",
        b"plain",
        "ü 漢 \u2028\x85".encode(),
        b"\xff\xfe\x00",
        b"\r\x1b[31m\x0b",
        b"\xed\xa0\x80",
        b'"\\',
    ]
    sent = [
        bld.LogLine(seq=i, text=text, step='s"\u2028', stream=bld.LOG_STREAM_STDERR, partial=i % 2 == 0)
        for i, text in enumerate(texts, 1)
    ]
    for i, line in enumerate(sent):
        line.time.seconds, line.time.nanos = 1_700_000_000 + i, 123_456_000
    assert wire.append(build, sent) == len(sent)
    assert wire.log(build) == sent
    wire.finish(build)
    wait_until(lambda: wire.build(build).log_digest, what="the sealed log")
    assert wire.log(build) == sent
    assert wire.log(build, after_seq=3) == sent[3:]
    text = b"".join(
        to_json_lines([LogLine(s.seq, s.time.ToMicroseconds(), s.step, s.stream, s.partial, s.text)])
        for s in sent
    )
    assert wire.build(build).log_digest == blake3(text).hexdigest()
    assert wire.build(build).log_bytes == sum(map(len, texts))


def test_duplicates_are_skipped_and_a_gap_names_what_is_committed(wire: Wire) -> None:
    build = wire.create_build("l/gaps")
    assert wire.append(build, lines(1, b"1", b"2", b"3")) == 3
    assert wire.append(build, lines(2, b"other", b"other", b"4")) == 4
    assert wire.append(build, lines(1, b"other")) == 4
    for first in (6, 2**63, 2**64 - 1):
        with wire.refused("OUT_OF_RANGE", "SEQ_GAP") as metadata:
            wire.append(build, lines(first, b"x"))
        assert metadata["committed_seq"] == "4"
    assert [line.text for line in wire.log(build)] == [b"1", b"2", b"3", b"4"]


def test_lines_that_do_not_ascend_by_one_are_refused(wire: Wire) -> None:
    build = wire.create_build("l/order")
    for numbers in ([1, 3], [2, 1], [1, 1], [0], [0, 1]):
        with wire.refused("INVALID_ARGUMENT", "INVALID_ARGUMENT"):
            wire.append(build, [bld.LogLine(seq=n) for n in numbers])
    with wire.refused("INVALID_ARGUMENT", "NAME_INVALID"):
        wire.append(build, [bld.LogLine(seq=1, step="x" * 101)])
    assert wire.log(build) == []


def test_the_longest_line_is_kept_and_a_longer_one_refused(wire: Wire) -> None:
    build = wire.create_build("l/long")
    longest = b"\x00" * (256 << 10)
    assert wire.append(build, lines(1, longest)) == 1
    for size in ((256 << 10) + 1, 1 << 20):
        with wire.refused("INVALID_ARGUMENT", "LOG_LINE_TOO_LONG"):
            wire.append(build, lines(2, b"x" * size))
    with wire.refused("RESOURCE_EXHAUSTED", "RESOURCE_EXHAUSTED"):
        wire.append(build, lines(2, *[b"x" * (256 << 10)] * 9))
    assert wire.append(build, lines(2, *[b"y" * (256 << 10)] * 8)) == 9
    assert [len(line.text) for line in wire.log(build)] == [256 << 10] * 9


def test_the_newer_publisher_takes_over_and_the_older_is_told(wire: Wire) -> None:
    build = wire.create_build("l/two")
    older = Publisher(wire, build)
    older.send(*lines(1, b"1"))
    older.wait(1)
    newer = Publisher(wire, build)
    assert newer.start == 1
    with wire.refused("ABORTED", "SUPERSEDED"):
        older.send(*lines(2, b"from the older"))
        older.wait(2)
    newer.send(*lines(2, b"2"))
    newer.wait(2)
    newer.end()
    older.end()
    assert [line.text for line in wire.log(build)] == [b"1", b"2"]


def test_a_reader_of_a_running_build_gets_history_and_stops_without_follow(wire: Wire) -> None:
    build = wire.create_build("l/now")
    assert wire.log(build) == []
    wire.append(build, lines(1, *[b"%d" % i for i in range(500)]))
    assert len(wire.log(build)) == 500
    assert [line.seq for line in wire.log(build, after_seq=498)] == [499, 500]
    assert wire.log(build, after_seq=500) == []
    for after in (501, 2**63 - 1, 2**63, 2**64 - 1):
        with wire.refused("OUT_OF_RANGE", "OUT_OF_RANGE"):
            wire.log(build, after_seq=after)


def test_several_followers_get_every_line_once_in_order(wire: Wire) -> None:
    build = wire.create_build("l/many")
    wire.append(build, lines(1, *[b"%d" % i for i in range(1, 301)]))
    results: dict[int, list[int]] = {}
    begun = threading.Barrier(5)

    def follow(number: int) -> None:
        after = number * 100
        request = bld.ReadLogRequest(build=build, after_seq=after, follow=True)
        call = wire.builds.ReadLog(request, timeout=LIMIT)
        got = []
        begun.wait(LIMIT)
        for page in call:
            got += [line.seq for line in page.lines]
        results[number] = got

    threads = [threading.Thread(target=follow, args=[n]) for n in range(4)]
    for thread in threads:
        thread.start()
    begun.wait(LIMIT)
    publisher = Publisher(wire, build)
    for seq in range(301, 1001, 7):
        publisher.send(*lines(seq, *[b"x"] * min(7, 1001 - seq)))
    publisher.wait(1000)
    publisher.end()
    wire.finish(build)
    for thread in threads:
        thread.join(LIMIT)
    for number in range(4):
        assert results[number] == list(range(number * 100 + 1, 1001))


def test_a_step_filter_leaves_only_its_lines(wire: Wire) -> None:
    build = wire.create_build("l/steps")
    for seq in range(1, 200, 2):
        wire.append(build, [*lines(seq, b"a", step="a"), *lines(seq + 1, b"b", step="b")])
    assert [line.seq for line in wire.log(build, step="b")] == list(range(2, 201, 2))
    assert wire.log(build, step="c") == []


def test_a_follower_whose_step_is_quiet_hears_heartbeats_while_others_write(
    start_server: Callable[..., Server],
) -> None:
    with Wire(start_server("--heartbeat", "0.2")) as wire:
        build = wire.create_build("l/starve")
        publisher, stop = Publisher(wire, build), threading.Event()

        def chatter() -> None:
            seq = 1
            while not stop.is_set():
                publisher.send(*lines(seq, b"x", step="loud"))
                publisher.wait(seq)
                seq += 1

        thread = threading.Thread(target=chatter)
        thread.start()
        try:
            request = bld.ReadLogRequest(build=build, follow=True, step="quiet")
            call = wire.builds.ReadLog(request, timeout=10)
            beats = [next(call).seq for _ in range(3)]
            assert beats == sorted(beats)
            assert beats[-1] > 0  # the position moves on, so that a resume need not filter again
            call.cancel()
        finally:
            stop.set()
            thread.join(LIMIT)
            publisher.end()


def test_a_reader_that_reads_nothing_does_not_hold_up_the_publisher(wire: Wire) -> None:
    build = wire.create_build("l/dead")
    dead = wire.builds.ReadLog(bld.ReadLogRequest(build=build, follow=True), timeout=LIMIT)
    publisher = Publisher(wire, build)
    seq = 0
    for _ in range(12):  # 24 MiB: far beyond what flow control and buffers take
        publisher.send(*lines(seq + 1, *[b"z" * (256 << 10)] * 8))
        seq += 8
        publisher.wait(seq)
    publisher.end()
    wire.finish(build)
    assert [line.seq for page in dead for line in page.lines] == list(range(1, seq + 1))


def test_a_publisher_that_resumes_loses_and_doubles_nothing(wire: Wire) -> None:
    build = wire.create_build("l/resume")
    total, sent = 200, 0
    while sent < total:  # every stream breaks without warning, with lines on the way
        publisher = Publisher(wire, build)
        assert publisher.start >= 0
        sent = publisher.start
        if sent >= total:
            break
        for seq in range(sent + 1, min(sent + 40, total) + 1):
            publisher.send(*lines(seq, b"line %d" % seq))
        publisher.wait(min(sent + 15, total))
        publisher.acks.cancel()
        publisher.end()
        sent = wire.build(build).log_seq
    wait_until(lambda: wire.build(build).log_seq == total)
    assert [(line.seq, line.text) for line in wire.log(build)] == [
        (seq, b"line %d" % seq) for seq in range(1, total + 1)
    ]


def test_appending_to_nothing_is_refused(wire: Wire) -> None:
    def first_without_build() -> Iterator[bld.AppendLogRequest]:
        yield bld.AppendLogRequest(lines=lines(1, b"x"))

    with wire.refused("INVALID_ARGUMENT", "NAME_INVALID"):
        list(wire.builds.AppendLog(first_without_build(), timeout=LIMIT))

"""The stream of changes: in order, complete, and resumed exactly."""

from __future__ import annotations

import threading
from collections.abc import Callable

import grpc
import pytest
from server.wire import LIMIT, Wire, lines, name_of
from support import Server, wait_until

from regsvc.v1 import build_pb2 as bld
from regsvc.v1 import event_pb2 as evt
from regsvc.v1 import registry_pb2 as reg


def events_until(
    wire: Wire, kind: str, resource: str, after: int | None = 0, filter: str = ""
) -> list[evt.Event]:
    """Events up to the first of that kind and resource."""
    found: list[evt.Event] = []
    call = wire.events.WatchEvents(evt.WatchEventsRequest(after_seq=after, filter=filter), timeout=LIMIT)
    first = next(call)
    assert first.created
    assert not first.events
    for message in call:
        assert not message.created
        found += message.events
        assert not message.events or message.seq >= message.events[-1].seq
        if any(event.kind == kind and event.resource == resource for event in message.events):
            call.cancel()
            return found
    raise AssertionError("the stream ended")


def test_every_change_has_its_event_in_order(server: Server) -> None:
    with Wire(server) as wire:
        model, build = name_of("e/model"), wire.create_build("e/model")
        step = bld.StartStepRequest(build=build, step="train")
        wire.builds.StartStep(step, timeout=LIMIT)
        end = bld.FinishStepRequest(build=build, number=1, state=bld.STEP_STATE_SUCCEEDED)
        for _ in range(2):
            wire.builds.FinishStep(end, timeout=LIMIT)
        params = {"lr": reg.ParamValue(int_value=1)}
        wire.builds.LogParams(bld.LogParamsRequest(build=build, params=params), timeout=LIMIT)
        wire.append(build, lines(1, b"x"))
        first = wire.push("e/model", {"a": b"1"}, build, aliases=["prod"])
        second = wire.push("e/model", {"a": b"22"})
        move = reg.SetAliasRequest(name=f"{model}/aliases/prod", version=second.name)
        for _ in range(2):
            wire.registry.SetAlias(move, timeout=LIMIT)
        wire.builds.StartStep(bld.StartStepRequest(build=build, step="never ended"), timeout=LIMIT)
        for _ in range(2):
            wire.builds.CancelBuild(bld.CancelBuildRequest(name=build), timeout=LIMIT)
        wire.finish(build, bld.BUILD_STATE_CANCELLED)
        found = events_until(wire, "build.log_sealed", build)
        seqs = [event.seq for event in found]
        assert seqs == sorted(set(seqs))
        told = [(event.kind, event.resource.removeprefix(model), dict(event.attributes)) for event in found]
        digest = wire.build(build).log_digest
        moved = {"kind": "set", "author": "", "reason": ""}
        assert told == [
            ("model.created", "", {}),
            ("build.created", "/builds/1", {}),
            ("step.started", "/builds/1", {"step": "train", "number": "1", "state": "RUNNING"}),
            ("step.ended", "/builds/1", {"step": "train", "number": "1", "state": "SUCCEEDED"}),
            ("build.params", "/builds/1", {}),
            ("version.created", "/versions/1", {"digest": first.digest, "size": "1", "files": "1"}),
            ("alias.set", "/aliases/prod", {"version": first.name, "previous_version": "", **moved}),
            ("version.created", "/versions/2", {"digest": second.digest, "size": "2", "files": "1"}),
            ("alias.set", "/aliases/prod", {"version": second.name, "previous_version": first.name, **moved}),
            ("step.started", "/builds/1", {"step": "never ended", "number": "2", "state": "RUNNING"}),
            ("build.cancel_requested", "/builds/1", {}),
            ("step.ended", "/builds/1", {"step": "never ended", "number": "2", "state": "CANCELLED"}),
            ("build.ended", "/builds/1", {"state": "CANCELLED"}),
            ("build.log_sealed", "/builds/1", {"digest": digest}),
        ]
        for cut in range(len(found)):
            rest = (
                events_until(wire, "build.log_sealed", build, found[cut].seq) if cut < len(found) - 1 else []
            )
            assert [event.seq for event in rest] == seqs[cut + 1 :]


def test_a_watch_from_now_sees_only_what_comes(wire: Wire) -> None:
    wire.push("e/before", {"a": b"1"})
    call = wire.events.WatchEvents(evt.WatchEventsRequest(), timeout=LIMIT)
    created = next(call)
    assert created.created
    wire.push("e/after", {"a": b"1"})
    message = next(call)
    assert message.events[0].resource == name_of("e/after")
    assert message.events[0].seq > created.seq
    call.cancel()


@pytest.mark.parametrize("ahead", [1, 2**31, 2**63, 2**64 - 1])
def test_a_number_past_the_present_is_refused(wire: Wire, ahead: int) -> None:
    call = wire.events.WatchEvents(evt.WatchEventsRequest(), timeout=LIMIT)
    now = next(call).seq
    call.cancel()
    with wire.refused("OUT_OF_RANGE", "SEQ_AHEAD") as metadata:
        request = evt.WatchEventsRequest(after_seq=min(now + ahead, 2**64 - 1))
        next(wire.events.WatchEvents(request, timeout=LIMIT))
    assert int(metadata["last_seq"]) >= now


def test_a_refused_change_leaves_no_event(wire: Wire) -> None:
    wire.push("e/refused", {"a": b"1"})
    call = wire.events.WatchEvents(evt.WatchEventsRequest(), timeout=LIMIT)
    next(call)
    upload = wire.start("e/refused")
    wire.write_file(upload, "a", b"1")
    with wire.refused("INVALID_ARGUMENT", "NAME_INVALID"):
        wire.commit(upload, aliases=["fine", "latest"])
    with wire.refused("ALREADY_EXISTS", "ALREADY_EXISTS"):
        wire.registry.CreateModel(reg.CreateModelRequest(name=name_of("e/refused")), timeout=LIMIT)
    wire.create_build("e/marker")
    assert next(call).events[0].resource == name_of("e/marker")
    call.cancel()


def test_a_quiet_watch_carries_its_position(start_server: Callable[..., Server]) -> None:
    with Wire(start_server("--heartbeat", "0.1")) as wire:
        wire.push("e/quiet", {"a": b"1"})
        call = wire.events.WatchEvents(evt.WatchEventsRequest(), timeout=LIMIT)
        seq = next(call).seq
        assert [(next(call).seq, len(next(call).events)) for _ in range(2)] == [(seq, 0)] * 2
        call.cancel()


def test_numbers_go_on_after_a_restart(start_server: Callable[..., Server]) -> None:
    server = start_server()
    with Wire(server) as wire:
        wire.push("e/restart", {"a": b"1"})
        before = events_until(wire, "version.created", f"{name_of('e/restart')}/versions/1")
    server.kill()
    server.start()
    with Wire(server) as wire:
        wire.push("e/restart", {"a": b"2"})
        after = events_until(wire, "version.created", f"{name_of('e/restart')}/versions/2", before[-1].seq)
        assert [event.kind for event in after] == ["version.created"]
        assert after[0].seq > before[-1].seq
        wait_until(lambda: wire.versions("e/restart") == [2, 1])


def filtered(wire: Wire, text: str, last: str) -> list[str]:
    """Kinds and resources of what a filter lets through, up to the model of that name, which it must let through."""
    found = events_until(wire, "model.created", name_of(last), filter=text)
    return [f"{event.kind} {event.resource.removeprefix('namespaces/')}" for event in found]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('kind == "alias.set" && attributes.version.endsWith("/2")', ["alias.set f/models/a/aliases/prod"]),
        (
            'model == "f/a" && kind.startsWith("version.")',
            [f"version.created f/models/a/versions/{n}" for n in (1, 2)],
        ),
        (
            'model.startsWith("f/") && has(attributes.files) && seq > 3',
            ["version.created f/models/a/versions/2"],
        ),
        # A key that is not there makes it false, however it is asked about.
        ('!(attributes.nothing == "x")', []),
        ('attributes.exists(key, key == "previous_version")', ["alias.set f/models/a/aliases/prod"] * 2),
        ('time < timestamp("2020-01-01T00:00:00Z")', []),
        ('time > timestamp("2020-01-01T00:00:00Z") && kind == "model.created"', ["model.created f/models/a"]),
    ],
)
def test_a_filter_lets_through_what_it_says(server: Server, text: str, expected: list[str]) -> None:
    with Wire(server) as wire:
        wire.push("f/a", {"a": b"1"}, aliases=["prod"])
        second = wire.push("f/a", {"a": b"2"})
        move = reg.SetAliasRequest(name=f"{name_of('f/a')}/aliases/prod", version=second.name)
        wire.registry.SetAlias(move, timeout=LIMIT)
        wire.registry.CreateModel(reg.CreateModelRequest(name=name_of("end/end")), timeout=LIMIT)
        found = filtered(wire, f'({text}) || resource == "{name_of("end/end")}"', "end/end")
        assert found == [*expected, "model.created end/models/end"]


def test_a_stream_is_never_silent_while_all_is_left_out(start_server: Callable[..., Server]) -> None:
    with Wire(start_server("--heartbeat", "0.2")) as wire:
        call = wire.events.WatchEvents(
            evt.WatchEventsRequest(after_seq=0, filter='kind == "x"'), timeout=LIMIT
        )
        seqs = [next(call).seq]
        # Changes come faster than heartbeats are due, so no wait for one ever ends by itself.
        stop = threading.Event()

        def change() -> None:
            number = 0
            while not stop.wait(0.02):
                number += 1
                wire.registry.CreateModel(reg.CreateModelRequest(name=name_of(f"q/m{number}")), timeout=LIMIT)

        changing = threading.Thread(target=change)
        changing.start()
        try:
            for _ in range(3):
                message = next(call)
                assert not message.events
                seqs.append(message.seq)
        finally:
            stop.set()
            changing.join()
        call.cancel()
        assert seqs == sorted(seqs)
        assert seqs[-1] > seqs[1] > 0


@pytest.mark.parametrize(
    ("text", "where"),
    [
        ("kind ==", "column 8"),
        ("kind", "column 1"),
        ("colour == 1", "column 1"),
        ("seq > 'a'", "column 5"),
        ("attributes.all(a, attributes.all(b, attributes.all(c, a + b != c)))", "more than 2"),
        ('kind.replace("a", "aaaa") == "a"', "column 13"),
        (" || ".join(["seq == 1"] * 150), "more than"),
    ],
)
def test_a_filter_that_cannot_be_is_refused_with_its_place(wire: Wire, text: str, where: str) -> None:
    with wire.refused("INVALID_ARGUMENT", "FILTER_INVALID"):
        with pytest.raises(grpc.RpcError, match=where) as caught:
            next(wire.events.WatchEvents(evt.WatchEventsRequest(filter=text), timeout=LIMIT))
        raise caught.value


def test_a_filter_is_at_most_4_kib(wire: Wire) -> None:
    with wire.refused("RESOURCE_EXHAUSTED"):
        request = evt.WatchEventsRequest(filter=f'kind == "{"a" * 4096}"')
        next(wire.events.WatchEvents(request, timeout=LIMIT))

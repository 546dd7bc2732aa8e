"""WebhookService by the wire: what it refuses, repeats and keeps to itself."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import grpc
import pytest
from receiver import Receiver
from server.wire import LIMIT, Wire, name_of
from support import Server, wait_until

from regsvc.catalog import webhooks
from regsvc.catalog.database import Catalog
from regsvc.catalog.webhooks import Try
from regsvc.service.limits import Limits
from regsvc.service.outbox import Outbox
from regsvc.v1 import event_pb2 as evt
from regsvc.v1 import registry_pb2 as reg
from regsvc.v1 import webhook_pb2 as pb
from regsvc.v1 import webhook_pb2_grpc

PUBLIC = "http://192.0.2.1/"
"""Of the documentation's addresses, so not public either: for servers that allow all."""


def stub(wire: Wire) -> webhook_pb2_grpc.WebhookServiceStub:
    return webhook_pb2_grpc.WebhookServiceStub(wire.channel)


def create(
    wire: Wire, name: str, url: str = "https://example.com/", **fields: object
) -> pb.CreateWebhookResponse:
    more = {key: fields.pop(key) for key in ("after_seq", "request_id") if key in fields}
    webhook = pb.Webhook(name=f"webhooks/{name}", url=url, **fields)  # type: ignore[arg-type]
    return stub(wire).CreateWebhook(pb.CreateWebhookRequest(webhook=webhook, **more), timeout=LIMIT)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    "url",
    [
        "",
        "example.com",
        "ftp://example.com/",
        "file:///etc/passwd",
        "http://",
        "http:///path",
        "http://user:secret@example.com/",
        "http://user@example.com/",
        "http://example.com:99999/",
        "http://exa mple.com/",
        "http://example.com/\n",
        "http://example.com\\@127.0.0.1/",
        "http://[::1/",
        "https://example.com/" + "a" * 2048,
        # Addresses that are not allowed, however they are written.
        "http://127.0.0.1/",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f.0.0.1/",
        "http://localhost:8080/",
        "http://[::1]/",
        "http://[::ffff:127.0.0.1]/",
        "http://[64:ff9b::10.0.0.1]/",
        "http://0.0.0.0/",
        "http://10.1.2.3/",
        "http://172.16.0.1/",
        "http://192.168.1.1/",
        "http://100.64.0.1/",
        "http://169.254.169.254/latest/meta-data/",
        "http://[fe80::1]/",
        "http://[fd00::1]/",
        "http://224.0.0.1/",
        "http://255.255.255.255/",
    ],
)
def test_a_url_that_cannot_be_is_refused(wire: Wire, url: str) -> None:
    with wire.refused("INVALID_ARGUMENT", "INVALID_ARGUMENT"):
        create(wire, "bad", url)
    with wire.refused("NOT_FOUND"):
        stub(wire).GetWebhook(pb.GetWebhookRequest(name="webhooks/bad"), timeout=LIMIT)


def test_a_private_address_is_refused_when_it_is_used_too(
    start_server: Callable[..., Server], tmp_path: Path
) -> None:
    with Receiver() as receiver:
        server = start_server("--webhook-allow-private", "1", "--webhook-pace", "1e-6")
        with Wire(server) as wire:
            create(wire, "name", receiver.url.replace("127.0.0.1", "localhost"))
            create(wire, "address", receiver.url)
        server.flags = ("--webhook-pace", "1e-6")
        server.restart()
        receiver.received.clear()
        with Wire(server) as wire:
            wire.create_build("w/model")
            for name in ("name", "address"):
                wait_until(lambda name=name: get(wire, name).disabled)  # type: ignore[misc]
                assert get(wire, name).disabled_reason.endswith("not one that this server sends to")
                sent = stub(wire).TestWebhook(pb.TestWebhookRequest(name=f"webhooks/{name}"), timeout=LIMIT)
                assert sent.delivery.error == "its address is not one that this server sends to"
        assert not receiver.received


def get(wire: Wire, name: str) -> pb.Webhook:
    return stub(wire).GetWebhook(pb.GetWebhookRequest(name=f"webhooks/{name}"), timeout=LIMIT).webhook


def test_the_same_request_has_the_same_answer(wire: Wire) -> None:
    first = create(wire, "twice", request_id="create-1")
    assert create(wire, "twice", request_id="create-1") == first
    with wire.refused("INVALID_ARGUMENT", "REQUEST_ID_REUSED"):
        create(wire, "thrice", request_id="create-1")
    with wire.refused("ALREADY_EXISTS", "ALREADY_EXISTS"):
        create(wire, "twice", request_id="create-2")
    rotate = pb.RotateWebhookSecretRequest(name="webhooks/twice", request_id="rotate-1")
    secret = stub(wire).RotateWebhookSecret(rotate, timeout=LIMIT).secret
    assert stub(wire).RotateWebhookSecret(rotate, timeout=LIMIT).secret == secret != first.secret
    assert create(wire, "twice", request_id="create-1").secret == first.secret
    update = pb.UpdateWebhookRequest(name="webhooks/twice", disabled=True, request_id="update-1")
    changed = stub(wire).UpdateWebhook(update, timeout=LIMIT)
    assert changed.webhook.disabled
    assert stub(wire).UpdateWebhook(update, timeout=LIMIT) == changed
    delete = pb.DeleteWebhookRequest(name="webhooks/twice", request_id="delete-1")
    for _ in range(2):
        stub(wire).DeleteWebhook(delete, timeout=LIMIT)
    with wire.refused("NOT_FOUND", "NOT_FOUND"):
        create(wire, "twice", request_id="create-1")


def test_a_repeated_request_never_gets_the_secret_of_another_webhook(wire: Wire) -> None:
    create(wire, "before", request_id="before-1")
    stub(wire).DeleteWebhook(pb.DeleteWebhookRequest(name="webhooks/before"), timeout=LIMIT)
    create(wire, "after")
    with wire.refused("NOT_FOUND", "NOT_FOUND"):
        create(wire, "before", request_id="before-1")


def test_what_does_not_exist(wire: Wire) -> None:
    calls = stub(wire)
    name = "webhooks/nobody"
    for call, request in (
        (calls.GetWebhook, pb.GetWebhookRequest(name=name)),
        (calls.UpdateWebhook, pb.UpdateWebhookRequest(name=name, disabled=True)),
        (calls.DeleteWebhook, pb.DeleteWebhookRequest(name=name)),
        (calls.RotateWebhookSecret, pb.RotateWebhookSecretRequest(name=name)),
        (calls.ListDeliveries, pb.ListDeliveriesRequest(parent=name)),
        (calls.Redeliver, pb.RedeliverRequest(name=name, seq=1)),
        (calls.TestWebhook, pb.TestWebhookRequest(name=name)),
    ):
        with wire.refused("NOT_FOUND", "NOT_FOUND"):
            call(request, timeout=LIMIT)  # type: ignore[operator]


@pytest.mark.parametrize(
    "name", ["", "webhooks/", "hooks/a", "webhooks/A", "webhooks/a/b", "webhooks/" + "a" * 64]
)
def test_names_that_cannot_be(wire: Wire, name: str) -> None:
    with wire.refused("INVALID_ARGUMENT", "NAME_INVALID"):
        stub(wire).GetWebhook(pb.GetWebhookRequest(name=name), timeout=LIMIT)


def test_a_filter_that_cannot_be(wire: Wire) -> None:
    with wire.refused("INVALID_ARGUMENT", "FILTER_INVALID"):
        create(wire, "filter", filter="kind = 1")
    create(wire, "filter", filter="seq > 1", disabled=True)
    with wire.refused("INVALID_ARGUMENT", "FILTER_INVALID"):
        stub(wire).UpdateWebhook(
            pb.UpdateWebhookRequest(name="webhooks/filter", filter="nothing"), timeout=LIMIT
        )
    assert get(wire, "filter").filter == "seq > 1"


def test_a_start_past_the_present(wire: Wire) -> None:
    with wire.refused("OUT_OF_RANGE", "SEQ_AHEAD"):
        create(wire, "ahead", after_seq=2**64 - 1)


def test_lists_come_in_pages(wire: Wire) -> None:
    for number in range(5):
        create(wire, f"page-{number}", disabled=True)
    found, token = [], ""
    while True:
        page = stub(wire).ListWebhooks(pb.ListWebhooksRequest(page_size=2, page_token=token), timeout=LIMIT)
        assert len(page.webhooks) <= 2
        found += [each.name for each in page.webhooks]
        token = page.next_page_token
        if not token:
            break
    assert found == sorted(found)
    assert {f"webhooks/page-{number}" for number in range(5)} <= set(found)
    with wire.refused("INVALID_ARGUMENT", "PAGE_TOKEN_INVALID"):
        stub(wire).ListWebhooks(pb.ListWebhooksRequest(page_token="x"), timeout=LIMIT)


def test_secrets_are_nowhere_else(start_server: Callable[..., Server]) -> None:
    server = start_server("--webhook-allow-private", "1", "--webhook-pace", "1e-6", "--log-level", "debug")
    with Receiver(lambda handler, _: handler.answer(500)) as receiver, Wire(server) as wire:
        token = "hidden-in-the-url"
        secrets = [create(wire, "one", f"{receiver.url}?key={token}").secret]
        rotate = pb.RotateWebhookSecretRequest(name="webhooks/one")
        secrets.append(stub(wire).RotateWebhookSecret(rotate, timeout=LIMIT).secret)
        wire.registry.CreateModel(reg.CreateModelRequest(name=name_of("w/secret")), timeout=LIMIT)
        wait_until(lambda: get(wire, "one").disabled)
        last = wire.events.WatchEvents(evt.WatchEventsRequest(), timeout=LIMIT)
        now = next(last).seq
        last.cancel()
        events: list[str] = []
        for message in wire.events.WatchEvents(evt.WatchEventsRequest(after_seq=0), timeout=LIMIT):
            events += map(str, message.events)
            if message.seq >= now:
                break
        history = stub(wire).ListDeliveries(pb.ListDeliveriesRequest(parent="webhooks/one"), timeout=LIMIT)
        told = [str(get(wire, "one")), str(history), *events]
    server.stop()
    assert any("webhook.disabled" in each for each in events)
    for secret in secrets:
        assert not any(
            secret in each or secret.removeprefix("whsec_") in each for each in [*told, *server.stderr]
        )
    assert not any(token in each for each in [*events, str(history), *server.stderr])


def test_the_history_is_bounded_by_number_and_by_age(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "MAX_DELIVERIES", 5)
    catalog = Catalog(tmp_path / "catalog")
    try:
        made = catalog.write(lambda tx: webhooks.create(tx, "w", PUBLIC, "", False, 0))
        now = time.time_ns() // 1000
        for seq in range(1, 13):
            at = now - webhooks.KEEP_US * (seq % 2) - 10**6
            each = Try(seq, f"evt_{seq}", at, 1, 200, "", 1, redelivery=False)
            catalog.write(lambda tx, each=each: webhooks.note(tx, made, each))  # type: ignore[misc]

        def seqs(since: int) -> list[int]:
            return [
                found.seq for _, found in catalog.read(lambda db: webhooks.tries(db, made, since, 2**63, 99))
            ]

        assert seqs(0) == [12, 11, 10, 9, 8]
        catalog.write(webhooks.forget_old)
        assert seqs(0) == [12, 10, 8]
    finally:
        catalog.close()


def test_a_clock_that_is_set_back_delays_no_try_beyond_its_pause(tmp_path: Path) -> None:
    catalog = Catalog(tmp_path / "catalog")
    try:
        made = catalog.write(lambda tx: webhooks.create(tx, "w", PUBLIC, "", False, 0))
        an_hour_ahead = time.time_ns() // 1000 + 3600 * 1_000_000
        catalog.write(lambda tx: webhooks.failed(tx, made, an_hour_ahead))
        turn = Outbox(catalog, Limits(), "id", made.id, pace=1).next()
        assert turn is not None
        assert turn.due is None
        assert 0 < turn.wait <= 6
    finally:
        catalog.close()


def test_no_more_than_a_thousand(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(webhooks, "MAX_WEBHOOKS", 2)
    catalog = Catalog(tmp_path / "catalog")
    try:
        for number in range(2):
            catalog.write(lambda tx, number=number: webhooks.create(tx, f"w{number}", PUBLIC, "", False, 0))  # type: ignore[misc]
        with pytest.raises(webhooks.ResourceExhausted):
            catalog.write(lambda tx: webhooks.create(tx, "more", PUBLIC, "", False, 0))
    finally:
        catalog.close()


def test_errors_of_a_call_name_no_url(wire: Wire) -> None:
    with pytest.raises(grpc.RpcError) as caught:
        create(wire, "url", "http://10.0.0.1/?key=hidden")
    assert "hidden" not in str(caught.value)

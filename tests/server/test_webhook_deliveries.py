"""What webhooks are sent, how often, and how targets that misbehave are answered."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from pathlib import Path

import pytest
from receiver import Behaviour, Handler, Received, Receiver
from standardwebhooks import Webhook as Verifier
from support import Server, wait_until

import regsvc
from regsvc.client.client import Client
from regsvc.client.webhooks import Delivery
from regsvc.errors import SeqAhead

ALLOWED = ("--webhook-allow-private", "1")
QUICK = (*ALLOWED, "--webhook-pace", "1e-6")


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Tries again at once."""
    server = Server(tmp_path_factory.mktemp("quick"), *QUICK, "--webhook-timeout", "2").start()
    yield server
    server.stop()


@pytest.fixture
def client(quick: Server) -> Iterator[Client]:
    with regsvc.connect(quick.endpoint) as made:
        yield made
        for each in made.webhooks():
            made.delete_webhook(each.name)


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as made:
        yield made


def make_models(client: Client, namespace: str, count: int) -> None:
    for number in range(count):
        client.build(f"{namespace}/m{number}").finish()


def last_try(client: Client, name: str) -> Delivery:
    found = next(client.deliveries(name), None)
    assert found is not None
    return found


def test_every_event_is_sent_in_order_and_signed(client: Client, receiver: Receiver) -> None:
    _, secret = client.create_webhook("all", receiver.url)
    make_models(client, "order", 3)
    wait_until(lambda: len(receiver.received) == 9)
    assert receiver.seqs == sorted(set(receiver.seqs))
    for each in receiver.received:
        assert each.headers["content-type"] == "application/json"
        told = Verifier(secret).verify(each.body.decode(), dict(each.headers.items()))
        assert told["data"]["seq"] == each.seq
        assert each.headers["webhook-id"].endswith(f"_{each.seq}")
    first = receiver.received[0].document
    assert (first["type"], first["data"]["resource"]) == ("model.created", "namespaces/order/models/m0")
    assert abs(datetime.fromisoformat(first["timestamp"]) - datetime.now(UTC)) < timedelta(minutes=5)
    wait_until(lambda: client.webhook("all").seq == receiver.seqs[-1])
    assert [made.seq for made in client.deliveries("all")] == receiver.seqs[::-1]
    assert {(made.status, made.error, made.number) for made in client.deliveries("all")} == {(204, "", 1)}


def test_a_filter_leaves_out_and_the_position_moves_on(client: Client, receiver: Receiver) -> None:
    client.create_webhook("some", receiver.url, filter='kind == "build.ended"')
    make_models(client, "filtered", 2)
    wait_until(lambda: len(receiver.received) == 2)
    assert {each.document["type"] for each in receiver.received} == {"build.ended"}
    client.update_webhook("some", filter='model == "filtered/none"')
    make_models(client, "filtered", 2)
    sent = receiver.seqs[-1]
    wait_until(lambda: client.webhook("some").seq > sent + 3)
    assert len(receiver.received) == 2


def test_what_has_happened_is_sent_when_asked_for(client: Client, receiver: Receiver) -> None:
    make_models(client, "past", 1)
    client.create_webhook("past", receiver.url, after=0, filter='model == "past/m0"')
    wait_until(lambda: len(receiver.received) == 3)
    with pytest.raises(SeqAhead):
        client.create_webhook("ahead", receiver.url, after=10**6)


def test_failures_are_tried_again_with_the_same_id_until_they_succeed(
    client: Client, receiver: Receiver
) -> None:
    def behaviour(handler: Handler, _: Received) -> None:
        handler.answer(500 if len(receiver.received) <= 3 else 200)

    receiver.behaviour = behaviour
    client.create_webhook("later", receiver.url, filter='kind == "model.created"')
    make_models(client, "again", 2)
    wait_until(lambda: len(receiver.received) == 5)
    first, second = receiver.seqs[0], receiver.seqs[-1]
    assert receiver.seqs == [first] * 4 + [second]
    assert len({each.headers["webhook-id"] for each in receiver.received}) == 2
    wait_until(lambda: client.webhook("later").seq >= second)
    tries = [(made.seq, made.number, made.status, made.error) for made in client.deliveries("later")]
    failed = [(first, number, 500, "HTTP 500") for number in (3, 2, 1)]
    assert tries == [(second, 1, 200, ""), (first, 4, 200, ""), *failed]


def test_after_the_last_try_it_is_disabled_and_enabled_it_goes_on(client: Client, receiver: Receiver) -> None:
    receiver.behaviour = lambda handler, _: handler.answer(503)
    client.create_webhook("hopeless", receiver.url, filter='kind == "model.created"')
    make_models(client, "hopeless", 2)
    wait_until(lambda: client.webhook("hopeless").disabled)
    assert len(receiver.received) == 12
    found = client.webhook("hopeless")
    stopped = receiver.seqs[0]
    assert found.disabled_reason == f"12 tries of event {stopped} failed, the last one with: HTTP 503"
    assert found.seq < stopped
    kinds = (event for event in client.watch(after=stopped, filter='kind == "webhook.disabled"'))
    assert next(kinds).resource == "webhooks/hopeless"
    receiver.behaviour = lambda handler, _: handler.answer(200)
    receiver.received.clear()
    assert not client.update_webhook("hopeless", disabled=False).disabled_reason
    wait_until(lambda: len(receiver.received) == 2)
    assert receiver.seqs[0] == stopped


def test_gone_disables_at_once(client: Client, receiver: Receiver) -> None:
    receiver.behaviour = lambda handler, _: handler.answer(410)
    client.create_webhook("gone", receiver.url)
    make_models(client, "gone", 1)
    wait_until(lambda: client.webhook("gone").disabled)
    assert "410" in client.webhook("gone").disabled_reason
    assert len(receiver.received) == 1


def test_one_that_is_made_again_has_nothing_of_the_one_before(client: Client, receiver: Receiver) -> None:
    client.create_webhook("made", receiver.url, filter='kind == "never"')
    make_models(client, "before", 1)
    client.delete_webhook("made")
    client.create_webhook("made", receiver.url, filter='kind == "model.created"')
    assert not list(client.deliveries("made"))
    make_models(client, "after", 1)
    wait_until(lambda: receiver.received)
    assert [each.document["data"]["resource"] for each in receiver.received] == ["namespaces/after/models/m0"]


def hang(handler: Handler, _: Received) -> None:
    handler.rfile.read(1)


def redirect(handler: Handler, received: Received) -> None:
    handler.answer(302, location=received.path.replace("hook", "elsewhere"))


def nothing(handler: Handler, _: Received) -> None:
    handler.connection.close()


def garbage(handler: Handler, _: Received) -> None:
    handler.wfile.write(b"hello there\r\n\r\n")


def too_short(handler: Handler, _: Received) -> None:
    handler.answer(200, content_length="1000")
    handler.wfile.write(b"ten bytes.")


def too_long(handler: Handler, _: Received) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nmore than three bytes\r\n\r\n")


def nonsense_length(handler: Handler, _: Received) -> None:
    handler.answer(200, content_length="-7")


def endless_body(handler: Handler, _: Received) -> None:
    handler.send_response_only(200)
    handler.end_headers()
    while True:
        handler.wfile.write(bytes(1 << 16))


def endless_headers(handler: Handler, _: Received) -> None:
    handler.wfile.write(b"HTTP/1.1 200 OK\r\n")
    while True:
        handler.wfile.write(b"x: y\r\n" * 1000)


def silent_body(handler: Handler, _: Received) -> None:
    handler.answer(200, content_length="1000")
    handler.rfile.read(1)


@pytest.mark.parametrize(
    ("behaviour", "status", "error"),
    [
        (hang, 0, "no answer within 2 s"),
        (redirect, 302, "HTTP 302: redirects are not followed"),
        (nothing, 0, "it closed the connection without an answer"),
        (garbage, 0, "its answer is not HTTP"),
        (endless_headers, 0, "its answer is not HTTP"),
        (too_long, 0, "its answer is not HTTP"),
        (nonsense_length, 0, "its answer is not HTTP"),
        # The status has come whole: it counts, whatever is wrong with what follows.
        (too_short, 200, ""),
        (endless_body, 200, ""),
        (silent_body, 200, ""),
    ],
)
def test_targets_that_misbehave(
    client: Client, receiver: Receiver, behaviour: Behaviour, status: int, error: str
) -> None:
    receiver.behaviour = behaviour
    client.create_webhook("bad", receiver.url, disabled=True)
    made = client.test_webhook("bad")
    assert (made.status, made.error) == (status, error)
    assert made.duration < timedelta(seconds=10)
    assert [each.path for each in receiver.received] == ["/hook"]


def test_a_target_that_is_not_there(client: Client) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # and does not listen
        client.create_webhook("away", f"http://127.0.0.1:{taken.getsockname()[1]}/", disabled=True)
        assert client.test_webhook("away").error == "the connection is refused"
    client.update_webhook("away", url="http://nowhere.invalid/")
    assert client.test_webhook("away").error == "its name cannot be resolved"
    errors = " ".join(made.error for made in client.deliveries("away"))
    assert "127.0" not in errors
    assert "nowhere" not in errors


def test_a_target_whose_clock_is_an_hour_ahead_is_told_so(client: Client, receiver: Receiver) -> None:
    there = datetime.now(UTC) + timedelta(hours=1)

    def behaviour(handler: Handler, received: Received) -> None:
        age = there.timestamp() - int(received.headers["webhook-timestamp"])
        handler.answer(400 if abs(age) > 300 else 200, date=format_datetime(there, usegmt=True))

    receiver.behaviour = behaviour
    client.create_webhook("early", receiver.url, disabled=True)
    error = client.test_webhook("early").error
    assert error.startswith("HTTP 400; its clock is 3")
    assert error.endswith("s ahead of that of this server")


def test_a_target_that_hangs_holds_up_no_other(start_server: Callable[..., Server]) -> None:
    server = start_server(*ALLOWED, "--webhook-timeout", "600")
    with regsvc.connect(server.endpoint) as client, Receiver(hang) as hanging, Receiver() as fine:
        client.create_webhook("a-hanging", hanging.url)
        wait_until(lambda: not hanging.received)
        client.create_webhook("fine", fine.url, filter='kind != "webhook.created"')
        make_models(client, "held", 5)
        wait_until(lambda: len(fine.received) == 15)
        wait_until(lambda: len(hanging.received) == 1)
        begun = time.monotonic()
        assert server.stop() == 0  # nor the end of the server
        assert time.monotonic() - begun < 30


def test_a_message_is_sent_again_when_asked_for(client: Client, receiver: Receiver) -> None:
    client.create_webhook("again", receiver.url, filter='kind == "model.created"')
    make_models(client, "more", 1)
    wait_until(lambda: len(receiver.received) == 1)
    seq = receiver.seqs[0]
    wait_until(lambda: client.webhook("again").seq >= seq)
    made = client.redeliver("again", seq)
    assert (made.seq, made.status, made.redelivery, made.number) == (seq, 204, True, 2)
    ids = [each.headers["webhook-id"] for each in receiver.received]
    assert ids == [made.webhook_id] * 2
    assert receiver.received[0].body == receiver.received[1].body
    for missing in (10**9, 2**63, 2**64 - 1):
        with pytest.raises(regsvc.NotFound):
            client.redeliver("again", missing)
    receiver.behaviour = lambda handler, _: handler.answer(410)
    assert client.redeliver("again", seq).status == 410
    assert not client.webhook("again").disabled


def test_a_test_goes_to_a_disabled_webhook_too(client: Client, receiver: Receiver) -> None:
    _, secret = client.create_webhook("quiet", receiver.url, disabled=True)
    make_models(client, "quiet", 1)
    made = client.test_webhook("quiet")
    assert (made.seq, made.status, made.error) == (0, 204, "")
    [received] = receiver.received
    assert received.document["type"] == "webhook.test"
    Verifier(secret).verify(received.body.decode(), dict(received.headers.items()))
    assert last_try(client, "quiet") == made


def test_a_new_secret_and_for_a_while_the_old_one(client: Client, receiver: Receiver) -> None:
    _, first = client.create_webhook("rotated", receiver.url, disabled=True)
    second = client.rotate_webhook_secret("rotated")
    assert second != first
    client.test_webhook("rotated")
    headers = receiver.received[-1].headers
    assert len(headers["webhook-signature"].split(" ")) == 2
    for secret in (first, second):
        Verifier(secret).verify(receiver.received[-1].body.decode(), dict(headers.items()))
    third = client.rotate_webhook_secret("rotated", overlap=timedelta(0))
    client.test_webhook("rotated")
    body, headers = receiver.received[-1].body.decode(), receiver.received[-1].headers
    Verifier(third).verify(body, dict(headers.items()))
    Verifier(first).verify(body, dict(headers.items()))  # its day is not over
    with pytest.raises(Exception, match="signature"):
        Verifier(second).verify(body, dict(headers.items()))
    with pytest.raises(regsvc.InvalidArgument):
        client.rotate_webhook_secret("rotated", overlap=timedelta(days=31))


def test_proxies_of_the_environment_are_not_used(start_server: Callable[..., Server]) -> None:
    with Receiver() as target, Receiver() as proxy:
        env = dict.fromkeys(("HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"), proxy.url)
        server = start_server(*ALLOWED, env={**env, "NO_PROXY": "", "no_proxy": ""})
        with regsvc.connect(server.endpoint) as client:
            client.create_webhook("direct", target.url, disabled=True)
            assert client.test_webhook("direct").status == 204
        assert (len(target.received), len(proxy.received)) == (1, 0)


def test_certificates_are_checked(client: Client, tmp_path: Path) -> None:
    with Receiver(certificate=self_signed(tmp_path)) as target:
        client.create_webhook("tls", target.url.replace("127.0.0.1", "localhost"), disabled=True)
        assert client.test_webhook("tls").error == "its certificate is not valid"
        assert not target.received


def self_signed(folder: Path) -> Path:
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .sign(key, hashes.SHA256())
    )
    file = folder / "certificate.pem"
    file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
        + certificate.public_bytes(serialization.Encoding.PEM)
    )
    return file

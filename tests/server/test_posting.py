"""Which addresses messages are sent to: checked for every connection, after names are resolved."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Sequence
from typing import Any

import pytest
from receiver import Receiver

from regsvc.content.signing import new_secret, signed_headers
from regsvc.server.posting import Poster
from regsvc.service.addresses import is_public
from regsvc.service.outgoing import Message
from regsvc.service.webhooks import Outcome

MESSAGE = Message("evt_1", 1, b"{}")
PUBLIC = "93.184.216.34"
REFUSED = "its address is not one that this server sends to"


@pytest.mark.parametrize(
    ("address", "public"),
    [
        (PUBLIC, True),
        ("2606:2800:220:1::1", True),
        ("::ffff:93.184.216.34", True),
        ("127.0.0.1", False),
        ("127.255.0.9", False),
        ("0.0.0.0", False),
        ("10.0.0.1", False),
        ("172.31.255.255", False),
        ("192.168.0.1", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("224.0.0.1", False),
        ("239.1.1.1", False),
        ("240.0.0.1", False),
        ("255.255.255.255", False),
        ("192.0.2.1", False),
        ("::", False),
        ("::1", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("::127.0.0.1", False),
        ("64:ff9b::127.0.0.1", False),
        ("2002:7f00:1::", False),
        ("fe80::1", False),
        ("fe80::1%eth0", False),
        ("fec0::1", False),
        ("fc00::1", False),
        ("ff02::1", False),
        ("localhost", False),
        ("", False),
    ],
)
def test_addresses(address: str, public: bool) -> None:
    assert is_public(address) is public


def resolver(*answers: Sequence[str]) -> tuple[Any, list[str]]:
    """Gives these addresses at the first look, the next ones at the second ... and the names that were asked for."""
    asked: list[str] = []

    def resolve(host: str, port: int, family: int) -> Sequence[Any]:
        asked.append(host)
        found = answers[min(len(asked), len(answers)) - 1]
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (address, port)) for address in found]

    return resolve, asked


def post(url: str, resolve: Any = None, *, check: bool = False, allow_private: bool = False) -> Outcome:
    async def run() -> Outcome:
        poster = Poster(5.0, allow_private=allow_private, resolve=resolve)
        try:
            if check:
                await poster.check(url)
            return await poster.post(url, MESSAGE, [new_secret()])
        finally:
            await poster.close()

    return asyncio.run(run())


def test_a_name_that_is_public_when_checked_and_private_when_used_is_refused() -> None:
    with Receiver() as receiver:
        resolve, asked = resolver([PUBLIC], ["127.0.0.1"])
        url = f"http://rebound.example:{receiver.server_port}/"
        outcome = post(url, resolve, check=True)
        assert (outcome.status, outcome.error) == (0, REFUSED)
        assert (
            asked == ["rebound.example"] * 2
        )  # and not a third time: what is checked is what is connected to
        assert not receiver.received


def test_an_address_in_the_url_is_not_resolved_and_refused_all_the_same() -> None:
    with Receiver() as receiver:
        resolve, asked = resolver([PUBLIC])
        for host in ("127.0.0.1", "[::ffff:127.0.0.1]"):
            outcome = post(f"http://{host}:{receiver.server_port}/", resolve)
            assert (outcome.status, outcome.error) == (0, REFUSED)
        assert not asked
        assert not receiver.received


def test_what_the_resolver_lets_through_the_socket_does_not(monkeypatch: pytest.MonkeyPatch) -> None:
    with Receiver() as receiver:
        monkeypatch.setattr("regsvc.server.posting._Resolver.__init__", _open)
        resolve, _ = resolver(["127.0.0.1"])
        outcome = post(f"http://rebound.example:{receiver.server_port}/", resolve)
        assert (outcome.status, outcome.error) == (0, REFUSED)
        assert not receiver.received


def _open(self: Any, resolve: Any, *, allow_private: bool) -> None:
    from regsvc.server.workers import Workers

    self._resolve, self._allow_private, self._workers = resolve, True, Workers("names", 1)


def test_private_addresses_are_used_when_the_operator_says_so() -> None:
    with Receiver() as receiver:
        resolve, _ = resolver(["127.0.0.1"])
        assert post(f"http://inside:{receiver.server_port}/", resolve, allow_private=True).status == 204


def test_only_public_addresses_of_a_name_are_tried() -> None:
    async def run() -> list[Any]:
        resolve, _ = resolver(["127.0.0.1", PUBLIC, "10.0.0.1"])
        poster = Poster(5.0, allow_private=False, resolve=resolve)
        return [each["host"] for each in await poster._resolver.resolve("mixed.example", 80)]

    assert asyncio.run(run()) == [PUBLIC]


def test_signatures_are_those_of_the_specification() -> None:
    """The example of https://github.com/standard-webhooks/standard-webhooks, which its libraries test with."""
    headers = signed_headers(
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        "msg_p5jXN8AQM9LWM0D4loKWxJek",
        1614265330,
        b'{"test": 2432232314}',
    )
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="

"""`regsvc webhook`: every command, for people and as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable

from receiver import Receiver
from support import Server, wait_until

import regsvc


def test_a_webhook_from_beginning_to_end(start_server: Callable[..., Server]) -> None:
    server = start_server("--webhook-allow-private", "1")
    with Receiver() as receiver:
        wanted = 'kind == "model.created"'
        created = server.cli("webhook", "create", "chat", receiver.url, "--filter", wanted)
        assert created.stdout.startswith("whsec_")
        assert "delivered: HTTP 204" in server.cli("webhook", "test", "chat").stdout
        with regsvc.connect(server.endpoint) as client:
            client.build("team/a").finish()
        wait_until(lambda: len(receiver.received) == 2)
        seq = receiver.seqs[1]
        wait_until(lambda: json.loads(server.cli("webhook", "show", "chat", "--json").stdout)["seq"] >= seq)
        again = json.loads(server.cli("webhook", "redeliver", "chat", str(seq), "--json").stdout)
        assert (again["seq"], again["status"], again["redelivery"], again["error"]) == (seq, 204, True, "")
        history = json.loads(server.cli("webhook", "deliveries", "chat", "--json").stdout)
        assert [each["seq"] for each in history] == [seq, seq, 0]
        assert "again" in server.cli("webhook", "deliveries", "chat", "--limit", "1").stdout
        assert server.cli("webhook", "rotate", "chat").stdout.startswith("whsec_")
        changed = server.cli("webhook", "update", "chat", "--disable", "--filter", "", "--json").stdout
        assert json.loads(changed)["disabled"] is True
        assert json.loads(changed)["filter"] == ""
        assert "disabled" in server.cli("webhook", "ls").stdout
        [listed] = json.loads(server.cli("webhook", "ls", "--json").stdout)
        assert (listed["name"], listed["url"]) == ("chat", receiver.url)
        receiver.behaviour = lambda handler, _: handler.answer(500)
        failed = server.cli("webhook", "test", "chat", check=False)
        assert (failed.returncode, failed.stderr) == (1, "regsvc: not delivered: HTTP 500\n")
        server.cli("webhook", "rm", "chat")
        assert server.cli("webhook", "show", "chat", check=False).returncode == 1


def test_a_private_url_is_one_line_and_status_1(server: Server) -> None:
    done = server.cli("webhook", "create", "inside", "http://localhost:9/", check=False)
    assert done.returncode == 1
    assert done.stderr == "regsvc: the URL leads to an address that this server does not send to\n"

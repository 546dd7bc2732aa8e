"""Webhooks: made, changed, listed; and what to do with the outcome of a try."""

from __future__ import annotations

import random
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlsplit

from regsvc.catalog import events, requests, webhooks
from regsvc.catalog.database import Catalog, Reader, Transaction, now_us
from regsvc.catalog.requests import Request
from regsvc.catalog.webhooks import Try, Webhook
from regsvc.content.signing import new_secret
from regsvc.errors import InvalidArgument
from regsvc.service import outgoing
from regsvc.service.eventfilter import EventFilter
from regsvc.service.events import check_start
from regsvc.service.limits import Limits
from regsvc.service.outgoing import Message
from regsvc.service.paging import Page, Pager, PageRequest

MAX_URL_BYTES = 2_048
DAY_US = 24 * 3600 * 1_000_000
MAX_OVERLAP_US = 30 * DAY_US
GONE = 410
PAUSES = (5, 5 * 60, 30 * 60, 2 * 3600, 5 * 3600, *[10 * 3600] * 6)
"""Seconds after each failed try but the last: 12 tries within about three days."""
MAX_TRIES = len(PAUSES) + 1
JITTER = 0.2
"""Pauses are longer or shorter by up to this part, so that what failed together does not come back together."""


@dataclass(frozen=True)
class Outcome:
    """What came of sending a message."""

    at: int
    duration_us: int
    status: int
    """Of HTTP; 0 when there was none."""
    error: str
    """Why it counts as failed, for people: no address, no text of a foreign error. Empty when it is a success."""


@dataclass(frozen=True)
class Addressed:
    """What is needed to send something to a webhook."""

    webhook: Webhook
    secrets: Sequence[str]
    message: Message


class Webhooks:
    """What `WebhookService` does, but for sending."""

    def __init__(self, catalog: Catalog, pager: Pager, limits: Limits, store_id: str):
        self._catalog = catalog
        self._pager = pager
        self._limits = limits
        self._store_id = store_id

    def create(
        self, name: str, url: str, filter: str, disabled: bool, after: int | None, request: Request
    ) -> tuple[Webhook, str]:
        """The webhook and its secret. Errors as CreateWebhook documents."""
        self._check(url, filter)

        def create(tx: Transaction) -> tuple[Webhook, str]:
            known = requests.replay(tx, request)
            if known is not None:
                return webhooks.made_with(tx, int(known))
            if after is not None:
                check_start(tx, after)
            made = webhooks.create(tx, name, url, filter, disabled, after)
            return made, self._new_secret(tx, made, 0, request)

        return self._catalog.write(create)

    def get(self, name: str) -> Webhook:
        """Raises `NotFound`."""
        return self._catalog.read(lambda db: webhooks.find(db, name))

    def list(self, request: PageRequest) -> Page[Webhook]:
        """By name."""

        def fetch(after: str, limit: int) -> list[Webhook]:
            return self._catalog.read(lambda db: webhooks.page(db, after, limit))

        def weigh(found: Webhook) -> int:
            return len(found.url) + len(found.filter) + len(found.disabled_reason) + 200

        return self._pager.page(request, "webhooks", "", fetch, lambda found: found.name, weigh)

    def update(
        self, name: str, url: str | None, filter: str | None, disabled: bool | None, request: Request
    ) -> Webhook:
        """Errors as UpdateWebhook documents."""
        self._check(url, filter)

        def update(tx: Transaction) -> Webhook:
            if requests.replay(tx, request) is None:
                webhooks.update(tx, webhooks.find(tx, name), url, filter, disabled)
                requests.remember(tx, request, name)
            return webhooks.find(tx, name)

        return self._catalog.write(update)

    def delete(self, name: str, request: Request) -> None:
        """Raises `NotFound`."""

        def delete(tx: Transaction) -> None:
            if requests.replay(tx, request) is None:
                webhooks.delete(tx, webhooks.find(tx, name))
                requests.remember(tx, request, name)

        self._catalog.write(delete)

    def rotate(self, name: str, overlap_us: int, request: Request) -> str:
        """The new secret. Errors as RotateWebhookSecret documents."""
        if not 0 <= overlap_us <= MAX_OVERLAP_US:
            raise InvalidArgument("an overlap is 0 to 30 days")

        def rotate(tx: Transaction) -> str:
            known = requests.replay(tx, request)
            if known is not None:
                return webhooks.made_with(tx, int(known))[1]
            return self._new_secret(tx, webhooks.find(tx, name), overlap_us, request)

        return self._catalog.write(rotate)

    def deliveries(self, name: str, request: PageRequest) -> Page[Try]:
        """Newest first. Raises `NotFound`, `PageTokenInvalid`."""
        found = self.get(name)
        since = now_us() - webhooks.KEEP_US

        def fetch(before: int, limit: int) -> list[tuple[int, Try]]:
            return self._catalog.read(lambda db: webhooks.tries(db, found, since, before, limit))

        page = self._pager.page(
            request,
            f"deliveries:{found.id}",
            sys.maxsize,
            fetch,
            lambda item: item[0],
            lambda item: len(item[1].error) + 200,
        )
        return Page([made for _, made in page.items], page.next_token)

    def redelivery(self, name: str, seq: int) -> Addressed:
        """An event to be sent again. Raises `NotFound`."""

        def read(db: Reader) -> Addressed:
            found = webhooks.find(db, name)
            message = outgoing.of_event(events.find(db, seq), self._store_id)
            return Addressed(found, webhooks.secrets(db, found.id, now_us()), message)

        return self._catalog.read(read)

    def test(self, name: str) -> Addressed:
        """A test to be sent. Raises `NotFound`."""

        def read(db: Reader) -> Addressed:
            found = webhooks.find(db, name)
            return Addressed(
                found, webhooks.secrets(db, found.id, now_us()), outgoing.of_test(found.wire, now_us())
            )

        return self._catalog.read(read)

    def note(self, sent: Addressed, outcome: Outcome) -> Try:
        """Keep what came of a test or a redelivery."""

        def note(tx: Transaction) -> Try:
            seq = sent.message.seq
            made = _try(sent, outcome, webhooks.tries_of(tx, sent.webhook, seq) + 1 if seq else 1)
            made = replace(made, redelivery=bool(seq))
            webhooks.note(tx, sent.webhook, made)
            return made

        return self._catalog.write(note)

    def settle(self, sent: Addressed, outcome: Outcome, pace: float) -> None:
        """Move on after the try of the event that was next, or say when to try it again, or give up.

        `pace` is a factor on the pauses.
        """
        webhook, tries = sent.webhook, sent.webhook.failed_tries + 1

        def settle(tx: Transaction) -> None:
            webhooks.note(tx, webhook, _try(sent, outcome, tries))
            if not outcome.error:
                webhooks.move(tx, webhook, sent.message.seq)
            elif outcome.status == GONE:
                webhooks.disable(tx, webhook, "it answered HTTP 410, Gone")
            elif tries >= MAX_TRIES:
                reason = (
                    f"{tries} tries of event {sent.message.seq} failed, the last one with: {outcome.error}"
                )
                webhooks.disable(tx, webhook, reason)
            else:
                pause = pause_after(tries) * pace * random.uniform(1 - JITTER, 1 + JITTER)
                webhooks.failed(tx, webhook, tx.now + int(pause * 1_000_000))

        self._catalog.write(settle)

    def enabled(self) -> Sequence[int]:
        """Ids of those that want events."""
        return self._catalog.read(webhooks.enabled)

    def forget_old(self) -> None:
        """Drop what is older than the promise."""
        self._catalog.write(webhooks.forget_old)

    def _check(self, url: str | None, filter: str | None) -> None:
        if url is not None:
            check_url(url)
        if filter is not None:
            EventFilter(filter, self._limits)

    @staticmethod
    def _new_secret(tx: Transaction, webhook: Webhook, overlap_us: int, request: Request) -> str:
        secret = new_secret()
        # The request is remembered by the secret's number: the secret itself stays in one table.
        requests.remember(tx, request, str(webhooks.add_secret(tx, webhook, secret, overlap_us)))
        return secret


def pause_after(tries: int) -> float:
    """Seconds to wait after so many failed tries, at a pace of 1 and without jitter."""
    return PAUSES[min(tries, len(PAUSES)) - 1] if tries else 0.0


def check_url(url: str) -> None:
    """Raises `InvalidArgument`; what the URL says is not repeated, as it may hold a secret."""
    if not 0 < len(url.encode("utf-8", "replace")) <= MAX_URL_BYTES:
        raise InvalidArgument(f"a URL has 1 to {MAX_URL_BYTES} bytes", limit=MAX_URL_BYTES)
    if not url.isprintable() or " " in url or "\\" in url:
        raise InvalidArgument("a URL has no spaces, control characters and backslashes")
    try:
        parts = urlsplit(url)
        host, _ = parts.hostname, parts.port
    except ValueError:
        raise InvalidArgument("the URL cannot be read") from None
    if parts.scheme not in ("http", "https"):
        raise InvalidArgument("a webhook's URL begins with http:// or https://")
    if "@" in parts.netloc:
        raise InvalidArgument("a webhook's URL has no user and password: messages are signed")
    if not host:
        raise InvalidArgument("the URL names no host")


def _try(sent: Addressed, outcome: Outcome, number: int) -> Try:
    return Try(
        sent.message.seq,
        sent.message.id,
        outcome.at,
        outcome.duration_us,
        outcome.status,
        outcome.error,
        number,
        redelivery=False,
    )

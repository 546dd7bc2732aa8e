"""Where events are sent."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from regsvc.client import webhooks
from regsvc.client.verbs.connections import Connections
from regsvc.client.webhooks import Delivery, Webhook


class Webhooks(Connections):
    """Those methods of `Client`."""

    def create_webhook(
        self, name: str, url: str, *, filter: str = "", after: int | None = None, disabled: bool = False
    ) -> tuple[Webhook, str]:
        """Send events to `url` from now on, or those after event number `after`; gives the secret, this once.

        `filter` is a CEL condition on events. Raises `InvalidArgument` (a URL that the server does not send to),
        `FilterInvalid`, `AlreadyExists`, `SeqAhead`, `EventsGone`, `ResourceExhausted`.
        """
        return webhooks.create(self._connection(None), name, url, filter, after, disabled)

    def webhook(self, name: str) -> Webhook:
        """One webhook. Raises `NotFound`."""
        return webhooks.get(self._connection(None), name)

    def webhooks(self) -> Iterator[Webhook]:
        """All, by name."""
        return webhooks.list_all(self._connection(None))

    def update_webhook(
        self, name: str, *, url: str | None = None, filter: str | None = None, disabled: bool | None = None
    ) -> Webhook:
        """Change what is not None; enabled again, it goes on with the event that it stopped at.

        Raises `NotFound`, `InvalidArgument`, `FilterInvalid`.
        """
        return webhooks.update(self._connection(None), name, url, filter, disabled)

    def delete_webhook(self, name: str) -> None:
        """With its history. Raises `NotFound`."""
        webhooks.delete(self._connection(None), name)

    def rotate_webhook_secret(self, name: str, *, overlap: timedelta = timedelta(days=1)) -> str:
        """A new secret; for so long messages are signed with the old one too. Raises `NotFound`, `InvalidArgument`."""
        return webhooks.rotate(self._connection(None), name, overlap)

    def deliveries(self, name: str) -> Iterator[Delivery]:
        """What was tried in the last 30 days, newest first. Raises `NotFound`."""
        return webhooks.deliveries(self._connection(None), name)

    def redeliver(self, name: str, seq: int) -> Delivery:
        """Send an event again, now; gives what came of it. Raises `NotFound`."""
        return webhooks.redeliver(self._connection(None), name, seq)

    def test_webhook(self, name: str) -> Delivery:
        """Send a message of kind `webhook.test`, now; gives what came of it. Raises `NotFound`."""
        return webhooks.test(self._connection(None), name)

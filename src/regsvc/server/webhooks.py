"""WebhookService."""

from __future__ import annotations

from google.protobuf.duration_pb2 import Duration

from regsvc import refs
from regsvc.catalog.webhooks import Try, Webhook
from regsvc.server import convert
from regsvc.server.context import Context
from regsvc.server.posting_later import PosterLater
from regsvc.server.workers import Workers
from regsvc.service.app import RegistryApp
from regsvc.service.webhooks import DAY_US, Addressed, check_url
from regsvc.v1 import webhook_pb2 as pb
from regsvc.v1 import webhook_pb2_grpc
from regsvc.wire.values import timestamp


class WebhookServicer(webhook_pb2_grpc.WebhookServiceServicer):
    """Where events go."""

    def __init__(self, app: RegistryApp, control: Workers, poster: PosterLater):
        self._webhooks = app.webhooks
        self._run = control.run
        self._poster = poster

    async def CreateWebhook(
        self, request: pb.CreateWebhookRequest, context: Context
    ) -> pb.CreateWebhookResponse:
        wanted = request.webhook
        name = refs.webhook_from_wire(wanted.name)
        await self._check(wanted.url)
        made, secret = await self._run(
            self._webhooks.create,
            name,
            wanted.url,
            wanted.filter,
            wanted.disabled,
            request.after_seq if request.HasField("after_seq") else None,
            convert.request_of(request, "CreateWebhook"),
        )
        return pb.CreateWebhookResponse(webhook=_webhook(made), secret=secret)

    async def GetWebhook(self, request: pb.GetWebhookRequest, context: Context) -> pb.GetWebhookResponse:
        found = await self._run(self._webhooks.get, refs.webhook_from_wire(request.name))
        return pb.GetWebhookResponse(webhook=_webhook(found))

    async def ListWebhooks(
        self, request: pb.ListWebhooksRequest, context: Context
    ) -> pb.ListWebhooksResponse:
        page = await self._run(self._webhooks.list, convert.page_request(request))
        return pb.ListWebhooksResponse(webhooks=map(_webhook, page.items), next_page_token=page.next_token)

    async def UpdateWebhook(
        self, request: pb.UpdateWebhookRequest, context: Context
    ) -> pb.UpdateWebhookResponse:
        name = refs.webhook_from_wire(request.name)
        url = request.url if request.HasField("url") else None
        if url is not None:
            await self._check(url)
        changed = await self._run(
            self._webhooks.update,
            name,
            url,
            request.filter if request.HasField("filter") else None,
            request.disabled if request.HasField("disabled") else None,
            convert.request_of(request, "UpdateWebhook"),
        )
        return pb.UpdateWebhookResponse(webhook=_webhook(changed))

    async def DeleteWebhook(
        self, request: pb.DeleteWebhookRequest, context: Context
    ) -> pb.DeleteWebhookResponse:
        name = refs.webhook_from_wire(request.name)
        await self._run(self._webhooks.delete, name, convert.request_of(request, "DeleteWebhook"))
        return pb.DeleteWebhookResponse()

    async def RotateWebhookSecret(
        self, request: pb.RotateWebhookSecretRequest, context: Context
    ) -> pb.RotateWebhookSecretResponse:
        overlap = request.overlap
        secret = await self._run(
            self._webhooks.rotate,
            refs.webhook_from_wire(request.name),
            overlap.seconds * 1_000_000 + overlap.nanos // 1000 if request.HasField("overlap") else DAY_US,
            convert.request_of(request, "RotateWebhookSecret"),
        )
        return pb.RotateWebhookSecretResponse(secret=secret)

    async def ListDeliveries(
        self, request: pb.ListDeliveriesRequest, context: Context
    ) -> pb.ListDeliveriesResponse:
        name = refs.webhook_from_wire(request.parent)
        page = await self._run(self._webhooks.deliveries, name, convert.page_request(request))
        return pb.ListDeliveriesResponse(
            deliveries=map(_delivery, page.items), next_page_token=page.next_token
        )

    async def Redeliver(self, request: pb.RedeliverRequest, context: Context) -> pb.RedeliverResponse:
        name = refs.webhook_from_wire(request.name)
        return pb.RedeliverResponse(
            delivery=await self._send(await self._run(self._webhooks.redelivery, name, request.seq))
        )

    async def TestWebhook(self, request: pb.TestWebhookRequest, context: Context) -> pb.TestWebhookResponse:
        name = refs.webhook_from_wire(request.name)
        return pb.TestWebhookResponse(delivery=await self._send(await self._run(self._webhooks.test, name)))

    async def _check(self, url: str) -> None:
        """Raises `InvalidArgument`."""
        check_url(url)
        await self._poster.check(url)

    async def _send(self, what: Addressed) -> pb.Delivery:
        outcome = await self._poster.post(what.webhook.url, what.message, what.secrets)
        return _delivery(await self._run(self._webhooks.note, what, outcome))


def _webhook(found: Webhook) -> pb.Webhook:
    return pb.Webhook(
        name=found.wire,
        url=found.url,
        filter=found.filter,
        disabled=found.disabled,
        disabled_reason=found.disabled_reason,
        seq=found.seq,
        failed_tries=found.failed_tries,
        next_try_time=timestamp(found.next_try_at) if found.next_try_at else None,
        create_time=timestamp(found.created_at),
    )


def _delivery(made: Try) -> pb.Delivery:
    return pb.Delivery(
        seq=made.seq,
        webhook_id=made.message_id,
        time=timestamp(made.at),
        duration=Duration(seconds=made.duration_us // 1_000_000, nanos=made.duration_us % 1_000_000 * 1000),
        status=made.status,
        error=made.error,
        redelivery=made.redelivery,
        **{"try": made.number},
    )

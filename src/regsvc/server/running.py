"""Start a server, serve, drain, stop."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection

from regsvc.server.accesslog import AccessLogInterceptor
from regsvc.server.activity import Activity
from regsvc.server.admission import Admission
from regsvc.server.artifacts import ArtifactServicer
from regsvc.server.automation import Automation
from regsvc.server.builds import BuildServicer
from regsvc.server.capabilities import CapabilitiesServicer
from regsvc.server.compare import CompareServicer
from regsvc.server.config import ServerConfig
from regsvc.server.datasets import DatasetServicer
from regsvc.server.deployments import DeploymentServicer
from regsvc.server.dispatch import Dispatcher
from regsvc.server.events import EventServicer
from regsvc.server.framing import BulkFraming
from regsvc.server.hub import Hub
from regsvc.server.interceptors import ErrorInterceptor
from regsvc.server.lifecycle import LifecycleServicer
from regsvc.server.lineage import LineageServicer
from regsvc.server.metrics import MetricServicer
from regsvc.server.posting_later import PosterLater
from regsvc.server.promotions import PromotionServicer
from regsvc.server.records import RecordServicer
from regsvc.server.registry import RegistryServicer
from regsvc.server.runners import RunnerServicer
from regsvc.server.search import SearchServicer
from regsvc.server.stalls import StallInterceptor
from regsvc.server.templates import TemplateServicer
from regsvc.server.transfer import TransferServicer
from regsvc.server.webhooks import WebhookServicer
from regsvc.server.workers import Workers
from regsvc.service.app import RegistryApp
from regsvc.v1 import (
    artifact_pb2,
    artifact_pb2_grpc,
    build_pb2,
    build_pb2_grpc,
    capabilities_pb2,
    capabilities_pb2_grpc,
    compare_pb2,
    compare_pb2_grpc,
    dataset_pb2,
    dataset_pb2_grpc,
    deployment_pb2,
    deployment_pb2_grpc,
    event_pb2,
    event_pb2_grpc,
    lifecycle_pb2,
    lifecycle_pb2_grpc,
    lineage_pb2,
    lineage_pb2_grpc,
    metric_pb2,
    metric_pb2_grpc,
    promotion_pb2,
    promotion_pb2_grpc,
    record_pb2,
    record_pb2_grpc,
    registry_pb2,
    registry_pb2_grpc,
    runner_pb2,
    runner_pb2_grpc,
    search_pb2,
    search_pb2_grpc,
    template_pb2,
    template_pb2_grpc,
    transfer_pb2,
    transfer_pb2_grpc,
    webhook_pb2,
    webhook_pb2_grpc,
)

log = logging.getLogger(__name__)

SERVICES = tuple(
    module.DESCRIPTOR.services_by_name[name].full_name
    for module, name in (
        (artifact_pb2, "ArtifactService"),
        (build_pb2, "BuildService"),
        (capabilities_pb2, "CapabilitiesService"),
        (compare_pb2, "CompareService"),
        (dataset_pb2, "DatasetService"),
        (deployment_pb2, "DeploymentService"),
        (event_pb2, "EventService"),
        (lifecycle_pb2, "LifecycleService"),
        (lineage_pb2, "LineageService"),
        (metric_pb2, "MetricService"),
        (promotion_pb2, "PromotionService"),
        (record_pb2, "RecordService"),
        (registry_pb2, "RegistryService"),
        (runner_pb2, "RunnerService"),
        (search_pb2, "SearchService"),
        (transfer_pb2, "TransferService"),
        (template_pb2, "TemplateService"),
        (webhook_pb2, "WebhookService"),
    )
)

READ_THREADS = 2
"""Threads for calls that read a few rows. With 32 of them GetVersion is a third slower, as they take turns with the
interpreter; with one it is no faster, and would wait for each other."""
READS_TOGETHER = 16

WEBHOOK_GRACE = 2.0
"""Seconds that webhooks under way get when all else has ended; what is cut off is sent again."""

_OPTIONS = [
    # Two servers on one port by mistake must fail, not share it silently (grpc#10755).
    ("grpc.so_reuseport", 0),
    ("grpc.max_receive_message_length", 4 << 20),
    # Clients behind NATs ping every 30 s; C-core's default would answer with GOAWAY too_many_pings.
    ("grpc.http2.min_ping_interval_without_data_ms", 10_000),
    ("grpc.keepalive_permit_without_calls", 1),
    # A peer that vanished without a word is noticed within 80 s.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
]


class CannotListen(RuntimeError):
    """The address is in use or not ours."""


async def serve(config: ServerConfig, app: RegistryApp, ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT, then drain. Calls `ready` with the address once calls are taken."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    hub, activity = Hub(loop), Activity()
    app.catalog.on_commit(hub.publish)
    bulk, control = Workers("bulk", config.bulk_threads), Workers("control", config.control_threads)
    # Followers have threads of their own: however many they are, a publisher never waits behind them.
    tails = Workers("tails", config.tail_threads)
    reads = Workers("reads", READ_THREADS, together=READS_TOGETHER)
    uploads, downloads = (Admission(config.max_bulk_streams, config.bulk_wait) for _ in range(2))
    server = grpc.aio.server(
        interceptors=[
            AccessLogInterceptor(),
            ErrorInterceptor(),
            StallInterceptor(config.stall_timeout),
            BulkFraming(),
        ],
        options=[*_OPTIONS, *_age_options(config.max_connection_age)],
        maximum_concurrent_rpcs=config.max_concurrent_rpcs,
    )
    checks = health.aio.HealthServicer()
    artifact_pb2_grpc.add_ArtifactServiceServicer_to_server(
        ArtifactServicer(app, bulk, control, hub, activity, uploads, downloads), server
    )
    build_pb2_grpc.add_BuildServiceServicer_to_server(
        BuildServicer(app, control, tails, hub, config.heartbeat), server
    )
    registry_pb2_grpc.add_RegistryServiceServicer_to_server(RegistryServicer(app, control, reads), server)
    search_pb2_grpc.add_SearchServiceServicer_to_server(SearchServicer(app, control), server)
    lifecycle_pb2_grpc.add_LifecycleServiceServicer_to_server(LifecycleServicer(app, control), server)
    lineage_pb2_grpc.add_LineageServiceServicer_to_server(LineageServicer(app, control), server)
    metric_pb2_grpc.add_MetricServiceServicer_to_server(MetricServicer(app, control, bulk), server)
    promotion_pb2_grpc.add_PromotionServiceServicer_to_server(PromotionServicer(app, control), server)
    dataset_pb2_grpc.add_DatasetServiceServicer_to_server(DatasetServicer(app, control), server)
    compare_pb2_grpc.add_CompareServiceServicer_to_server(CompareServicer(app, bulk), server)
    record_pb2_grpc.add_RecordServiceServicer_to_server(RecordServicer(app, bulk, control, uploads), server)
    deployment_pb2_grpc.add_DeploymentServiceServicer_to_server(
        DeploymentServicer(app, control, tails, hub, config.heartbeat), server
    )
    event_pb2_grpc.add_EventServiceServicer_to_server(
        EventServicer(app, tails, hub, config.heartbeat), server
    )
    transfer_pb2_grpc.add_TransferServiceServicer_to_server(
        TransferServicer(app, bulk, control, downloads), server
    )
    template_pb2_grpc.add_TemplateServiceServicer_to_server(TemplateServicer(app, control), server)
    runner_pb2_grpc.add_RunnerServiceServicer_to_server(
        RunnerServicer(app, control, tails, hub, config.heartbeat), server
    )
    poster = PosterLater(config.webhook_timeout, allow_private=config.webhook_allow_private)
    dispatcher = Dispatcher(app, hub, poster, config.webhook_pace)
    webhook_pb2_grpc.add_WebhookServiceServicer_to_server(WebhookServicer(app, control, poster), server)
    capabilities_pb2_grpc.add_CapabilitiesServiceServicer_to_server(
        CapabilitiesServicer(app, config.heartbeat), server
    )
    health_pb2_grpc.add_HealthServicer_to_server(checks, server)
    reflection.enable_server_reflection((*SERVICES, health.SERVICE_NAME, reflection.SERVICE_NAME), server)
    address = _bind(server, config.listen)
    await server.start()
    for name in ("", *SERVICES):
        await checks.set(name, health_pb2.HealthCheckResponse.SERVING)
    automation = Automation(app, hub)
    dispatcher.start()
    automation.start()
    log.info("serving", extra={"address": address})
    ready(address)
    await stop.wait()
    await _drain(server, checks, hub, activity, config.grace)
    await automation.stop()
    await dispatcher.stop(WEBHOOK_GRACE)
    await poster.close()
    app.uploads.stop()
    app.collector.stop()
    for workers in (bulk, control, tails, reads):
        workers.close()


def _age_options(seconds: float) -> list[tuple[str, int]]:
    """A connection of that age takes no new calls, and after as long again those that are left are cut off."""
    milliseconds = int(seconds * 1000)
    names = ("grpc.max_connection_age_ms", "grpc.max_connection_age_grace_ms")
    return [(name, milliseconds) for name in names] if milliseconds else []


def _bind(server: grpc.aio.Server, listen: str) -> str:
    try:
        port = server.add_insecure_port(listen)
    except RuntimeError as error:
        raise CannotListen(
            f"cannot listen on {listen}: the address is in use or not of this machine"
        ) from error
    if listen.startswith("unix:"):
        return listen
    return f"{listen.rpartition(':')[0]}:{port}"


async def _drain(
    server: grpc.aio.Server, checks: health.aio.HealthServicer, hub: Hub, activity: Activity, grace: float
) -> None:
    """Health first, so that balancers turn away; then tails and watches; uploads in flight get the grace period."""
    log.info("draining")
    await checks.enter_graceful_shutdown()
    hub.drain()
    await activity.settle(grace)
    await server.stop(min(grace, 2.0))
    log.info("stopped")

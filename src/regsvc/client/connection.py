"""One connection to a regsvc server: the stubs, unary calls that outlast a restart, errors as our classes."""

from __future__ import annotations

import threading
import weakref
from types import TracebackType
from typing import TYPE_CHECKING, Any

import grpc
import grpc.experimental
from google.rpc import error_details_pb2
from grpc_status import rpc_status

from regsvc import bulk, errors
from regsvc.client.resume import DEFAULT_PATIENCE, Patience, is_transient
from regsvc.v1 import (
    artifact_pb2,
    artifact_pb2_grpc,
    build_pb2_grpc,
    capabilities_pb2,
    capabilities_pb2_grpc,
    compare_pb2_grpc,
    dataset_pb2_grpc,
    deployment_pb2_grpc,
    event_pb2_grpc,
    lineage_pb2_grpc,
    metric_pb2_grpc,
    promotion_pb2_grpc,
    record_pb2_grpc,
    registry_pb2_grpc,
    runner_pb2_grpc,
    search_pb2_grpc,
    template_pb2_grpc,
    webhook_pb2_grpc,
)
from regsvc.version import __version__

if TYPE_CHECKING:
    from collections.abc import Callable

FIRST_CONTACT = 5.0
"""Seconds to wait for a server that has never answered: a wrong address should not take a minute to tell."""

_OPTIONS = (
    ("grpc.primary_user_agent", f"regsvc-python/{__version__}"),
    ("grpc.max_receive_message_length", 8 << 20),
    ("grpc.max_send_message_length", 8 << 20),
    ("grpc.keepalive_time_ms", 30_000),
    ("grpc.keepalive_timeout_ms", 15_000),
    ("grpc.http2.max_pings_without_data", 0),
    # We resume by ourselves; transparent retries would buffer what a stream has sent.
    ("grpc.enable_retries", 0),
    # gRPC's own reconnect waits grow to two minutes, longer than a server takes to restart.
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.max_reconnect_backoff_ms", 2_000),
    # Channels with equal options would share one TCP connection otherwise, and its flow control.
    ("grpc.use_local_subchannel_pool", 1),
)

_BULK_OPTIONS = (
    *_OPTIONS,
    # The thread that reads a stream of answers also polls for them: no hand-over for every message.
    (grpc.experimental.ChannelOptions.SingleThreadedUnaryStream, 1),
)

_MESSAGE_LIMIT = 300
"""Longest text of a foreign error that is repeated, in characters."""


class Connection:
    """A channel to one server and its stubs. Any number of threads may use it.

    `target` is `host:port` or `unix:/path`. Nothing is sent before the first call.
    """

    def __init__(self, target: str, *, first_contact: float = FIRST_CONTACT) -> None:
        self.target = target
        self._first_contact = first_contact
        self._channel = grpc.insecure_channel(target, options=_OPTIONS)
        self.artifacts = artifact_pb2_grpc.ArtifactServiceStub(self._channel)
        self.builds = build_pb2_grpc.BuildServiceStub(self._channel)
        self.registry = registry_pb2_grpc.RegistryServiceStub(self._channel)
        self.search = search_pb2_grpc.SearchServiceStub(self._channel)
        self.lineage = lineage_pb2_grpc.LineageServiceStub(self._channel)
        self.metrics = metric_pb2_grpc.MetricServiceStub(self._channel)
        self.promotions = promotion_pb2_grpc.PromotionServiceStub(self._channel)
        self.datasets = dataset_pb2_grpc.DatasetServiceStub(self._channel)
        self.compare = compare_pb2_grpc.CompareServiceStub(self._channel)
        self.records = record_pb2_grpc.RecordServiceStub(self._channel)
        self.deployments = deployment_pb2_grpc.DeploymentServiceStub(self._channel)
        self.events = event_pb2_grpc.EventServiceStub(self._channel)
        self.runners = runner_pb2_grpc.RunnerServiceStub(self._channel)
        self.templates = template_pb2_grpc.TemplateServiceStub(self._channel)
        self.webhooks = webhook_pb2_grpc.WebhookServiceStub(self._channel)
        self.capabilities_stub = capabilities_pb2_grpc.CapabilitiesServiceStub(self._channel)
        self._lock = threading.Lock()  # protects _capabilities and _bulk
        self._ranged = BulkChannels(target)
        self._bulk: weakref.WeakSet[BulkChannels] = weakref.WeakSet()
        self._capabilities: Any = None
        self._answered = False

    def bulk(self) -> BulkChannels:
        """Channels for one transfer, which has to close them; `close` does, too."""
        made = BulkChannels(self.target)
        with self._lock:
            self._bulk.add(made)
        return made

    def ranged(self) -> BulkChannel:
        """The channel that all reads of ranges share: each is too short to be worth a connection."""
        return self._ranged.stream(0)

    def capabilities(self) -> Any:
        """The server's limits (a `capabilities_pb2.Capabilities`), asked for once."""
        with self._lock:
            if self._capabilities is None:
                request = capabilities_pb2.GetCapabilitiesRequest()
                self._capabilities = self.call(self.capabilities_stub.GetCapabilities, request).capabilities
            return self._capabilities

    def call(
        self,
        method: Callable[..., Any],
        request: Any,
        *,
        timeout: float = 30.0,
        patience: float = DEFAULT_PATIENCE,
    ) -> Any:
        """Make one unary call, again and again while the server is away.

        `timeout` is for one attempt, `patience` how long to wait for a server that does not answer, both in
        seconds. Raises the class of `regsvc.errors` that the server named.
        """
        waiting = Patience(patience if self._answered else min(patience, self._first_contact))
        while True:
            try:
                response = method(request, timeout=timeout)
            except grpc.RpcError as error:
                failure = translate(error, self.target)
                if not is_transient(failure):
                    self._answered = True
                    raise failure from None
                waiting.wait(failure)
            else:
                self._answered = True
                return response

    def close(self) -> None:
        """Close the channel; calls under way end with `errors.RegsvcError`."""
        self._channel.close()
        with self._lock:
            transfers = list(self._bulk)
        for channels in (self._ranged, *transfers):
            channels.close()

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


class BulkChannels:
    """The connections of one transfer, one a stream: bulk bytes never share one with calls or other transfers."""

    def __init__(self, target: str) -> None:
        self._target = target
        self._lock = threading.Lock()  # protects the two below
        self._channels: dict[int, BulkChannel] = {}
        self._closed = False

    def stream(self, number: int) -> BulkChannel:
        """The channel of one stream. Raises `Aborted` once closed."""
        with self._lock:
            if self._closed:
                raise errors.Aborted("the client was closed")
            if number not in self._channels:
                self._channels[number] = BulkChannel(self._target)
            return self._channels[number]

    def drop(self, number: int | None = None) -> None:
        """Close the channel of one stream, or of all: what comes next begins with a connection of its own.

        A connection that fell silent, perhaps while it was being made, would be waited for otherwise.
        """
        with self._lock:
            numbers = list(self._channels) if number is None else [number]
            dropped = [self._channels.pop(each) for each in numbers if each in self._channels]
        for channel in dropped:
            channel.close()

    def close(self) -> None:
        """Close all; calls under way end with an error."""
        with self._lock:
            self._closed = True
        self.drop()


class BulkChannel:
    """A TCP connection of its own for the two calls that carry bulk bytes; see `regsvc.bulk`."""

    def __init__(self, target: str) -> None:
        self._channel = grpc.insecure_channel(target, options=_BULK_OPTIONS)
        service = f"/{artifact_pb2.DESCRIPTOR.package}.ArtifactService"
        self.WriteChunks = self._channel.stream_unary(
            f"{service}/WriteChunks",
            request_serializer=bulk.serialize,
            response_deserializer=artifact_pb2.WriteChunksResponse.FromString,
        )
        self.ReadChunks = self._channel.unary_stream(
            f"{service}/ReadChunks",
            request_serializer=artifact_pb2.ReadChunksRequest.SerializeToString,
            response_deserializer=bulk.deserializer(artifact_pb2.ReadChunksResponse),
        )

    def close(self) -> None:
        """Calls under way end with an error."""
        self._channel.close()


def translate(error: grpc.RpcError, target: str = "") -> errors.RegsvcError:
    """The error of `regsvc.errors` that a failed call stands for: by its reason, else by its code.

    `target` is named in the message when the server could not be reached. The metadata is the server's.
    """
    code, text = _code(error), (error.details() or "")[:_MESSAGE_LIMIT]
    info, retry_after = _details(error)
    if info is not None:
        kind = errors.BY_REASON.get(info.reason) or errors.BY_CODE.get(code, errors.Unknown)
        failure = kind(text, retry_after=retry_after)
        failure.metadata = dict(info.metadata)
        return failure
    if code is errors.Code.UNAVAILABLE or _is_reset(code, text):
        where = f" at {target}" if target else ""
        return errors.Unavailable(f"the server{where} cannot be reached: {_cause(text)}")
    return errors.BY_CODE.get(code, errors.Unknown)(text or code.name.lower())


def _code(error: grpc.RpcError) -> errors.Code:
    try:
        return errors.Code(error.code().value[0])
    except ValueError:
        return errors.Code.UNKNOWN


def _details(error: grpc.RpcError) -> tuple[Any, float | None]:
    """The `google.rpc.ErrorInfo` of our domain, if the error carries one, and the seconds to wait it asks for."""
    try:
        status = rpc_status.from_call(error)  # type: ignore[arg-type]  # every RpcError of a call is one
    except ValueError:  # the trailers contradict the code: something between us and the server wrote them
        return None, None
    found, retry_after = None, None
    for detail in status.details if status is not None else ():
        info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
        if detail.Unpack(info) and info.domain == errors.ERROR_DOMAIN:
            found = info
        elif detail.Unpack(retry):
            retry_after = retry.retry_delay.ToNanoseconds() / 1e9
    return found, retry_after


def _is_reset(code: errors.Code, text: str) -> bool:
    """Whether a stream was cut off below gRPC: proxies and dying servers do not always say UNAVAILABLE."""
    if code is errors.Code.CANCELLED and text == "CANCELLED":
        return True  # by the server, as it stopped; what we cancel ourselves has another text
    return code in {errors.Code.INTERNAL, errors.Code.UNKNOWN, errors.Code.CANCELLED} and (
        "RST_STREAM" in text or "Stream removed" in text or "Connection reset" in text
    )


def _cause(text: str) -> str:
    """The last link of gRPC's chain of causes: "connect: Connection refused (111)"."""
    last = text.rpartition(": ")[2] if "Failed to connect" in text else text
    return last.strip() or "no answer"

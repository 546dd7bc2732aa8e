"""Two registries side by side: everything that a client can see of one, and a registry that has something of all."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import grpc

import regsvc
from regsvc.v1 import (
    artifact_pb2,
    artifact_pb2_grpc,
    build_pb2,
    build_pb2_grpc,
    dataset_pb2,
    dataset_pb2_grpc,
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
)

LIMIT = 60.0


def everything(endpoint: str) -> dict[str, Any]:
    """What a client can see of a registry, by name; what belongs to the server itself is left out.

    That is: how many bytes chunks take as they are stored, and what revision a build is at.
    """
    with grpc.insecure_channel(endpoint, options=[("grpc.max_receive_message_length", 8 << 20)]) as channel:
        return dict(_Seen(channel).all())


def difference(one: dict[str, Any], other: dict[str, Any]) -> dict[str, tuple[Any, Any]]:
    """What is not equal, by name."""
    return {
        name: (one.get(name), other.get(name))
        for name in sorted(one.keys() | other.keys())
        if one.get(name) != other.get(name)
    }


class _Seen:
    def __init__(self, channel: grpc.Channel):
        self.registry = registry_pb2_grpc.RegistryServiceStub(channel)
        self.artifacts = artifact_pb2_grpc.ArtifactServiceStub(channel)
        self.builds = build_pb2_grpc.BuildServiceStub(channel)
        self.datasets = dataset_pb2_grpc.DatasetServiceStub(channel)
        self.metrics = metric_pb2_grpc.MetricServiceStub(channel)
        self.promotions = promotion_pb2_grpc.PromotionServiceStub(channel)
        self.records = record_pb2_grpc.RecordServiceStub(channel)
        self.lineage = lineage_pb2_grpc.LineageServiceStub(channel)

    def all(self) -> Iterator[tuple[str, Any]]:
        yield from self.all_datasets()
        request = registry_pb2.ListModelsRequest(parent="namespaces/-")
        for model in _paged(self.registry.ListModels, request, "models"):
            yield model.name, _bare(model)
            defined = self.metrics.ListMetricDefinitions(
                metric_pb2.ListMetricDefinitionsRequest(parent=model.name), timeout=LIMIT
            )
            yield f"{model.name} definitions", _bare(defined)
            yield from self.of_builds(model.name)
            yield from self.of_versions(model.name)
            yield from self.of_aliases(model)

    def all_datasets(self) -> Iterator[tuple[str, Any]]:
        request = dataset_pb2.ListDatasetsRequest(parent="namespaces/-")
        for latest in _paged(self.datasets.ListDatasets, request, "datasets"):
            base, _, last = latest.name.rpartition("/")
            for number in range(1, int(last) + 1):
                name = f"{base}/{number}"
                try:
                    found = self.datasets.GetDataset(
                        dataset_pb2.GetDatasetRequest(name=name), timeout=LIMIT
                    ).dataset
                except grpc.RpcError:
                    continue
                yield name, _bare(found)
                users = self.datasets.ListDatasetUses(
                    dataset_pb2.ListDatasetUsesRequest(name=name), timeout=LIMIT
                )
                yield f"{name} users", sorted(str(each) for each in users.users)

    def of_builds(self, model: str) -> Iterator[tuple[str, Any]]:
        request = build_pb2.ListBuildsRequest(parent=model)
        for listed in _paged(self.builds.ListBuilds, request, "builds"):
            name = listed.name
            build = self.builds.GetBuild(build_pb2.GetBuildRequest(name=name), timeout=LIMIT).build
            yield name, _bare(build)
            yield from self.record(name)
            log = self.builds.ReadLog(build_pb2.ReadLogRequest(build=name), timeout=LIMIT)
            yield f"{name} log", [str(line) for page in log for line in page.lines]
            watched = self.builds.WatchBuild(build_pb2.WatchBuildRequest(build=name), timeout=LIMIT)
            if build.state != build_pb2.BUILD_STATE_RUNNING:
                yield f"{name} points", [str(point) for each in watched for point in each.metrics]
            yield from self.series(name)

    def of_versions(self, model: str) -> Iterator[tuple[str, Any]]:
        request = registry_pb2.ListVersionsRequest(parent=model)
        for version in _paged(self.registry.ListVersions, request, "versions"):
            name = version.name
            yield name, _bare(version, "stored_size")
            pages = self.artifacts.ReadManifest(artifact_pb2.ReadManifestRequest(version=name), timeout=LIMIT)
            files = [file for page in pages for file in page.files]
            for file in files:
                data = self.artifacts.ReadFile(
                    artifact_pb2.ReadFileRequest(version=name, path=file.path), timeout=LIMIT
                )
                yield f"{name} {file.path}", (file.digest, hash(b"".join(part.data for part in data)))
            yield from self.record(name)
            notes = _paged(self.records.ListNotes, record_pb2.ListNotesRequest(version=name), "notes")
            yield f"{name} notes", [_bare(note) for note in notes]
            approvals = self.promotions.ListApprovals(
                promotion_pb2.ListApprovalsRequest(version=name), timeout=LIMIT
            )
            yield f"{name} approvals", _bare(approvals)
            yield from self.series(name)
            edges = self.lineage.GetLineage(lineage_pb2.GetLineageRequest(name=name), timeout=LIMIT)
            yield f"{name} lineage", _sorted(edges)

    def record(self, name: str) -> Iterator[tuple[str, Any]]:
        found = self.records.GetRecord(record_pb2.GetRecordRequest(name=name), timeout=LIMIT)
        yield f"{name} record", _bare(found)
        for attachment in found.record.attachments:
            request = record_pb2.ReadAttachmentRequest(owner=name, name=attachment.name)
            data = self.records.ReadAttachment(request, timeout=LIMIT)
            yield f"{name} attachment {attachment.name}", b"".join(part.data for part in data)

    def series(self, name: str) -> Iterator[tuple[str, Any]]:
        found = self.metrics.ListSeries(metric_pb2.ListSeriesRequest(parent=name), timeout=LIMIT).series
        for each in found:
            yield f"{name} series {each.source} {each.key}", _bare(each)
            request = metric_pb2.ReadSeriesRequest(parent=name, source=each.source, key=each.key)
            points = self.metrics.ReadSeries(request, timeout=LIMIT)
            yield (
                f"{name} points {each.source} {each.key}",
                [str(point) for page in points for point in page.points],
            )

    def of_aliases(self, model: registry_pb2.Model) -> Iterator[tuple[str, Any]]:
        for alias in model.aliases:
            request = registry_pb2.ListAliasHistoryRequest(parent=alias.name)
            changes = _paged(self.registry.ListAliasHistory, request, "changes")
            yield f"{alias.name} history", [_bare(change) for change in changes]
        for alias in (*(each.name for each in model.aliases), f"{model.name}/aliases/ruled"):
            rules = self.promotions.GetAliasRules(
                promotion_pb2.GetAliasRulesRequest(name=alias), timeout=LIMIT
            )
            yield f"{alias} rules", _bare(rules)


def _paged(method: Callable[..., Any], request: Any, field: str) -> Iterator[Any]:
    while True:
        answer = method(request, timeout=LIMIT)
        yield from getattr(answer, field)
        if not answer.next_page_token:
            return
        request.page_token = answer.next_page_token


def _bare(message: Any, *without: str) -> str:
    copy = type(message)()
    copy.CopyFrom(message)
    for field in without:
        copy.ClearField(field)
    return str(copy)


def _sorted(message: Any) -> list[str]:
    return sorted(line for line in str(message).splitlines() if line.strip())


def bytes_of(size: int, seed: int) -> bytes:
    """Bytes that no codec makes smaller."""
    return random.Random(seed).randbytes(size)


def write_files(folder: Path, files: dict[str, bytes]) -> Path:
    """A folder with these files."""
    for name, data in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
    return folder


def fill(endpoint: str, folder: Path, model: str = "team/fraud") -> None:
    """Models with something of everything: builds, logs, metrics, records, notes, datasets, aliases, rules."""
    folder.mkdir(exist_ok=True)
    with regsvc.connect(endpoint) as client:
        rows = folder / "rows.csv"
        rows.write_text("a,b\n" + "".join(f"{i},{i % 3}\n" for i in range(300)))
        base = write_files(
            folder / "base", {"w.bin": bytes_of(3 << 20, 1), "config.json": b"{}", "empty": b""}
        )
        client.push(base, "team/base", tags={"kind": "base"}, card="# Base\n", labels=["base"])
        client.define_metric(model, "f1", "higher")
        with client.build(model) as build:
            build.log_params({"lr": 0.1, "epochs": 3, "name": "zwölf", "on": True})
            build.set_tags({"who": "ci"})
            build.log_dataset(rows, "team/rows", split="train")
            attach(endpoint, build.wire, "lock.txt", b"numpy==2\n" * 40_000)
            with build.step("train"):
                for step in range(50):
                    build.log_metrics({"loss": 1 / (step + 1), "f1": step / 50}, step=step)
                    build.log(f"step {step} \x1b[0m ü")
            head = {"head.bin": bytes_of(40_000, 2), "sub/deep/x.bin": bytes_of(200_000, 3)}
            tuned = write_files(folder / "tuned", {"w.bin": bytes_of(3 << 20, 1), **head})
            build.publish(
                tuned, aliases=["candidate"], parents={"team/base:1": "fine-tuned"}, description="first"
            )
        many(client, model)
        with_error(client, model)
        more = write_files(folder / "more", {"w.bin": bytes_of(3 << 20, 1) + b"tail", "n.txt": b"n" * 5000})
        client.push(
            more,
            model,
            metrics={"f1": 0.9},
            params={"n": 2**60},
            author="bob",
            aliases=["prod"],
            attachments={"changes.diff": b"- old\n+ new\n" * 3_000},
            parents={"https://example.org/model": "distilled"},
        )
        client.promote(f"{model}:1", "prod", reason="better", author="alice")
        client.promote(f"{model}:2", "prod", reason="again", author="alice")
        client.rollback(f"{model}@prod", reason="oh", author="carol", mark_bad=True)
        client.set_alias_rules(f"{model}@ruled", gate="version.metrics.f1 > 0.5", approvals=1)
        client.approve(f"{model}:2", "ruled", comment="good", author="dora")
        client.add_note(f"{model}:1", "looks *fine*", author="eve")
        client.add_note(f"{model}:1", "still", author="eve")
        client.evaluate(f"{model}:1", "nightly", {"auc": 0.8})
        client.evaluate(f"{model}:1", "nightly", {"auc": 0.7, "ece": 0.1})


def attach(endpoint: str, owner: str, name: str, data: bytes) -> None:
    """Give a running build a blob."""
    with grpc.insecure_channel(endpoint) as channel:
        record_pb2_grpc.RecordServiceStub(channel).WriteAttachment(
            iter([record_pb2.WriteAttachmentRequest(owner=owner, name=name, data=data)]), timeout=LIMIT
        )


def many(client: regsvc.Client, model: str) -> None:
    """A build with more points than one message of a watch has, and more lines than one batch."""
    with client.build(model) as build:
        for step in range(1_500):
            build.log_metrics({"loss": (step - 700) ** 2 / 1000, "lr": 0.1, "acc": -step}, step=step // 2)
        build.log("\n".join(f"line {number} {'x' * 100}" for number in range(5_000)))


def with_error(client: regsvc.Client, model: str) -> None:
    """A build that fails in a step."""
    try:
        with client.build(model) as build, build.step("test"):
            build.log("about to fail")
            raise ValueError("no")
    except ValueError:
        pass

"""A model whose alias `prod` is promoted, at the wire."""

from __future__ import annotations

import itertools

import grpc
from google.protobuf.timestamp_pb2 import Timestamp
from server.wire import LIMIT, Wire, name_of

from regsvc.v1 import event_pb2 as ev
from regsvc.v1 import promotion_pb2 as pb
from regsvc.v1 import registry_pb2 as reg

_NUMBERS = itertools.count(1)


class Model:
    """A model of its own with versions whose f1 is given, and the calls of promotion on its alias `prod`."""

    def __init__(self, wire: Wire, *scores: float, author: str = "alice"):
        self.wire = wire
        self.short = f"p/model-{next(_NUMBERS)}"
        self.name = name_of(self.short)
        self.prod = f"{self.name}/aliases/prod"
        for score in scores:
            wire.push(
                self.short,
                {"a": str(score).encode()},
                author=author,
                metadata=reg.VersionMetadata(metrics={"f1": score}),
            )

    def version(self, number: int) -> str:
        return f"{self.name}/versions/{number}"

    def rules(self, **fields: object) -> pb.AliasRules:
        rules = pb.AliasRules(name=self.prod, **fields)  # type: ignore[arg-type]
        request = pb.SetAliasRulesRequest(rules=rules, author="root")
        return self.wire.promotions.SetAliasRules(request, timeout=LIMIT).rules

    def promote(self, number: int, expect: int = 0, **fields: object) -> pb.PromoteResponse:
        request = pb.PromoteRequest(
            name=self.prod,
            version=self.version(number),
            expect_version=self.version(expect) if expect else "",
            **fields,  # type: ignore[arg-type]
        )
        return self.wire.promotions.Promote(request, timeout=LIMIT)

    def rollback(self, to: int = 0, **fields: object) -> pb.RollbackResponse:
        request = pb.RollbackRequest(
            name=self.prod,
            version=self.version(to) if to else "",
            **fields,  # type: ignore[arg-type]
        )
        return self.wire.promotions.Rollback(request, timeout=LIMIT)

    def approve(self, number: int, author: str, **fields: object) -> pb.Approval:
        request = pb.ApproveVersionRequest(
            version=self.version(number),
            alias=self.prod,
            author=author,
            **fields,  # type: ignore[arg-type]
        )
        return self.wire.promotions.ApproveVersion(request, timeout=LIMIT).approval

    def mark(self, number: int, reason: str = "wrong labels", *, bad: bool = True) -> reg.Version:
        request = pb.MarkVersionRequest(version=self.version(number), bad=bad, reason=reason, author="carol")
        return self.wire.promotions.MarkVersion(request, timeout=LIMIT).version

    def set(self, number: int, **fields: object) -> reg.Alias:
        request = reg.SetAliasRequest(name=self.prod, version=self.version(number), **fields)  # type: ignore[arg-type]
        return self.wire.registry.SetAlias(request, timeout=LIMIT).alias

    def now(self) -> int:
        """The number of the version that `prod` names; 0 for none."""
        try:
            alias = self.wire.registry.GetAlias(reg.GetAliasRequest(name=self.prod), timeout=LIMIT).alias
        except grpc.RpcError:
            return 0
        return int(alias.version.rpartition("/")[2])

    def history(self) -> list[reg.AliasChange]:
        """Oldest first."""
        request = reg.ListAliasHistoryRequest(parent=self.prod, page_size=1000)
        return list(self.wire.registry.ListAliasHistory(request, timeout=LIMIT).changes)[::-1]

    def resolve(self, time: Timestamp | None = None) -> pb.ResolveAliasResponse:
        return self.wire.promotions.ResolveAlias(
            pb.ResolveAliasRequest(name=self.prod, time=time), timeout=LIMIT
        )

    def events(self) -> list[tuple[str, str, dict[str, str]]]:
        """Kind, resource within the model, attributes."""
        end = f"{self.name}-end-{next(_NUMBERS)}"
        self.wire.registry.CreateModel(reg.CreateModelRequest(name=end), timeout=LIMIT)
        found = []
        request = ev.WatchEventsRequest(after_seq=0)
        for page in self.wire.events.WatchEvents(request, timeout=LIMIT):
            for event in page.events:
                if event.resource == end:
                    return found
                if event.resource.startswith(f"{self.name}/"):
                    found.append((event.kind, event.resource.removeprefix(self.name), dict(event.attributes)))
        raise AssertionError("the stream of events ended")

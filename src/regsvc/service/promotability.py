"""What the rules of an alias say of a version."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

from regsvc.catalog import rules
from regsvc.catalog.database import Reader
from regsvc.catalog.promotable import promotable
from regsvc.catalog.rules import Rules
from regsvc.catalog.versions import Version
from regsvc.errors import ApprovalsMissing, GateRefused, RegsvcError
from regsvc.refs import AliasName, VersionRef
from regsvc.service.gates import GateTerm, GateValue, Verdict, read_gate
from regsvc.service.limits import Limits


@dataclass(frozen=True)
class Promotability:
    """What is in the way of a promotion; nothing when there are no `refusals`."""

    gate: Verdict = Verdict.NONE
    terms: Sequence[GateTerm] = ()
    approvals: int = 0
    required: int = 0
    refusals: Sequence[str] = ()
    """One line for people each."""
    obstacle: RegsvcError | None = None
    """What forbids it whatever the rules say."""

    def refusing(self, obstacle: RegsvcError) -> Promotability:
        """The same with something else in the way."""
        return replace(self, refusals=[obstacle.message, *self.refusals], obstacle=obstacle)

    def error(self, name: AliasName, version: VersionRef) -> RegsvcError:
        """The refusal: its reason is the first thing in the way, its message names all."""
        if self.obstacle is not None:
            return self.obstacle
        message = f"{name} refuses {version}: {'; '.join(self.refusals)}"
        if self.gate in (Verdict.FALSE, Verdict.ERROR):
            term = next((each for each in self.terms if each.verdict is not Verdict.TRUE), None)
            return GateRefused(
                message,
                term="" if term is None else term.expression,
                values="" if term is None else term.saw,
                error="" if term is None else term.error,
            )
        return ApprovalsMissing(message, approvals=self.approvals, required=self.required)


def judged(db: Reader, asked: Rules, version: Version, current: int | None, limits: Limits) -> Promotability:
    """What rules say of a version in the place of `current`, a version's id."""
    found = Promotability(required=asked.approvals)
    refusals: list[str] = []
    if asked.gate:
        result = read_gate(asked.gate, limits).evaluate(db, version.id, current)
        found = replace(found, gate=result.verdict, terms=result.terms)
        if result.verdict is not Verdict.TRUE:
            refusals += [str(each) for each in result.terms if each.verdict is not Verdict.TRUE]
            refusals = refusals or [f"{asked.gate} is not true"]
    found = replace(found, approvals=rules.approval_count(db, version, asked.name.alias))
    if found.approvals < found.required:
        others = version.author or "its author"
        refusals.append(f"{found.approvals} of {found.required} approvals by others than {others}")
    found = replace(found, refusals=refusals)
    obstacle = promotable(version)
    return found if obstacle is None else found.refusing(obstacle)


def told(found: Promotability) -> dict[str, Any]:
    """As JSON, to be remembered; one that refuses is not."""
    return {
        "gate": int(found.gate),
        "terms": [asdict(term) for term in found.terms],
        "approvals": found.approvals,
        "required": found.required,
    }


def recalled(document: dict[str, Any]) -> Promotability:
    """From what `told` gave."""
    terms = [
        GateTerm(
            each["expression"],
            Verdict(each["verdict"]),
            each["error"],
            [GateValue(**value) for value in each["values"]],
        )
        for each in document["terms"]
    ]
    return Promotability(Verdict(document["gate"]), terms, document["approvals"], document["required"])

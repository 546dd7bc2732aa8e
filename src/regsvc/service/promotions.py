"""Moving aliases by rules: gates, approvals, promotion, rollback, and what was where when."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from regsvc.catalog import aliases, requests, rules, versions
from regsvc.catalog.aliases import Alias, AliasChange, Kind, Move
from regsvc.catalog.database import Catalog, Reader, Transaction, now_us
from regsvc.catalog.promotable import mark, promotable
from regsvc.catalog.requests import Request
from regsvc.catalog.rules import Approval, Rules
from regsvc.catalog.versions import Version
from regsvc.errors import InvalidArgument, NoHistory, NotFound, OwnApproval
from regsvc.refs import AliasName, ModelName, VersionRef
from regsvc.service.authors import author_of, checked_move, reason_of
from regsvc.service.gates import read_gate
from regsvc.service.limits import Limits
from regsvc.service.promotability import Promotability, judged, recalled, told
from regsvc.service.rollbacks import stack_of

MAX_REQUIRED_APPROVALS = 100


@dataclass(frozen=True)
class Promotion:
    """What Promote is asked."""

    name: AliasName
    version: VersionRef
    expect: VersionRef | None
    by: Move
    dry_run: bool = False


@dataclass(frozen=True)
class Promoted:
    """What came of it."""

    alias: Alias | None
    """As it is now; None when it names nothing, after a dry run."""
    previous: VersionRef | None
    promotability: Promotability


@dataclass(frozen=True)
class Rollback:
    """What Rollback is asked."""

    name: AliasName
    to: VersionRef | None
    expect: VersionRef | None
    by: Move
    mark_bad: bool = False
    dry_run: bool = False


@dataclass(frozen=True)
class RolledBack:
    """What came of it."""

    alias: Alias
    """As it is now; after a dry run as it would be."""
    previous: VersionRef
    skipped: Sequence[VersionRef] = field(default_factory=list)


class Promotions:
    """What `PromotionService` does."""

    def __init__(self, catalog: Catalog, limits: Limits):
        self._catalog = catalog
        self._limits = limits

    def rules(self, name: AliasName) -> Rules:
        """Raises `NotFound` (model)."""
        return self._catalog.read(lambda db: rules.find(db, name))

    def set_rules(self, wanted: Rules, etag: str, author: str, request: Request) -> Rules:
        """Replace the rules of an alias. Errors as SetAliasRules documents."""
        wanted, author = replace(wanted, gate=wanted.gate.strip()), author_of(author)
        if wanted.gate:
            read_gate(wanted.gate, self._limits)
        if wanted.approvals > MAX_REQUIRED_APPROVALS:
            raise InvalidArgument(
                f"{wanted.approvals} approvals, at most {MAX_REQUIRED_APPROVALS}",
                limit=MAX_REQUIRED_APPROVALS,
            )

        def put(tx: Transaction) -> Rules:
            if requests.replay(tx, request) is None:
                rules.put(tx, wanted, etag, author)
                requests.remember(tx, request, wanted.name.wire)
            return rules.find(tx, wanted.name)

        return self._catalog.write(put)

    def promote(self, asked: Promotion, request: Request) -> Promoted:
        """Move an alias to a version if its rules allow it. Errors as Promote documents."""
        _check_same_model(asked.name.model, asked.version, asked.expect)
        asked = replace(asked, by=replace(checked_move(asked.by), kind=Kind.PROMOTE))
        if asked.dry_run:
            return self._catalog.read(lambda db: self._would_promote(db, asked))
        return self._catalog.write(lambda tx: self._promote(tx, asked, request))

    def _would_promote(self, db: Reader, asked: Promotion) -> Promoted:
        version = versions.find(db, asked.version)
        current = aliases.named(db, asked.name)
        alias = None if current is None else aliases.find(db, asked.name)
        previous = None if alias is None else alias.version
        if asked.expect is not None and versions.resolve(db, asked.expect) != current:
            mismatch = aliases.mismatch(db, asked.name, current)
            return Promoted(alias, previous, self._judged(db, asked, version, current).refusing(mismatch))
        if current == version.id:
            return Promoted(alias, previous, Promotability())
        return Promoted(alias, previous, self._judged(db, asked, version, current))

    def _promote(self, tx: Transaction, asked: Promotion, request: Request) -> Promoted:
        known = requests.replay(tx, request)
        if known is not None:
            number, promotability = json.loads(known)
            previous = None if number is None else VersionRef(asked.name.model, number=number)
            return Promoted(aliases.find(tx, asked.name), previous, recalled(promotability))
        version = versions.find(tx, asked.version)
        current = aliases.named(tx, asked.name)
        if asked.expect is not None and versions.resolve(tx, asked.expect) != current:
            raise aliases.mismatch(tx, asked.name, current)
        previous = None if current is None else versions.get(tx, current).ref
        found = Promotability()
        if current != version.id:
            found = self._judged(tx, asked, version, current)
            if found.refusals:
                raise found.error(asked.name, version.ref)
            aliases.point(tx, asked.name, version.id, asked.by)
        number = None if previous is None else previous.number
        requests.remember(tx, request, json.dumps([number, told(found)]))
        return Promoted(aliases.find(tx, asked.name), previous, found)

    def _judged(self, db: Reader, asked: Promotion, version: Version, current: int | None) -> Promotability:
        return judged(db, rules.find(db, asked.name), version, current, self._limits)

    def rollback(self, asked: Rollback, request: Request) -> RolledBack:
        """Move an alias back. Errors as Rollback documents."""
        _check_same_model(asked.name.model, asked.to, asked.expect)
        asked = replace(asked, by=replace(checked_move(asked.by), kind=Kind.ROLLBACK))
        if asked.mark_bad and not asked.by.reason:
            raise InvalidArgument("say why it is bad: a reason is required")
        if asked.dry_run:
            return self._catalog.read(lambda db: _rolled_back(db, asked)[1])
        return self._catalog.write(lambda tx: self._rollback(tx, asked, request))

    def _rollback(self, tx: Transaction, asked: Rollback, request: Request) -> RolledBack:
        model = asked.name.model
        known = requests.replay(tx, request)
        if known is not None:
            previous, skipped = json.loads(known)
            return RolledBack(
                aliases.find(tx, asked.name),
                VersionRef(model, number=previous),
                [VersionRef(model, number=number) for number in skipped],
            )
        target, found = _rolled_back(tx, asked)
        if target.ref != found.previous:
            aliases.point(tx, asked.name, target.id, asked.by)
            if asked.mark_bad:
                left = versions.find(tx, found.previous)
                mark(tx, left, bad=True, reason=asked.by.reason, author=asked.by.author)
        result = [found.previous.number, [ref.number for ref in found.skipped]]
        requests.remember(tx, request, json.dumps(result))
        return replace(found, alias=aliases.find(tx, asked.name))

    def test_gate(
        self, gate: str, name: AliasName, ref: VersionRef, current: VersionRef | None
    ) -> Promotability:
        """What a gate, or that of the alias, says of a version. Errors as TestGate documents."""
        _check_same_model(name.model, ref, current)
        if gate.strip():
            read_gate(gate.strip(), self._limits)

        def test(db: Reader) -> Promotability:
            found = rules.find(db, name)
            found = replace(found, gate=gate.strip() or found.gate)
            version = versions.find(db, ref)
            now = aliases.named(db, name) if current is None else versions.resolve(db, current)
            return judged(db, found, version, now, self._limits)

        return self._catalog.read(test)

    def approve(
        self, ref: VersionRef, name: AliasName, author: str, comment: str, request: Request
    ) -> tuple[Version, Approval]:
        """Approve a version for an alias. Errors as ApproveVersion documents."""
        _check_same_model(name.model, ref)
        author, comment = _named(author), reason_of(comment, "comment")

        def approve(tx: Transaction) -> tuple[Version, Approval]:
            known = requests.replay(tx, request)
            version = versions.find(tx, ref if known is None else VersionRef(name.model, number=int(known)))
            if known is None:
                if author == version.author:
                    raise OwnApproval(
                        f"{author} pushed {version.ref} and does not approve it", version=version.ref.wire
                    )
                rules.approve(tx, version, name.alias, author, comment)
                requests.remember(tx, request, str(version.number))
            given = next(
                (
                    each
                    for each in rules.approvals_of(tx, version.id)
                    if (each.alias, each.author) == (name.alias, author)
                ),
                Approval(name.alias, author, comment, tx.now),  # withdrawn between two attempts
            )
            return version, given

        return self._catalog.write(approve)

    def withdraw(self, ref: VersionRef, name: AliasName, author: str, request: Request) -> None:
        """Take an approval back. Errors as WithdrawApproval documents."""
        _check_same_model(name.model, ref)
        author = _named(author)

        def withdraw(tx: Transaction) -> None:
            if requests.replay(tx, request) is None:
                rules.withdraw(tx, versions.find(tx, ref), name.alias, author)
                requests.remember(tx, request, "")

        self._catalog.write(withdraw)

    def approvals(self, ref: VersionRef) -> tuple[Version, list[Approval]]:
        """Oldest first. Raises `NotFound`."""

        def read(db: Reader) -> tuple[Version, list[Approval]]:
            version = versions.find(db, ref)
            return version, rules.approvals_of(db, version.id)

        return self._catalog.read(read)

    def mark(self, ref: VersionRef, reason: str, author: str, request: Request, *, bad: bool) -> Version:
        """Mark a version as bad, or as good again. Errors as MarkVersion documents."""
        reason, author = reason_of(reason), author_of(author)
        if bad and not reason:
            raise InvalidArgument("say why it is bad: a reason is required")

        def write(tx: Transaction) -> Version:
            known = requests.replay(tx, request)
            if known is not None:
                return versions.find(tx, VersionRef(ref.model, number=int(known)))
            version = versions.find(tx, ref)
            mark(tx, version, bad=bad, reason=reason, author=author)
            requests.remember(tx, request, str(version.number))
            return versions.get(tx, version.id)

        return self._catalog.write(write)

    def resolve(self, name: AliasName, at: int | None) -> tuple[Version, AliasChange]:
        """What an alias named at a moment, in microseconds since 1970, or names now. Errors: see ResolveAlias."""

        def read(db: Reader) -> tuple[Version, AliasChange]:
            alias = aliases.find(db, name, ever=True)
            # After the clock was set back, moves may bear times that it has not reached yet.
            present = max(now_us(), alias.updated_at)
            if at is not None and at > present:
                raise InvalidArgument("that time has not come yet, by the clock of the server")
            change = aliases.change_at(db, alias, present if at is None else at)
            if change is None:
                raise NotFound(f"alias {name} named nothing then", alias=name.wire)
            assert change.version is not None, (
                "an alias named something at the time of a change that is given"
            )
            return versions.find(db, change.version), change

        return self._catalog.read(read)


def _rolled_back(db: Reader, asked: Rollback) -> tuple[Version, RolledBack]:
    """Where a rollback leads, and what is told of it."""
    alias = aliases.find(db, asked.name)
    current = versions.find(db, alias.version)
    if asked.expect is not None and versions.resolve(db, asked.expect) != current.id:
        raise aliases.mismatch(db, asked.name, current.id)
    moves = aliases.moves(db, alias)
    if asked.to is not None:
        target = versions.find(db, asked.to)
        skipped: list[VersionRef] = []
        if target.id not in {version_id for version_id, _ in moves}:
            raise NoHistory(f"{asked.name} has never named {target.ref}", alias=asked.name.wire)
        obstacle = promotable(target)
        if obstacle is not None and target.id != current.id:
            raise obstacle
    else:
        target, skipped = _before(db, asked.name, stack_of(moves), current.id)
    there = replace(alias, version=target.ref)
    return target, RolledBack(there, alias.version, skipped)


def _before(
    db: Reader, name: AliasName, stack: Sequence[int], current: int
) -> tuple[Version, list[VersionRef]]:
    """The nearest version below the top of the stack that an alias may name, and those passed over, nearest first."""
    skipped: dict[int, VersionRef] = {}
    for version_id in reversed(stack[:-1]):
        if version_id == current or version_id in skipped:
            continue
        version = versions.get(db, version_id)
        if promotable(version) is None:
            return version, list(skipped.values())
        skipped[version_id] = version.ref
    passed = f"; {', '.join(map(str, skipped.values()))} may not be named" if skipped else ""
    raise NoHistory(f"there is nothing that {name} could go back to{passed}", alias=name.wire)


def _check_same_model(model: ModelName, *references: VersionRef | None) -> None:
    for ref in references:
        if ref is not None and ref.model != model:
            raise InvalidArgument(f"{ref} is not a version of {model}", version=ref.wire)


def _named(text: str) -> str:
    author = author_of(text)
    if not author:
        raise InvalidArgument("an approval has an author")
    return author

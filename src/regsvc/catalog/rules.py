"""What aliases may name: their rules, approvals of versions, and moving an alias by them."""

from __future__ import annotations

from dataclasses import dataclass

from blake3 import blake3

from regsvc.catalog import aliases, events, models
from regsvc.catalog.aliases import Move
from regsvc.catalog.database import Reader, Transaction
from regsvc.catalog.promotable import promotable
from regsvc.catalog.versions import Version
from regsvc.errors import AliasProtected, EtagMismatch, ResourceExhausted
from regsvc.refs import AliasName

MAX_RULES = 1000
"""Most aliases of one model that have rules."""
MAX_APPROVALS = 500
"""Most approvals of one version: with their comments they are in one message."""


@dataclass(frozen=True)
class Rules:
    """What an alias may name."""

    name: AliasName
    protected: bool = False
    """Only a promotion or a rollback moves it. A gate, and approvals, protect."""
    gate: str = ""
    """A CEL expression; empty lets all in."""
    approvals: int = 0
    """How many others than its author must have approved a version."""
    updated_at: int | None = None

    @property
    def etag(self) -> str:
        """Of the rules as they are; empty when there are none."""
        if self.updated_at is None:
            return ""
        text = f"{self.updated_at} {self.protected} {self.approvals} {self.gate}"
        return blake3(text.encode()).hexdigest()[:16]


@dataclass(frozen=True)
class Approval:
    """One person's consent to a version in the place of an alias."""

    alias: str
    author: str
    comment: str
    at: int
    """Microseconds since 1970, of the first time."""


def find(db: Reader, name: AliasName) -> Rules:
    """The rules of an alias, which need not exist. Raises `NotFound` (model)."""
    row = db.row(
        "SELECT protected, gate, approvals, updated_at FROM alias_rules WHERE model_id = ? AND alias = ?",
        [models.find_id(db, name.model), name.alias],
    )
    return Rules(name) if row is None else Rules(name, bool(row[0]), row[1], row[2], row[3])


def put(tx: Transaction, rules: Rules, etag: str, author: str) -> None:
    """Replace the rules of an alias; nothing happens when they are so already.

    Raises `NotFound` (model), `EtagMismatch` when `etag` is given and is not that of the rules as they are,
    `ResourceExhausted`.
    """
    now, model_id = find(tx, rules.name), models.find_id(tx, rules.name.model)
    if etag and etag != now.etag:
        raise EtagMismatch(
            f"the rules of {rules.name} have changed meanwhile", alias=rules.name.wire, etag=now.etag
        )
    wanted = (rules.protected or bool(rules.gate) or rules.approvals > 0, rules.gate, rules.approvals)
    if wanted == (now.protected, now.gate, now.approvals):
        return
    if wanted == (False, "", 0):
        tx.run("DELETE FROM alias_rules WHERE model_id = ? AND alias = ?", [model_id, rules.name.alias])
    else:
        if now.updated_at is None:
            count = tx.value("SELECT count(*) FROM alias_rules WHERE model_id = ?", [model_id])
            if count >= MAX_RULES:
                raise ResourceExhausted(
                    f"{rules.name.model} has rules for {MAX_RULES} aliases", limit=MAX_RULES
                )
        tx.run(
            "INSERT INTO alias_rules (model_id, alias, protected, gate, approvals, updated_at)"
            " VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (model_id, alias) DO UPDATE SET protected = excluded.protected,"
            " gate = excluded.gate, approvals = excluded.approvals, updated_at = excluded.updated_at",
            [model_id, rules.name.alias, int(wanted[0]), wanted[1], wanted[2], tx.now],
        )
    models.touch(tx, model_id)
    events.record(
        tx,
        "alias.rules_set",
        rules.name.wire,
        protected=str(wanted[0]).lower(),
        gate=rules.gate,
        approvals=rules.approvals,
        author=author,
    )


def move(tx: Transaction, name: AliasName, version: Version, by: Move, expect: int | None = None) -> None:
    """Point an alias at a version as everyone may; nothing happens when it is there already.

    Raises `EtagMismatch` when `expect`, a version's id, is given and the alias does not name it, `AliasProtected`,
    what `promotable` gives, `ResourceExhausted`.
    """
    current = aliases.named(tx, name)
    if expect is not None and current != expect:
        raise aliases.mismatch(tx, name, current)
    if current == version.id:
        return
    if find(tx, name).protected:
        raise AliasProtected(f"alias {name} is protected: promote a version to it", alias=name.wire)
    if (obstacle := promotable(version)) is not None:
        raise obstacle
    aliases.point(tx, name, version.id, by)


def approvals_of(db: Reader, version_id: int) -> list[Approval]:
    """Oldest first."""
    rows = db.rows(
        "SELECT alias, author, comment, at FROM approvals WHERE version_id = ? ORDER BY id", [version_id]
    )
    return [Approval(*row) for row in rows]


def approval_count(db: Reader, version: Version, alias: str) -> int:
    """How many have approved a version for an alias; its author is none of them."""
    count = db.value("SELECT count(*) FROM approvals WHERE version_id = ? AND alias = ?", [version.id, alias])
    return int(count)


def approve(tx: Transaction, version: Version, alias: str, author: str, comment: str) -> None:
    """Add an approval, or change its comment. Raises `ResourceExhausted`."""
    known = tx.row(
        "SELECT comment FROM approvals WHERE version_id = ? AND alias = ? AND author = ?",
        [version.id, alias, author],
    )
    if known == (comment,):
        return
    if known is None:
        if tx.value("SELECT count(*) FROM approvals WHERE version_id = ?", [version.id]) >= MAX_APPROVALS:
            raise ResourceExhausted(
                f"{version.ref} has {MAX_APPROVALS} approvals already", limit=MAX_APPROVALS
            )
        tx.run(
            "INSERT INTO approvals (version_id, alias, author, comment, at) VALUES (?, ?, ?, ?, ?)",
            [version.id, alias, author, comment, tx.now],
        )
    else:
        tx.run(
            "UPDATE approvals SET comment = ? WHERE version_id = ? AND alias = ? AND author = ?",
            [comment, version.id, alias, author],
        )
    events.record(tx, "version.approved", version.ref.wire, alias=alias, author=author, comment=comment)


def withdraw(tx: Transaction, version: Version, alias: str, author: str) -> None:
    """Take an approval back; nothing happens when there is none."""
    removed = tx.run(
        "DELETE FROM approvals WHERE version_id = ? AND alias = ? AND author = ?",
        [version.id, alias, author],
    )
    if removed:
        events.record(tx, "version.approval_withdrawn", version.ref.wire, alias=alias, author=author)

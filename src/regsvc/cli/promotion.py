"""`regsvc promote`, `rollback`, `gate`, `approve`, `approvals`, `mark` and `resolve`: moving aliases by rules."""

from __future__ import annotations

import sys
from dataclasses import asdict
from datetime import datetime
from typing import Any

import click
from rich.markup import escape

from regsvc import refs
from regsvc.cli.models import change_document, version_document
from regsvc.cli.output import (
    connect_from_context,
    console,
    emit_json,
    human_time,
    json_option,
    json_time,
)
from regsvc.cli.output import table as new_table
from regsvc.cli.records import print_rows
from regsvc.cli.references import beside
from regsvc.client.client import Client
from regsvc.client.promoting import AliasRules, Approval, Promotability
from regsvc.client.records import Alias

REFUSED = 1
"""Exit status when the answer is no."""

_ALIAS = "[NAMESPACE/]MODEL@ALIAS"
_expect = click.option("--expect", metavar="REF", help="Only if the alias names this version now.")
_dry_run = click.option("--dry-run", is_flag=True, help="Only say what would happen.")
_reason = click.option("--reason", default="", metavar="TEXT", help="Why; kept in the history.")


@click.command()
@click.argument("ref")
@click.argument("alias_name", metavar="ALIAS")
@_expect
@_reason
@_dry_run
@json_option
@click.pass_context
def promote(
    ctx: click.Context,
    ref: str,
    alias_name: str,
    expect: str | None,
    reason: str,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Point ALIAS of REF's model at REF, if the alias's gate and approvals allow it.

    Exit status 1 when it is refused, and nothing has moved then; the message names what is in the way.
    """
    client = _client(ctx, ref)
    done = client.promote(
        ref, alias_name, expect=expect and beside(expect, ref), reason=reason, dry_run=dry_run
    )
    allowed = done.promotability.allowed
    if as_json:
        emit_json(
            {
                "alias": alias_name,
                "reference": None if done.alias is None else done.alias.reference,
                "previous": done.previous,
                "dry_run": dry_run,
                **promotability_document(done.promotability),
            }
        )
    elif dry_run:
        _print_promotability(done.promotability)
    elif done.alias is not None:
        _print_move(done.alias, done.previous)
    if not allowed:
        sys.exit(REFUSED)


@click.command()
@click.argument("name", metavar=_ALIAS)
@click.option("--to", metavar="REF", help="A version that it named once.  [default: the one before]")
@_expect
@_reason
@click.option("--mark-bad", is_flag=True, help="Also mark the version that it leaves as bad, for --reason.")
@_dry_run
@json_option
@click.pass_context
def rollback(
    ctx: click.Context,
    name: str,
    to: str | None,
    expect: str | None,
    reason: str,
    mark_bad: bool,
    dry_run: bool,
    as_json: bool,
) -> None:
    """Move an alias back to the version it named before, passing over bad ones. Again goes one further back.

    Gate and approvals are not asked.
    """
    if mark_bad and not reason.strip():
        raise click.UsageError("--mark-bad needs a --reason")
    to, expect = to and beside(to, name), expect and beside(expect, name)
    done = _client(ctx, name).rollback(
        name, to=to, expect=expect, reason=reason, mark_bad=mark_bad, dry_run=dry_run
    )
    if as_json:
        emit_json(
            {
                "alias": done.alias.alias,
                "reference": done.alias.reference,
                "previous": done.previous,
                "skipped": list(done.skipped),
                "dry_run": dry_run,
            }
        )
        return
    if dry_run:
        console().print("[dim]nothing was moved:[/dim] ", end="")
    _print_move(done.alias, done.previous)
    for reference in done.skipped:
        console().print(f"[dim]passed over {escape(reference)}[/dim]")


@click.group()
def gate() -> None:
    """Set, show and try what an alias may name."""


@gate.command("set")
@click.argument("name", metavar=_ALIAS)
@click.option("--gate", "expression", metavar="EXPR", help="CEL over version and current; '' takes it away.")
@click.option(
    "--approvals", type=click.IntRange(0, 100), metavar="N", help="By others than who pushed the version."
)
@click.option("--protected/--no-protected", default=None, help="Only promote and rollback move it.")
@json_option
@click.pass_context
def gate_set(
    ctx: click.Context,
    name: str,
    expression: str | None,
    approvals: int | None,
    protected: bool | None,
    as_json: bool,
) -> None:
    """Change the rules of an alias; what is not named stays. The alias need not exist.

    \b
    regsvc gate set team/fraud@prod --gate 'version.metrics.f1 > 0.7' --approvals 1
    regsvc gate set team/fraud@prod --gate '' --approvals 0 --no-protected
    """
    client = _client(ctx, name)
    now = client.alias_rules(name)
    made = client.set_alias_rules(
        name,
        protected=now.protected if protected is None else protected,
        gate=now.gate if expression is None else expression,
        approvals=now.approvals if approvals is None else approvals,
        etag=now.etag,
    )
    _show_rules(made, as_json)


@gate.command("show")
@click.argument("name", metavar=_ALIAS)
@json_option
@click.pass_context
def gate_show(ctx: click.Context, name: str, as_json: bool) -> None:
    """Show the rules of an alias."""
    _show_rules(_client(ctx, name).alias_rules(name), as_json)


@gate.command("test")
@click.argument("name", metavar=_ALIAS)
@click.argument("ref")
@click.option("--gate", "expression", default="", metavar="EXPR", help="In place of that of the alias.")
@click.option("--current", metavar="REF", help="In place of the version that the alias names.")
@json_option
@click.pass_context
def gate_test(
    ctx: click.Context, name: str, ref: str, expression: str, current: str | None, as_json: bool
) -> None:
    """Say what the gate of an alias thinks of REF, moving nothing. Exit status 1 when it is closed."""
    ref, current = beside(ref, name), current and beside(current, name)
    found = _client(ctx, name).test_gate(name, ref, gate=expression, current=current)
    if as_json:
        emit_json(promotability_document(found))
    else:
        _print_promotability(found)
    closed = found.gate not in ("", "true")
    if not as_json:
        console().print(f"the gate is {'closed' if closed else 'open'}")
    if closed:
        sys.exit(REFUSED)


@click.command()
@click.argument("ref")
@click.argument("alias_name", metavar="ALIAS")
@click.option("--comment", default="", metavar="TEXT")
@click.option("--withdraw", is_flag=True, help="Take the approval back.")
@json_option
@click.pass_context
def approve(
    ctx: click.Context, ref: str, alias_name: str, comment: str, withdraw: bool, as_json: bool
) -> None:
    """Approve REF for ALIAS, as REGSVC_AUTHOR or your login name. Who pushed it cannot."""
    client = _client(ctx, ref)
    if withdraw:
        client.withdraw_approval(ref, alias_name)
        if as_json:
            emit_json({})
        return
    given = client.approve(ref, alias_name, comment=comment)
    if as_json:
        emit_json(_approval_document(given))
    else:
        console().print(
            f"{escape(given.reference)} approved for {escape(given.alias)} by {escape(given.author)}"
        )


@click.command()
@click.argument("ref")
@json_option
@click.pass_context
def approvals(ctx: click.Context, ref: str, as_json: bool) -> None:
    """List the approvals of REF, oldest first."""
    found = _client(ctx, ref).approvals(ref)
    if as_json:
        emit_json([_approval_document(each) for each in found])
        return
    table = new_table("TIME", "ALIAS", "AUTHOR", "COMMENT")
    for each in found:
        table.add_row(human_time(each.time), escape(each.alias), escape(each.author), escape(each.comment))
    console().print(table)


@click.command()
@click.argument("ref")
@click.argument("verdict", type=click.Choice(["bad", "good"]))
@click.option("--reason", default="", metavar="TEXT", help="Why; required when bad.")
@json_option
@click.pass_context
def mark(ctx: click.Context, ref: str, verdict: str, reason: str, as_json: bool) -> None:
    """Mark REF as bad, or as good again. No alias is moved to a bad version; those that name it stay."""
    if verdict == "bad" and not reason.strip():
        raise click.UsageError("bad needs a --reason")
    version = _client(ctx, ref).mark(ref, bad=verdict == "bad", reason=reason)
    if as_json:
        emit_json(version_document(version))
    else:
        console().print(f"{escape(version.reference)} is {verdict}")


@click.command()
@click.argument("name", metavar=_ALIAS)
@click.option("--at", "when", metavar="TIME", help="As 2026-01-31T12:00Z; without an offset local.")
@json_option
@click.pass_context
def resolve(ctx: click.Context, name: str, when: str | None, as_json: bool) -> None:
    """Say which version an alias names, or named at TIME, by the clock of the server."""
    found = _client(ctx, name).resolve(name, at=None if when is None else _moment(when))
    if as_json:
        emit_json({**version_document(found.version), "change": change_document(found.change)})
        return
    change = found.change
    by = f" by {change.author}" if change.author else ""
    why = f": {change.reason}" if change.reason else ""
    console().print(
        f"{escape(found.version.reference)}  [dim]since {human_time(change.time)},"
        f" {escape(change.kind + by + why)}[/dim]"
    )


def promotability_document(found: Promotability) -> dict[str, Any]:
    """The JSON form."""
    return {
        "allowed": found.allowed,
        "gate": found.gate or None,
        "terms": [
            {
                "expression": term.expression,
                "verdict": term.verdict,
                "error": term.error or None,
                "values": dict(term.values),
            }
            for term in found.terms
        ],
        "approvals": found.approvals,
        "approvals_required": found.approvals_required,
        "refusals": list(found.refusals),
    }


def _client(ctx: click.Context, ref: str) -> Client:
    return connect_from_context(ctx, refs.parse_reference(ref).server)


def _moment(text: str) -> datetime:
    try:
        return datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        raise click.BadParameter(f"{text!r} is no time; write 2026-01-31T12:00Z", param_hint="--at") from None


def _print_move(alias: Alias, previous: str | None) -> None:
    before = f"  [dim]was {escape(previous)}[/dim]" if previous and previous != alias.reference else ""
    console().print(f"{escape(alias.alias)} -> {escape(alias.reference)}{before}")


def _print_promotability(found: Promotability) -> None:
    if found.terms:
        table = new_table("TERM", "IS", "SAW")
        for term in found.terms:
            saw = ", ".join(
                f"{path} = {'missing' if value is None else value}" for path, value in term.values
            )
            table.add_row(escape(term.expression), term.verdict, escape(term.error or saw))
        console().print(table)
    if found.approvals_required:
        console().print(f"{found.approvals} of {found.approvals_required} approvals")
    console().print("allowed" if found.allowed else "refused:")
    for line in found.refusals:
        console().print(f"  {escape(line)}")


def _show_rules(rules: AliasRules, as_json: bool) -> None:
    if as_json:
        emit_json({**asdict(rules), "updated": json_time(rules.updated)})
        return
    print_rows(
        [
            ("alias", rules.alias),
            ("protected", "yes" if rules.protected else "no"),
            ("gate", rules.gate or "-"),
            ("approvals", str(rules.approvals)),
        ]
    )


def _approval_document(given: Approval) -> dict[str, Any]:
    return {**asdict(given), "time": json_time(given.time)}

"""`regsvc record` and `regsvc note`: how a version was made, and what was said of it later."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, ParamSpec, TypeVar

import click
from rich.markup import escape
from rich.table import Table

from regsvc import refs
from regsvc.cli.output import (
    connect_from_context,
    console,
    emit_bytes,
    emit_json,
    human_size,
    human_time,
    json_option,
    json_time,
)
from regsvc.client.author import author as who
from regsvc.client.capture import NOTHING, Capture
from regsvc.client.capture import capture as take_capture
from regsvc.client.provenance import Note, SealedRecord
from regsvc.content.record import Environment, TensorSpec, document, has_only_untracked

P = ParamSpec("P")
R = TypeVar("R")

_SHOWN_PACKAGES = 8


def capture_options(command: Callable[P, R]) -> Callable[P, R]:
    """Whether code and environment are recorded; the function gets `capture` and `snapshot`."""
    command = click.option(
        "--snapshot", is_flag=True, help="Also keep the sources: what git tracks of the folder you are in."
    )(command)
    return click.option(
        "--no-capture", "capture", flag_value=False, default=True, help="No code, no environment."
    )(command)


def captured(capture: bool, snapshot: bool) -> Capture:
    """What these options say."""
    return take_capture(snapshot=snapshot) if capture else NOTHING


def record_options(command: Callable[P, R]) -> Callable[P, R]:
    """What a push can say of its record; the function gets card, labels, parents, datasets and more."""
    options: tuple[Callable[[Callable[P, R]], Callable[P, R]], ...] = (
        capture_options,
        click.option(
            "--image", default="", metavar="REF[@DIGEST]", help="Container image that it was made in."
        ),
        click.option("--format", default="", metavar="F", help="Of the files: safetensors, gguf, onnx ..."),
        click.option("--framework", default="", metavar="F", help="pytorch, sklearn ..."),
        click.option(
            "--parent",
            "parents",
            multiple=True,
            metavar="RELATION=REF",
            callback=_parents,
            help="What it was made from: fine-tuned, quantised, merged, distilled or converted, and a version or a"
            " URI such as hf:org/model.  Repeatable.",
        ),
        click.option(
            "--dataset",
            "datasets",
            multiple=True,
            metavar="[SPLIT=]DATASET",
            callback=_datasets,
            help="What it was trained or tested on, as train=team/transactions:3.  Repeatable.",
        ),
        click.option(
            "--label", "labels", multiple=True, metavar="L", help="A word to find it by.  Repeatable."
        ),
        click.option(
            "--card",
            type=click.File(encoding="utf-8"),
            metavar="FILE",
            help="Model card, Markdown; - is stdin.",
        ),
    )
    for option in options:
        command = option(command)
    return command


@click.command("record")
@click.argument("ref")
@click.option("--attachment", "attachment", metavar="NAME", help="Write this attachment to stdout.")
@click.option("--sealed", is_flag=True, help="Write the sealed text, whose BLAKE3 is the record digest.")
@click.option("--card", "only_card", is_flag=True, help="Write the model card.")
@json_option
@click.pass_context
def record(
    ctx: click.Context, ref: str, attachment: str | None, sealed: bool, only_card: bool, as_json: bool
) -> None:
    """Show how a version, or a build, was made: code, environment, image, signature, parents, labels, card."""
    client = connect_from_context(ctx, refs.parse_source(ref)[0])
    if attachment is not None:
        emit_bytes(client.attachment(ref, attachment))
        return
    found = client.record(ref)
    if sealed:
        emit_bytes(found.sealed_text)
    elif only_card:
        card = found.record.card
        emit_bytes((card if card.endswith("\n") else f"{card}\n").encode())
    elif as_json:
        emit_json(record_document(found))
    else:
        print_rows([*record_rows(found), *_packages(found.record.environment)])
        if found.record.card:
            console().print()
            console().print(escape(found.record.card.rstrip()))


@click.group()
def note() -> None:
    """Add notes to versions, and read them. A note is never changed or removed."""


@note.command("add")
@click.argument("ref")
@click.argument("text")
@click.option("--author", metavar="NAME", help="Who says so.  [default: REGSVC_AUTHOR, or your login name]")
@json_option
@click.pass_context
def note_add(ctx: click.Context, ref: str, text: str, author: str | None, as_json: bool) -> None:
    """Add a note, Markdown, to a version."""
    client = connect_from_context(ctx, refs.parse_reference(ref).server)
    made = client.add_note(ref, text, author=author or _login())
    if as_json:
        emit_json(note_document(made))
    else:
        console().print(f"noted by {escape(made.author)} at {human_time(made.time)}")


@note.command("ls")
@click.argument("ref")
@json_option
@click.pass_context
def note_ls(ctx: click.Context, ref: str, as_json: bool) -> None:
    """List the notes on a version, oldest first."""
    found = list(connect_from_context(ctx, refs.parse_reference(ref).server).notes(ref))
    if as_json:
        emit_json([note_document(each) for each in found])
        return
    for each in found:
        console().print(f"[dim]{human_time(each.time)}  {escape(each.author)}[/dim]  {escape(each.text)}")


def record_document(found: SealedRecord) -> dict[str, Any]:
    """The JSON form of a record."""
    return {
        **document(found.record),
        "attachments": [
            {"name": each.name, "size": each.size, "digest": each.digest.hex()} for each in found.attachments
        ],
        "digest": found.digest,
    }


def note_document(each: Note) -> dict[str, Any]:
    """The JSON form of a note."""
    return {"author": each.author, "text": each.text, "time": json_time(each.time)}


def record_rows(found: SealedRecord) -> Iterator[tuple[str, str]]:
    """What is known, as rows of a table."""
    record, code = found.record, found.record.code
    if code.commit or code.remote:
        changes = " with untracked files" if has_only_untracked(record) else " with changes"
        state = changes if code.dirty else ""
        branch = f" on {code.branch}" if code.branch else ""
        yield "code", f"{code.remote} {code.commit[:12]}{branch}{state}".strip()
    yield from _environment_rows(record.environment)
    yield "image", "@".join(part for part in (record.image.reference, record.image.digest) if part)
    yield "framework", " ".join(part for part in (record.framework, record.format) if part)
    yield "inputs", ", ".join(map(_spec, record.signature.inputs))
    yield "outputs", ", ".join(map(_spec, record.signature.outputs))
    for parent in record.parents:
        relation = parent.relation.name.lower().replace("_", "-") if parent.relation else "from"
        name = str(refs.version_from_wire(parent.version)) if parent.version else parent.uri
        yield "parent", f"{relation} {name}"
    for use in record.datasets:
        split = f" ({use.split})" if use.split else ""
        yield "dataset", f"{refs.dataset_from_wire(use.dataset)}{split} b3:{use.digest[:16]}"
    yield "labels", " ".join(record.labels)
    for each in found.attachments:
        yield "attachment", f"{each.name}  {human_size(each.size)}  {each.digest.hex()[:16]}"
    for gap in record.gaps:
        yield "gap", gap
    yield "record", f"b3:{found.digest}" if found.digest else ""


def print_rows(rows: list[tuple[str, str]]) -> None:
    """Name and value, those that have one."""
    table = Table(box=None, show_header=False, pad_edge=False)
    for key, value in rows:
        if value:
            table.add_row(f"[dim]{escape(key)}[/dim]", escape(value))
    console().print(table)


def _environment_rows(environment: Environment) -> Iterator[tuple[str, str]]:
    if environment.python:
        count = len(environment.packages)
        yield "environment", f"Python {environment.python}, {count} packages, {environment.platform}"
    if environment.cpu:
        memory = f", {human_size(environment.memory_bytes)}" if environment.memory_bytes else ""
        yield "machine", f"{environment.cores} x {environment.cpu}{memory}"
    for each in environment.accelerators:
        yield "accelerator", f"{each.name}, {human_size(each.memory_bytes)}, driver {each.driver}"
    for name, value in environment.variables.items():
        yield f"variable {name}", value


def _packages(environment: Environment) -> list[tuple[str, str]]:
    listed = [f"{name}=={version}" for name, version in environment.packages.items()]
    rows = [listed[start : start + _SHOWN_PACKAGES] for start in range(0, len(listed), _SHOWN_PACKAGES)]
    return [("packages" if not place else " ", "  ".join(row)) for place, row in enumerate(rows)]


def _spec(spec: TensorSpec) -> str:
    shape = "x".join("?" if size < 0 else str(size) for size in spec.shape)
    return f"{spec.name} {spec.dtype}{f' [{shape}]' if shape else ''}"


def _parents(ctx: click.Context, option: click.Parameter, pairs: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for pair in pairs:
        relation, equals, name = pair.partition("=")
        if not equals or not name:
            raise click.BadParameter(f"{pair!r} is not RELATION=REF")
        found[name] = relation
    return found


def _datasets(ctx: click.Context, option: click.Parameter, pairs: tuple[str, ...]) -> dict[str, str]:
    found = {}
    for pair in pairs:
        split, equals, name = pair.rpartition("=")
        found[name] = split if equals else ""
    return found


def _login() -> str:
    name = who()
    if not name:
        raise click.UsageError("say who you are by --author")
    return name

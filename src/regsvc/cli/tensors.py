"""`regsvc tensors`: what the tensor files of a version hold."""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase
from math import prod
from typing import Any

import click
from rich.markup import escape
from rich.table import Table

from regsvc import refs
from regsvc.cli.output import connect_from_context, console, emit_json, human_size, json_option
from regsvc.client.tensor_arrays import Tensor
from regsvc.client.tensors import Tensors


@click.command()
@click.argument("ref")
@click.argument("names", nargs=-1, metavar="[NAME]...")
@click.option(
    "--file", "files", metavar="PATH", multiple=True, help="Only of this file, however it is called."
)
@json_option
@click.pass_context
def tensors(
    ctx: click.Context, ref: str, names: tuple[str, ...], files: tuple[str, ...], as_json: bool
) -> None:
    """List the tensors of a version's safetensors and GGUF files: name, type, shape, size and file.

    With NAME only those; it may be a pattern such as 'layers.0.*'. Only the files' headers are read.
    """
    listed = connect_from_context(ctx, refs.parse_reference(ref).server).tensors(ref, files)
    chosen = _chosen(listed, names)
    parameters, size = sum(prod(each.shape) for each in chosen), sum(each.nbytes for each in chosen)
    if as_json:
        emit_json(
            {
                "reference": listed.version,
                "tensors": [_document(each) for each in chosen],
                "parameters": parameters,
                "bytes": size,
            }
        )
        return
    table = Table(box=None, pad_edge=False)
    for title in ("NAME", "TYPE", "SHAPE", "SIZE", "FILE"):
        table.add_column(title, no_wrap=True)
    for each in chosen:
        shape = "x".join(map(str, each.shape)) or "scalar"
        table.add_row(_text(each.name), _text(each.dtype), shape, human_size(each.nbytes), _text(each.file))
    console().print(table)
    console().print(f"{len(chosen)} tensors, {parameters:,} parameters, {human_size(size)}")


def _chosen(listed: Tensors, names: Sequence[str]) -> list[Tensor]:
    """The tensors that any of the names or patterns names, in order. Raises `NotFound` for one that names none."""
    if not names:
        return list(listed.infos())
    keys: set[str] = set()
    for name in names:
        found = {
            each.key
            for each in listed.infos()
            if name in {each.name, each.key} or fnmatchcase(each.name, name)
        }
        if not found:
            found = {listed.info(name).key}
        keys |= found
    return [each for each in listed.infos() if each.key in keys]


def _document(tensor: Tensor) -> dict[str, Any]:
    return {
        "name": tensor.name,
        "dtype": tensor.dtype,
        "shape": list(tensor.shape),
        "bytes": tensor.nbytes,
        "file": tensor.file,
    }


def _text(text: str) -> str:
    """What a file says, so that neither terminal nor markup obeys it."""
    return escape(text if text.isprintable() else text.encode("unicode_escape").decode("ascii"))

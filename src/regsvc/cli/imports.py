"""`regsvc import`: bring what other registries and folders hold, with its history, and without doubles."""

from __future__ import annotations

import click

from regsvc.cli.lazy import LazyGroup

_COMMANDS = {
    "mlflow": ("regsvc.cli.import_mlflow:mlflow", "Models, versions and runs of an MLflow store."),
    "archive": ("regsvc.cli.exporting:archive", "What `regsvc export` wrote into a file."),
    "hf": ("regsvc.cli.import_hf:hf", "A Hugging Face snapshot or cache folder."),
}


@click.group(cls=LazyGroup, lazy=_COMMANDS)
def imports() -> None:
    """Bring models from elsewhere. Importing again adds only what is new."""

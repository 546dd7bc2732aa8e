"""The root of the command line. A command's module is imported only when the command is used."""

from __future__ import annotations

import click

from regsvc.cli.lazy import LazyGroup
from regsvc.version import __version__

_COMMANDS = {
    "serve": ("regsvc.cli.serve:serve", "Run a server on a data directory."),
    "push": ("regsvc.cli.transfer:push", "Store a folder or file as a new version."),
    "pull": ("regsvc.cli.transfer:pull", "Fetch a version into a folder."),
    "ls": ("regsvc.cli.models:ls", "List models, or the versions of one."),
    "show": ("regsvc.cli.models:show", "Show one version."),
    "record": ("regsvc.cli.records:record", "Show how a version was made."),
    "note": ("regsvc.cli.records:note", "Add and list notes on versions."),
    "lineage": ("regsvc.cli.lineage:lineage", "Show what a version was made from, and into."),
    "dataset": ("regsvc.cli.datasets:dataset", "Profile, list, show and compare datasets."),
    "metrics": ("regsvc.cli.metrics:metrics", "List metric series, or print one."),
    "define-metric": ("regsvc.cli.metrics:define_metric", "Say which values of a metric are better."),
    "evaluate": ("regsvc.cli.metrics:evaluate", "Add metrics to a published version."),
    "plot": ("regsvc.cli.metrics:plot", "Draw a metric of versions or builds."),
    "search": ("regsvc.cli.search:search", "Find versions, builds and models by an expression."),
    "compare": ("regsvc.cli.compare:compare", "Show what differs between versions or builds."),
    "files": ("regsvc.cli.models:files", "List the files of a version."),
    "tensors": ("regsvc.cli.tensors:tensors", "List the tensors of a version."),
    "alias": ("regsvc.cli.models:alias", "List and set aliases, and see their history."),
    "promote": (
        "regsvc.cli.promotion:promote",
        "Point an alias at a version, if its gate and approvals allow it.",
    ),
    "rollback": ("regsvc.cli.promotion:rollback", "Move an alias back to the version it named before."),
    "gate": ("regsvc.cli.promotion:gate", "Set, show and try what an alias may name."),
    "approve": ("regsvc.cli.promotion:approve", "Approve a version for an alias."),
    "approvals": ("regsvc.cli.promotion:approvals", "List the approvals of a version."),
    "mark": ("regsvc.cli.promotion:mark", "Mark a version as bad, or as good again."),
    "history": ("regsvc.cli.models:history", "Print everything that an alias ever named."),
    "resolve": ("regsvc.cli.promotion:resolve", "Say what an alias names, or named at a time."),
    "follow": ("regsvc.cli.deployment:follow", "Keep a folder equal to what an alias names."),
    "deployments": ("regsvc.cli.deployment:deployments", "List who serves what."),
    "archive": ("regsvc.cli.lifecycle:archive", "Put a version away, or take it out again."),
    "rm": ("regsvc.cli.lifecycle:rm", "Delete a version."),
    "undelete": ("regsvc.cli.lifecycle:undelete", "Have a deleted version back."),
    "stats": ("regsvc.cli.storage:stats", "Tell what versions take, and what deleting them would free."),
    "gc": ("regsvc.cli.storage:gc", "Free what nobody needs any more."),
    "retention": ("regsvc.cli.retention:retention", "Say which versions of a model are kept."),
    "cp": ("regsvc.cli.lifecycle:cp", "Make a version of one model also one of another."),
    "mv": ("regsvc.cli.lifecycle:mv", "Give a model another name."),
    "build": ("regsvc.cli.builds:build", "Run, list, show and cancel builds."),
    "template": ("regsvc.cli.templates:template", "Set, list, show, pause and delete templates of builds."),
    "run": ("regsvc.cli.templates:run", "Queue a build of a template."),
    "rerun": ("regsvc.cli.templates:rerun", "Queue the same build again."),
    "runner": ("regsvc.cli.runner:runner", "Take queued builds and execute them on this machine."),
    "runners": ("regsvc.cli.templates:runners", "List who executes builds."),
    "logs": ("regsvc.cli.logs:logs", "Print or follow the log of a build."),
    "watch": ("regsvc.cli.events:watch", "Print what changes in the registry, as it happens."),
    "webhook": ("regsvc.cli.webhooks:webhook", "Send what changes to HTTP endpoints, signed."),
    "import": ("regsvc.cli.imports:imports", "Bring models from an archive, MLflow or Hugging Face."),
    "export": ("regsvc.cli.exporting:export", "Bring models into an archive or another server."),
    "mirror": ("regsvc.cli.exporting:mirror", "Keep a server equal to another one."),
    "cache": ("regsvc.cli.cache:cache", "List, prune and verify what pulls keep on this machine."),
}
"""Command to its home and its line in `regsvc --help`, in that order."""


@click.group(cls=LazyGroup, lazy=_COMMANDS, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--server",
    metavar="HOST:PORT",
    envvar="REGSVC_ENDPOINT",
    help="Server to talk to, also unix:/PATH.  [env REGSVC_ENDPOINT; default 127.0.0.1:7070]",
)
@click.version_option(__version__, prog_name="regsvc")
def regsvc(server: str | None) -> None:
    """A model registry: push, pull and watch models and the builds that make them.

    REF is [regsvc://host[:port]/][NAMESPACE/]MODEL, then :N, @ALIAS or @b3:DIGEST; with none of them the
    latest version. Where a command takes several of one model, those behind the first may begin with : or @.
    """

"""The SDK's front: one client a server, with the verbs of the command line as methods."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from regsvc.client.verbs.builds import Builds
from regsvc.client.verbs.deployments import Deployments
from regsvc.client.verbs.metrics import Metrics
from regsvc.client.verbs.models import Models
from regsvc.client.verbs.promotions import Promotions
from regsvc.client.verbs.records import Records
from regsvc.client.verbs.runners import Runners
from regsvc.client.verbs.templates import Templates
from regsvc.client.verbs.webhooks import Webhooks
from regsvc.refs import DEFAULT_NAMESPACE

if TYPE_CHECKING:
    from regsvc.client.following import Follower, Happening, OnChange
    from regsvc.client.importing.hf import ImportReport, Listener
    from regsvc.client.importing.mlflow_report import MlflowReport
    from regsvc.client.importing.mlflow_report import Progress as LineListener

ENDPOINT_VARIABLE = "REGSVC_ENDPOINT"
DEFAULT_ENDPOINT = "127.0.0.1:7070"


def connect(endpoint: str | None = None) -> Client:
    """A client of the server at `endpoint`, `host:port` or `unix:/path`.

    Without one: what the environment variable REGSVC_ENDPOINT says, else 127.0.0.1:7070. Nothing is sent yet.
    """
    return Client(endpoint or os.environ.get(ENDPOINT_VARIABLE) or DEFAULT_ENDPOINT)


class Client(Models, Promotions, Records, Metrics, Builds, Deployments, Templates, Runners, Webhooks):
    """A model registry. Any number of threads may use one; close it, or use it as a context manager.

    References are `[namespace/]model[:N | @alias | @b3:HEX]`; one that begins with `regsvc://host[:port]/` goes
    to that server. Calls wait about 90 s for a server that went away and raise `Unavailable` after that; every
    method may raise that, and `NameInvalid` for a malformed reference.
    """

    def follow(
        self,
        alias: str,
        dest: str | os.PathLike[str],
        *,
        on_change: OnChange | None = None,
        on_happening: Callable[[Happening], None] | None = None,
        layout: str = "plain",
        host: str | None = None,
        labels: Mapping[str, str] | None = None,
        keep: int = 1,
    ) -> Follower:
        """Keep the folder `dest` equal to what an alias names (docs/deployment.md).

        `with client.follow(...)` follows beside the block, `.run()` until `.stop()`. `on_change` makes whoever serves
        take a version; if it raises, the version before is served again. `keep` is how many others stay. Raises
        `NameInvalid`, `InvalidArgument` (layout).
        """
        from regsvc.client.following import Follower

        return Follower(
            self,
            alias,
            dest,
            on_change=on_change,
            on_happening=on_happening,
            layout=layout,
            host=host,
            labels=labels,
            keep=keep,
        )

    def plot(
        self,
        references: Sequence[str],
        metrics: str | Sequence[str],
        output: str | os.PathLike[str],
        *,
        sources: str | Sequence[str] = "",
        by: str = "step",
        log: bool = False,
        title: str = "",
    ) -> list[str]:
        """Draw metrics of versions and builds into a PNG, SVG or PDF; gives the names of what has none of them.

        Each metric has a panel, each version or build a line by `step` or `time`; `sources` are those who measured,
        `""` the build itself; `log` scales by powers of ten. Needs `regsvc[plot]`. Raises `NotFound`,
        `InvalidArgument`, `FailedPrecondition` (no matplotlib), `OSError`.
        """
        from regsvc.client.plotting import plot

        return plot(self, references, metrics, output, sources=sources, by=by, log=log, title=title)

    def plot_drift(self, before: str, after: str, output: str | os.PathLike[str], *, most: int = 12) -> None:
        """Draw the columns of two datasets that drifted most, by PSI, into a PNG, SVG or PDF.

        Needs `regsvc[plot]`. Raises as `compare_datasets`, and `FailedPrecondition` (no matplotlib), `OSError`.
        """
        from regsvc.client.drift_plot import plot_drift

        plot_drift(self, before, after, output, most=most)

    def import_hf(
        self,
        path: str | os.PathLike[str],
        *,
        model: str | None = None,
        namespace: str | None = None,
        revision: str | None = None,
        dry_run: bool = False,
        progress: Listener | None = None,
    ) -> ImportReport:
        """Import every snapshot in a Hugging Face cache, repository or model folder that is not there yet.

        `org/name` becomes namespace and model unless `model` or `namespace` say otherwise; `revision` takes one. What
        cannot be imported is in the report with its reason, and the rest goes on. Raises `InvalidArgument`,
        `NotFound` (no such revision), `NameInvalid`, `OSError`.
        """
        from regsvc.client.importing.hf import import_hf

        return import_hf(
            self,
            path,
            model=model,
            namespace=namespace,
            revision=revision,
            dry_run=dry_run,
            progress=progress,
        )

    def import_mlflow(
        self,
        uri: str,
        *,
        namespace: str = DEFAULT_NAMESPACE,
        models: Sequence[str] = (),
        runs: str | None = None,
        dry_run: bool = False,
        progress: LineListener | None = None,
    ) -> MlflowReport:
        """Bring models, versions and runs of an MLflow store, `./mlruns` or `sqlite:///FILE`, with their history.

        The store is only read; importing again adds what is new. `models` are names of registered models; `runs` is
        `all`, `registered` or `none`. What fails is in the report and the rest comes in. Needs `regsvc[mlflow]`. Raises
        `FailedPrecondition` (no mlflow, a store that it cannot read), `NotFound`, `InvalidArgument`, `NameInvalid`.
        """
        from regsvc.client.importing.mlflow_import import import_mlflow

        return import_mlflow(
            self, uri, namespace=namespace, models=models, runs=runs, dry_run=dry_run, progress=progress
        )

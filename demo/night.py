"""The scene of the night: new data has a model trained by a runner, and a gate decides whether it is taken."""

from __future__ import annotations

import json
import shutil
import sys
from typing import Any

import regsvc
from demo.evaluate import CONTRACTS, PARAPHRASES, as_table
from demo.hosts import wait_for
from demo.processes import ROOT, finished
from demo.telling import MODEL, Story, heading, holds, say, show

TEMPLATE, ALIAS = f"{MODEL}/nightly", f"{MODEL}@nightly"
BOLD, CAREFUL = 3.0, 0.02
"""Noise in a layer, as a part of its spread: more than the model stands, and less."""
GATE = "version.metrics.accuracy > 0.9 && version.metrics.accuracy >= current.metrics.accuracy"


def night(story: Story) -> None:
    """A template with a schedule and a trigger, a runner, a gate that first refuses and then lets in."""
    command, work = story.command, story.work
    heading(
        "A template trains anew each night, and when there is new data; a runner executes it, a gate decides"
    )
    command.json("alias", "set", f"{MODEL}:1", "nightly")
    command.json("gate", "set", ALIAS, "--gate", GATE)
    code = work / "training"
    shutil.copytree(ROOT / "demo", code / "demo", ignore=shutil.ignore_patterns("__pycache__"))
    file = work / "nightly.toml"
    file.write_text(_template())
    template = command.json("template", "set", TEMPLATE, str(file), "--folder", str(code))
    say(f"  runs next at {template['next_run']}, and for each new version of demo/paraphrases")
    folder = work / "runner"
    with command.started("runner", "--name", "night-1", "--work", str(folder), "--json") as runner:
        with regsvc.connect(story.endpoint) as client:
            data = client.log_dataset(as_table((*CONTRACTS, *PARAPHRASES[:4])), "demo/paraphrases")
        say(f"{data.reference} is logged, from Python")
        first = _followed(story, _queued_by_event(story))
        run = first["run"]
        holds("the new data had a build queued", run["trigger"] == "event" and run["runner"] == "night-1")
        holds("its version is published", len(first["versions"]) == 1)
        say(f"  promotion: {first['tags']['promotion']}")
        holds("but the gate kept it out", _named(story) == f"{MODEL}:1")

        again = command.json("rerun", first["build"], "--param", f"noise={CAREFUL}")
        second = _followed(story, again["build"])
        [better] = second["versions"]
        holds("run again with less noise it was let in", _named(story) == better)
        holds("the two builds name each other", second["run"]["rerun_of"] == first["build"])
        holds("it read the same inputs", second["run"]["inputs"] == run["inputs"])
        show(story, "runners")
        runner.terminate()
        finished(runner, "runner")
    holds("the runner has left nothing behind", not any(folder.glob("*/*")))
    show(story, "history", ALIAS)


def _template() -> str:
    step = [sys.executable, "-m", "demo.training"]
    return f"""description = "tune a layer, and measure"
timeout_seconds = 600

[[steps]]
name = "tune"
command = {json.dumps([*step, "tune", "base", "out"])}

[[steps]]
name = "evaluate"
command = {json.dumps([*step, "evaluate", "out"])}

[params]
layer = 3
noise = {BOLD}

[[inputs]]
version = "{ALIAS}"
folder = "base"

[[outputs]]
path = "out"
promote = "nightly"

[retries]
lost = 2

[schedule]
cron = "30 2 * * *"
time_zone = "Europe/Berlin"

[[triggers]]
filter = 'kind == "dataset.created" && resource.startsWith("namespaces/demo/datasets/paraphrases/")'
"""


def _queued_by_event(story: Story) -> str:
    found: list[str] = []

    def queued() -> bool:
        with regsvc.connect(story.endpoint) as client:
            found[:] = [each.name for each in client.builds(MODEL) if each.run is not None]
        return bool(found)

    wait_for(queued, "the trigger to queue a build")
    return found[0]


def _followed(story: Story, name: str) -> dict[str, Any]:
    """Follow the log to its end; the build then."""
    show(story, "logs", "-f", name)
    build: dict[str, Any] = story.command.json("build", "show", name)
    holds(f"{name} succeeded", build["state"] == "SUCCEEDED")
    return build


def _named(story: Story) -> str:
    """What the alias names now."""
    return str(story.command.json("show", ALIAS)["reference"])

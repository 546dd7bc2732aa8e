"""What regsvc does, with a real model and real processes; exit status 0 only if every claim held."""

from __future__ import annotations

import contextlib
import functools
import json
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from rich.table import Table
from rich.text import Text

import regsvc
from demo.digests import files, identical, manifest_digest
from demo.elsewhere import collected, mirrored
from demo.evaluate import CONTRACTS, PARAPHRASES, Pairs, as_table, scores, summary
from demo.hosts import Host, following, wait_for
from demo.minilm import Encoder, tune_layer
from demo.night import night
from demo.processes import ROOT, CommandFailed, Regsvc, finished, server
from demo.telling import MODEL, DoesNotHold, Row, Story, console, heading, holds, say, show

STEPS = ("fetch", "evaluate", "package", "publish")
CHANGED_LAYER = 5
CACHE = ROOT / ".cache/demo"

GATE = (
    "version.metrics.accuracy > 0.95"
    " && (!has(current.metrics.accuracy) || version.metrics.accuracy >= current.metrics.accuracy)"
)


def main() -> None:
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="regsvc-demo-") as folder:
        work = Path(folder)
        heading("A server on an empty data directory")
        with server(work / "registry") as endpoint:
            say(f"regsvc listening on {endpoint}")
            story = Story(Regsvc(endpoint, work, lambda line: say(line, "bold")), endpoint, work)
            source = live_build(story, endpoint)
            again(story, source)
            tuned = variant(story, source)
            told_apart(story)
            deploy(story, source, tuned)
            night(story)
            mirrored(story, work / "mirror")
            report(story, work / "registry")
            collected(story, work / "registry/packs")
        holds("no process of the demo is left", not children())
    say(f"Everything held, in {time.monotonic() - began:.0f} s.", "bold green")


def live_build(story: Story, endpoint: str) -> Path:
    """A build in one process, followed from another."""
    heading(
        "A build that fetches, evaluates, packages and publishes a real model, followed from a second process"
    )
    printed = story.work / "printed.txt"
    steps = [sys.executable, "-m", "demo.steps", str(CACHE), str(story.work)]
    with story.command.started("build", "run", MODEL, "--", *steps, output=printed) as runner:
        name = first_build(endpoint, runner)
        with story.command.started("logs", "-f", name, "--json") as follower:
            lines = list(followed(story, follower))
            finished(follower, "logs -f")
        finished(runner, "build run")

    texts = printed.read_text().splitlines()
    holds("the follower has what the build printed, line by line", [line["text"] for line in lines] == texts)
    holds("its lines are numbered 1 to n", [line["seq"] for line in lines] == [*range(1, len(texts) + 1)])
    build = story.command.json("build", "show", name)
    ended = [(step["name"], step["state"]) for step in build["steps"]]
    holds("every step succeeded", ended == [(step, "SUCCEEDED") for step in STEPS])

    source = story.work / "minilm"
    version = story.command.json("show", f"{MODEL}@candidate")
    holds("its version knows the build", version["build"] == name)
    holds("its metrics are the build's last ones", close(version["metrics"], metrics_of(source)))
    holds("its digest is what b3sum would print", version["digest"] == manifest_digest(source))
    published = next(step for step in build["steps"] if step["name"] == "publish")
    story.rows.append(
        Row("publish from the build", version["bytes"], version["stored_bytes"], "", seconds_of(published))
    )
    return source


def first_build(endpoint: str, runner: Any) -> str:
    """The name of the build, from the registry's own events: it exists once its event does."""
    with regsvc.connect(endpoint) as client:
        for event in client.watch(after=0):
            if event.kind == "build.created":
                return event.reference
            if runner.poll() is not None:
                break
    raise CommandFailed("the build did not begin")


def followed(story: Story, follower: Any) -> Iterator[dict[str, Any]]:
    """Lines as they reach the second process, shown with its prefix."""
    for raw in follower.stdout:
        now = datetime.now(UTC)
        line = json.loads(raw)
        story.delays.append((now - datetime.fromisoformat(line["time"])).total_seconds())
        console.print(Text(f"  logs -f │ {line['seq']:>3} {line['step']:>8} │ ", "cyan") + Text(line["text"]))
        yield line


def again(story: Story, source: Path) -> None:
    heading("The same folder again: nothing to send")
    before = disk(story.work / "registry/packs")
    pushed = push(story, "push again", source)
    holds("no chunk was sent", pushed["chunks_sent"] == 0 and pushed["bytes_sent"] == 0)
    holds("the store did not grow by a copy", disk(story.work / "registry/packs") - before < 100_000)


def variant(story: Story, source: Path) -> Path:
    """A fine-tuned variant costs what changed."""
    heading(f"A variant with the tensors of layer {CHANGED_LAYER} changed, saved by safetensors")
    tuned = story.work / "tuned"
    changed = tune_layer(source, tuned, CHANGED_LAYER)
    pairs = (*PARAPHRASES, *CONTRACTS)
    measured = metrics_of(tuned, pairs)
    with regsvc.connect(story.endpoint) as client:
        tested = client.log_dataset(as_table(pairs), "demo/paraphrases")
    say(
        f"{changed:,} bytes of tensors changed; "
        + " ".join(f"{key} {value:.3f}" for key, value in measured.items())
    )
    options = [word for key, value in measured.items() for word in ("--metric", f"{key}={value!r}")]
    options += [
        "--param",
        f"tuned_layer={CHANGED_LAYER}",
        "--parent",
        f"fine-tuned={MODEL}:1",
        "--label",
        "tuned",
        "--dataset",
        f"test={tested.reference}",
    ]
    pushed = push(story, "push the variant", tuned, *options)
    holds("it sent no more than the changed tensors", 0 < pushed["bytes_sent"] <= 1.1 * changed)
    holds("its digest is what b3sum would print", pushed["digest"] == manifest_digest(tuned))
    return tuned


def told_apart(story: Story) -> None:
    """Compare, search and lineage of what was pushed."""
    heading("What differs, found again, and where it comes from")
    show(story, "compare", f"{MODEL}:1", f"{MODEL}:3")
    found = story.command.json("compare", f"{MODEL}:1", f"{MODEL}:3")
    changed = {row["name"] for row in found["tensors"]}
    layer = f"encoder.layer.{CHANGED_LAYER}."
    holds(
        "only tensors of the changed layer differ", bool(changed) and all(layer in name for name in changed)
    )
    holds("every one of them is counted", found["subjects"][1]["tensors_changed"] == len(changed))
    [data] = found["datasets"]
    drift = {each["column"]: each["psi"] for each in data["cells"][1]["drift"]}
    holds("the sentences that it was tested on are longer now", drift["words"] > 0.25)
    page = ROOT / ".cache/demo/compare.html"
    story.command.text("compare", f"{MODEL}:1", f"{MODEL}:3", "--html", str(page))
    holds("the same is one page with pictures", "<svg" in page.read_text())
    say(f"  for a browser: {page.relative_to(ROOT)}")

    metric, value = next(iter(story.command.json("show", f"{MODEL}:3")["metrics"].items()))
    filter_ = f'metrics["{metric}"] == {value!r} && "tuned" in labels'
    [hit] = story.command.json("search", filter_)
    holds("search finds it by its metric and label", hit["reference"].endswith(":3"))

    show(story, "lineage", f"{MODEL}:3")
    edges = story.command.json("lineage", f"{MODEL}:3")["edges"]
    holds("it was fine-tuned from the first", any(edge["relation"] == "fine-tuned" for edge in edges))
    holds("which a build made", any(edge["relation"] == "built" for edge in edges))
    affected = story.command.json("lineage", "--dataset", "demo/paraphrases:1")["nodes"]
    names = {node["name"] for node in affected}
    holds("and the first dataset leads to both", {f"{MODEL}:1", f"{MODEL}:3"} <= names)


def deploy(story: Story, source: Path, tuned: Path) -> None:
    """Promote by a gate, pull by alias, roll back, pull again."""
    target, prod = story.work / "serving", f"{MODEL}@prod"
    command = story.command

    heading("prod has a gate: who is not good enough, or was not approved, stays out")
    command.json("alias", "set", f"{MODEL}:1", "prod")
    command.json("gate", "set", prod, "--gate", GATE, "--approvals", "1")
    refusal = command.refused("promote", f"{MODEL}:2", "prod")
    say(f"  {refusal}")
    holds("a version without the metric is refused", "version.metrics.accuracy is missing" in refusal)
    refusal = command.refused("promote", f"{MODEL}:3", "prod")
    say(f"  {refusal}")
    holds("the gate lets the variant in, but nobody has approved it", "0 of 1 approvals" in refusal)
    holds(
        "no other command goes around", "protected" in command.refused("alias", "set", f"{MODEL}:3", "prod")
    )
    own = command.refused("approve", f"{MODEL}:3", "prod")
    holds("whoever pushed it does not approve it", "ann pushed" in own)
    with regsvc.connect(story.endpoint) as client:
        client.approve(f"{MODEL}:3", "prod", author="bob", comment="read the comparison")
    say("bob approves it, from Python")
    heading("Three hosts follow prod: they swap when it is promoted, and back when it is rolled back")
    with contextlib.ExitStack() as stack:
        folders = [story.work / f"host-{number}" for number in (1, 2, 3)]
        hosts = [stack.enter_context(following(command, prod, folder)) for folder in folders]
        changed_over(hosts, f"{MODEL}:1", source)
        started = time.monotonic()
        options = ("--expect", f"{MODEL}:1", "--reason", "more accurate")
        moved = command.json("promote", f"{MODEL}:3", "prod", *options)
        holds("now it is promoted", (moved["previous"], moved["reference"]) == (f"{MODEL}:1", f"{MODEL}:3"))
        changed_over(hosts, f"{MODEL}:3", tuned, started)
        show(story, "deployments", prod)
        pull(story, "pull @prod", target, tuned)
        started = time.monotonic()
        back = command.json("rollback", prod, "--reason", "slower than before", "--mark-bad")
        holds("it names what it named before", back["reference"] == f"{MODEL}:1")
        changed_over(hosts, f"{MODEL}:1", source, started)
        pull(story, "pull @prod again", target, source)
    bad = command.refused("promote", f"{MODEL}:3", "prod")
    holds("what was marked as bad is not promoted again", "bad" in bad)
    show(story, "history", prod)
    elsewhere = story.work / "elsewhere"
    pull(story, "pull elsewhere, from the cache", elsewhere, source)


def changed_over(hosts: list[Host], reference: str, expected: Path, since: float = 0.0) -> None:
    """Wait until all serve it, and say how long after `since` that was."""
    for host in hosts:
        name = host.folder.name
        wait_for(functools.partial(host.serves_since, reference, since), f"{name} to serve {reference}")
        holds(f"{name} serves {reference}, byte for byte", identical(host.folder / "current", expected))
    if since:
        slowest = max(host.serves[reference] for host in hosts) - since
        say(f"three hosts had changed over {slowest:.1f} s after the command was typed", "green")


def push(story: Story, what: str, folder: Path, *options: str) -> dict[str, Any]:
    pushed: dict[str, Any] = story.command.json("push", str(folder), MODEL, *options)
    seconds = pushed["seconds"]
    chunks = f"{pushed['chunks_sent']} of {pushed['chunks']}"
    story.rows.append(Row(what, pushed["bytes"], pushed["bytes_sent"], chunks, seconds))
    return pushed


def pull(story: Story, what: str, target: Path, expected: Path) -> None:
    pulled = story.command.json("pull", f"{MODEL}@prod", str(target))
    story.rows.append(Row(what, pulled["bytes"], pulled["bytes_received"], "", pulled["seconds"]))
    holds("the pulled folder is byte for byte the one that was pushed", identical(target, expected))
    holds(
        "its digest, computed without regsvc, is the version's", manifest_digest(target) == pulled["digest"]
    )


def report(story: Story, data: Path) -> None:
    heading("Sizes, ratios, rates")
    table = Table(box=None, pad_edge=False)
    for title in ("WHAT", "MODEL", "SENT OR RECEIVED", "RATIO", "CHUNKS SENT", "SECONDS", "MODEL MB/s"):
        table.add_column(title, justify="left" if title == "WHAT" else "right")
    for row in story.rows:
        table.add_row(
            row.what,
            megabytes(row.bytes),
            megabytes(row.moved),
            f"{row.moved / row.bytes:.1%}",
            row.chunks,
            f"{row.seconds:.2f}",
            f"{row.bytes / row.seconds / 1e6:,.0f}",
        )
    console.print(table)
    versions = [story.command.json("show", f"{MODEL}:{number}") for number in (1, 2, 3)]
    raw, stored = sum(version["bytes"] for version in versions), disk(data)
    say(f"{len(versions)} versions of {megabytes(raw)} take {megabytes(stored)} on disk: {stored / raw:.1%}")
    share = versions[0]["stored_bytes"] / versions[0]["bytes"]
    holds("the model, nearly all of it FP32 weights, is stored in at most 85 % of its size", share <= 0.85)
    delays = sorted(story.delays)
    middle, slowest = delays[len(delays) // 2], delays[-1]
    say(
        f"log lines reached the follower after {middle * 1000:.0f} ms (median), {slowest * 1000:.0f} ms (slowest)"
    )


def metrics_of(folder: Path, pairs: Pairs = PARAPHRASES) -> dict[str, float]:
    return summary(list(scores(Encoder(folder), pairs)))


def close(one: dict[str, float], other: dict[str, float]) -> bool:
    """Equal but for the order in which a BLAS adds up."""
    return one.keys() == other.keys() and all(abs(one[key] - other[key]) < 1e-4 for key in one)


def children() -> list[str]:
    """Processes that this one has started and that have not ended, where the system tells."""
    found = Path("/proc/self/task").glob("*/children")
    return [child for file in found for child in file.read_text().split()]


def seconds_of(step: dict[str, Any]) -> float:
    return (datetime.fromisoformat(step["ended"]) - datetime.fromisoformat(step["started"])).total_seconds()


def disk(folder: Path) -> int:
    """Bytes of the files in a folder."""
    return sum(os.stat(path).st_size for path in files(folder).values())


def megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"


if __name__ == "__main__":
    try:
        main()
    except (DoesNotHold, CommandFailed) as error:
        console.print(Text(f"demo: {error}", "bold red"))
        sys.exit(1)

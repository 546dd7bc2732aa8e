"""docs/automation.md is run: the template, the filters, the code."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

from support import Server

import regsvc
from regsvc.client import template_files

from .reading import ROOT, blocks, indented

AUTOMATION = ROOT / "docs/automation.md"


def test_the_template_is_set_and_says_what_the_file_says(server: Server, tmp_path: Path) -> None:
    [text] = [block.text for block in blocks(AUTOMATION) if block.file == "nightly.toml"]
    file = tmp_path / "nightly.toml"
    file.write_text(text)
    with regsvc.connect(server.endpoint) as client:
        made = client.set_template(
            "team/fraud/nightly", file, git="https://git.example.com/x.git", commit="main"
        )
        assert made.next_run is not None
        document = template_files.to_document(made.template)
        assert template_files.from_document(document) == made.template
        assert client.set_template("team/fraud/nightly", document).revision == 1


def test_the_filters_can_be_read(server: Server) -> None:
    filters = [line for line in indented(AUTOMATION) if line.startswith("kind ")]
    assert len(filters) == 4
    steps = [{"name": "x", "command": ["true"]}]
    with regsvc.connect(server.endpoint) as client:
        client.set_template(
            "team/fraud/t", {"steps": steps, "triggers": [{"filter": text} for text in filters]}
        )


def test_the_code_runs(server: Server) -> None:
    [code] = [block.text for block in blocks(AUTOMATION) if block.language == "python"]
    done = subprocess.run(
        [sys.executable, "-c", code],
        check=True,
        timeout=120,
        capture_output=True,
        text=True,
        env={**os.environ, "REGSVC_ENDPOINT": server.endpoint},
    )
    assert done.stdout == "team/fraud/builds/1 QUEUED team/fraud/hello []\n"

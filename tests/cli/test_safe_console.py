"""What people wrote into a registry does not control the terminals of others."""

from __future__ import annotations

import contextlib
import io
import json
import os
import pty
import re
import subprocess
import sys
from html.parser import HTMLParser
from pathlib import Path

import pytest
from rich.table import Table
from rich.text import Text
from support import Server

import regsvc
from regsvc.cli.safe_console import SafeConsole, harmless

HOSTILE = "\x1b[2J\x1b]0;owned\x07 \u202etxt.exe [bold]x[/bold] \x9b31m \r over"
MARKUP = "<script>x</script><img src=x onerror=y>|a`b`*c*&lt;\\"


def test_characters_that_control_a_terminal_are_shown_as_what_they_are_not() -> None:
    assert harmless("größe 模型 👩\u200d🔬\tx\n") == "größe 模型 👩\u200d🔬\tx\n"
    assert (
        harmless(HOSTILE)
        == "\ufffd[2J\ufffd]0;owned\ufffd \ufffdtxt.exe [bold]x[/bold] \ufffd31m \ufffd over"
    )


def test_styles_of_our_own_still_work_around_it() -> None:
    out = io.StringIO()
    console = SafeConsole(file=out, force_terminal=True, color_system="standard", width=100)
    table = Table(box=None)
    table.add_column("A")
    table.add_row(Text(HOSTILE, style="red"))
    console.print(table)
    assert "\x1b[31m" in out.getvalue()
    assert "\x1b[2J" not in out.getvalue()
    assert "\x9b" not in out.getvalue()


@pytest.mark.parametrize(
    "command",
    [
        ["show", "safe/m:1"],
        ["record", "safe/m:1"],
        ["note", "ls", "safe/m:1"],
        ["compare", "safe/m:1", "safe/m:2"],
        ["lineage", "safe/m:1"],
        ["ls", "safe/m"],
        ["search", "has(params.p)", "--in", "safe/m"],
        ["compare", "safe/m:1", "safe/m:2", "--markdown"],
        ["compare", "safe/m:1", "safe/m:2", "--json"],
        ["record", "safe/m:1", "--json"],
        ["note", "ls", "safe/m:1", "--json"],
        ["lineage", "safe/m:1", "--json"],
        ["lineage", "safe/m:1", "--dot"],
    ],
    ids=" ".join,
)
def test_commands_print_none_of_it(shared_server: Server, tmp_path: Path, command: list[str]) -> None:
    _hostile_versions(shared_server, tmp_path)
    printed = shared_server.cli(*command).stdout
    assert not {char for char in printed if char in "\x1b\x9b\x07\r\u202e"}
    assert "\ufffd" in printed or command[0] in ("ls", "search") or "--json" in command
    if "--json" in command:
        json.loads(printed)


def _hostile_versions(server: Server, folder: Path) -> None:
    """safe/m:1 has hostile text wherever text goes, safe/m:2 has none."""
    with regsvc.connect(server.endpoint) as client:
        if "safe/m" in {model.name for model in client.models("safe")}:
            return
        (folder / "w").write_bytes(b"1")
        options = {
            "description": HOSTILE,
            "card": HOSTILE,
            "params": {"p": HOSTILE, "<script>|`\u202e": HOSTILE},
            "tags": {"t": f"{MARKUP}{HOSTILE}"},
            "metrics": {f"{MARKUP}\u202e": 1.0},
            "framework": MARKUP,
            "parents": {"hf:a/b\u202e": "fine-tuned"},
            "labels": ["[bold]l"],
            "attachments": {"code.diff": f"+{MARKUP}{HOSTILE}\n```\n".encode()},
        }
        code = regsvc.Code(remote=HOSTILE, branch=MARKUP, dirty=True, diff="code.diff")
        client.push(folder / "w", "safe/m", record=regsvc.Record(code=code, gaps=(HOSTILE,)), **options)
        client.push(folder / "w", "safe/m", metrics={f"{MARKUP}\u202e": 2.0})
        client.add_note("safe/m:1", HOSTILE, author=MARKUP)


@pytest.mark.parametrize("option", ["--card", "--sealed", "--attachment"])
def test_a_pipe_gets_exact_bytes_and_a_terminal_harmless_ones(
    shared_server: Server, tmp_path: Path, option: str
) -> None:
    _hostile_versions(shared_server, tmp_path)
    more = ["code.diff"] if option == "--attachment" else []
    command = [sys.executable, "-m", "regsvc", "record", "safe/m:1", option, *more]
    environment = {**os.environ, "REGSVC_ENDPOINT": shared_server.endpoint}
    exact = subprocess.run(command, env=environment, check=True, capture_output=True).stdout
    assert "\x9b".encode() in exact
    ours, theirs = pty.openpty()
    with subprocess.Popen(command, env=environment, stdout=theirs) as process:
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # which is how a terminal ends
            while part := os.read(ours, 1 << 16):
                shown += part
        assert process.wait() == 0
    os.close(ours)
    text = shown.decode().replace("\r\n", "\n")
    assert not {char for char in text if char in "\x1b\x9b\x07\r\u202e"}
    assert "\ufffd" in text


def test_a_page_and_a_pull_request_get_text_and_no_markup(shared_server: Server, tmp_path: Path) -> None:
    _hostile_versions(shared_server, tmp_path)
    page = tmp_path / "page.html"
    shared_server.cli("compare", "safe/m:1", "safe/m:2", "--html", str(page))
    text = page.read_text()
    assert not {char for char in text if char in "\x1b\x9b\x07\r\u202e"}
    tags: set[str] = set()
    attributes: set[str] = set()

    class Collector(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            tags.add(tag)
            attributes.update(name for name, _ in attrs)

    Collector().feed(text)
    assert tags.isdisjoint({"script", "img", "link", "iframe", "object", "a", "b", "image", "use"})
    assert attributes.isdisjoint({"src", "href", "xlink:href", "onerror", "srcset"})
    assert "url(" not in text
    assert "@import" not in text

    markdown = shared_server.cli("compare", "safe/m:1", "safe/m:2", "--markdown").stdout
    rows = [line for line in markdown.splitlines() if line.startswith("|")]
    assert {len(re.findall(r"(?<!\\)(?:\\\\)*\|", row)) for row in rows} == {4}
    assert "\\&lt;" in markdown
    assert "````diff" in markdown
    outside = re.sub(r"````diff.*?````", "", markdown, flags=re.DOTALL)
    assert not re.search(r"(?<!\\)[<`]", outside)


def test_values_that_differ_far_behind_are_seen_to_differ(shared_server: Server, tmp_path: Path) -> None:
    (tmp_path / "w").write_bytes(b"1")
    with regsvc.connect(shared_server.endpoint) as client:
        for number in (1, 2):
            client.push(tmp_path / "w", "safe/long", params={"p": "x" * 200 + f"{number}" + "y" * 200})
    lines = shared_server.cli("compare", "safe/long:1", "safe/long:2").stdout.splitlines()
    [row] = [line.split() for line in lines if line.startswith("p ")]
    assert row == ["p", *(f"…{'x' * 20}{number}{'y' * 37}…" for number in (1, 2))]


def test_no_line_of_a_table_ends_with_blanks(shared_server: Server, tmp_path: Path) -> None:
    _hostile_versions(shared_server, tmp_path)
    for command in (["ls"], ["ls", "safe/m"], ["show", "safe/m:1"], ["compare", "safe/m:1", ":2"]):
        lines = shared_server.cli(*command).stdout.splitlines()
        assert lines
        assert [line for line in lines if line.endswith(" ") and len(line) > 1] == [], command
    assert shared_server.cli("ls").stdout.startswith("MODEL  "), "what aligns the columns stays"

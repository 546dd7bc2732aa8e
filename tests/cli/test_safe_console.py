"""What people wrote into a registry does not control the terminals of others."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.table import Table
from rich.text import Text
from support import Server

import regsvc
from regsvc.cli.safe_console import SafeConsole, harmless

HOSTILE = "\x1b[2J\x1b]0;owned\x07 \u202etxt.exe [bold]x[/bold] \x9b31m \r over"


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
    ],
    ids=" ".join,
)
def test_commands_print_none_of_it(shared_server: Server, tmp_path: Path, command: list[str]) -> None:
    with regsvc.connect(shared_server.endpoint) as client:
        if "safe/m" not in {model.name for model in client.models("safe")}:
            (tmp_path / "w").write_bytes(b"1")
            parents = {"hf:a/b\u202e": "fine-tuned"}
            options = {
                "description": HOSTILE,
                "card": HOSTILE,
                "params": {"p": HOSTILE},
                "tags": {"t": HOSTILE},
            }
            client.push(tmp_path / "w", "safe/m", parents=parents, labels=["[bold]l"], **options)
            client.push(tmp_path / "w", "safe/m")
            client.add_note("safe/m:1", HOSTILE, author="ann")
    printed = shared_server.cli(*command).stdout
    assert not {char for char in printed if char in "\x1b\x9b\x07\r\u202e"}
    assert "\ufffd" in printed or command[0] in ("ls", "search")

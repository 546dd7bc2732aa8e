"""`regsvc archive`, `rm`, `undelete`, `stats`, `gc` and `retention`, as people and programs use them."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from server.wire import stored_bytes
from support import Server

import regsvc


@pytest.fixture
def pushed(server: Server, tmp_path: Path) -> Server:
    """team/fraud with three versions of which two share half."""
    chance = random.Random(1)
    shared = chance.randbytes(1 << 20)
    with regsvc.connect(server.endpoint) as client:
        for number in range(3):
            folder = tmp_path / str(number)
            folder.mkdir()
            (folder / "shared").write_bytes(shared if number else chance.randbytes(1 << 20))
            (folder / "own").write_bytes(chance.randbytes(1 << 20))
            client.push(folder, "team/fraud", metrics={"f1": number / 10})
    return server


def asked(server: Server, *args: str) -> dict[str, object]:
    return json.loads(server.cli(*args, "--json").stdout)


def test_what_is_deleted_frees_what_rm_and_stats_said(pushed: Server) -> None:
    data = pushed.data
    dry = asked(pushed, "rm", "team/fraud:2", "--dry-run")
    told = asked(pushed, "stats", "team/fraud:2")
    assert dry["freed_bytes"] == told["usage"]["freed_bytes"]  # type: ignore[index]
    assert told["usage"]["unique_bytes"] == told["usage"]["shared_bytes"] == 1 << 20  # type: ignore[index]
    assert f"({dry['freed_bytes']} bytes)" in pushed.cli("rm", "team/fraud:2", "--dry-run").stdout
    assert "team/fraud:2" in pushed.cli("ls", "team/fraud").stdout
    pushed.cli("rm", "team/fraud:2", "--keep", "0")
    before = stored_bytes(data)
    foretold = asked(pushed, "gc", "--full", "--dry-run")
    done = asked(pushed, "gc", "--full")
    assert {**foretold, "dry_run": False} == done
    assert before - stored_bytes(data) == done["freed_bytes"] == dry["freed_bytes"]
    gone = pushed.cli("undelete", "team/fraud:2", check=False)
    assert (gone.returncode, gone.stderr) == (1, "regsvc: team/fraud:2 was deleted and is gone for good\n")
    assert "DELETING FREES" in pushed.cli("stats").stdout
    assert "versions purged" in pushed.cli("gc").stdout


def test_a_deleted_version_says_how_to_have_it_back(pushed: Server) -> None:
    out = pushed.cli("rm", "team/fraud:3", "--keep", "12h", "--reason", "wrong data").stdout
    assert out.startswith("team/fraud:3 is deleted; it can be had back until ")
    refused = pushed.cli("show", "team/fraud:3", check=False)
    assert refused.returncode == 1
    assert "regsvc undelete team/fraud:3" in refused.stderr
    assert "team/fraud:3" not in pushed.cli("ls", "team/fraud").stdout
    assert "team/fraud:3 deleted" in pushed.cli("ls", "team/fraud", "--deleted").stdout
    assert asked(pushed, "show", "team/fraud")["reference"] == "team/fraud:2"
    pull = pushed.cli("pull", "team/fraud:3", "nowhere", check=False)
    assert "is deleted" in pull.stderr
    assert not Path("nowhere").exists()
    assert pushed.cli("undelete", "team/fraud:3").stdout == "team/fraud:3 is there again\n"
    assert asked(pushed, "show", "team/fraud")["reference"] == "team/fraud:3"


def test_a_used_version_needs_force(pushed: Server) -> None:
    pushed.cli("alias", "set", "team/fraud:1", "prod")
    refused = pushed.cli("rm", "team/fraud:1", check=False)
    assert (refused.returncode, refused.stderr) == (
        1,
        "regsvc: team/fraud:1 is in use: @prod names it; --force deletes it all the same\n",
    )
    assert "@prod would be unset" in pushed.cli("rm", "team/fraud:1", "--dry-run", "--force").stdout
    assert "@prod is unset" in pushed.cli("rm", "team/fraud:1", "--force").stdout
    history = asked(pushed, "alias", "history", "team/fraud@prod")
    assert [(each["kind"], each["reference"]) for each in history] == [  # type: ignore[index]
        ("unset", None),
        ("set", "team/fraud:1"),
    ]
    assert "unset" in pushed.cli("alias", "history", "team/fraud@prod").stdout


def test_archiving_is_shown_and_undone(pushed: Server) -> None:
    assert pushed.cli("archive", "team/fraud:3").stdout == "team/fraud:3 is archived\n"
    assert "team/fraud:3 archived" in pushed.cli("ls", "team/fraud").stdout
    assert asked(pushed, "show", "team/fraud")["reference"] == "team/fraud:2"
    refused = pushed.cli("alias", "set", "team/fraud:3", "prod", check=False)
    assert "regsvc archive team/fraud:3 --undo" in refused.stderr
    assert pushed.cli("archive", "team/fraud:3", "--undo").stdout == "team/fraud:3 is not archived\n"


def test_retention_is_set_tried_and_applied(pushed: Server) -> None:
    assert "everything" in pushed.cli("retention", "show", "team/fraud").stdout
    tried = pushed.cli(
        "retention", "apply", "team/fraud", "--dry-run", "--keep-filter", "metrics.f1 < 0.05"
    ).stdout
    assert "2 would be deleted, 1 kept" in tried
    misused = pushed.cli("retention", "apply", "team/fraud", "--keep-last", "1", check=False)
    assert misused.returncode == 2
    made = asked(pushed, "retention", "set", "team/fraud", "--keep-last", "1", "--keep-younger", "0")
    assert (made["keep_last"], made["keep_younger_seconds"], made["scheduled"]) == (1, 0, False)
    assert asked(pushed, "retention", "show", "team/fraud") == made
    dry = asked(pushed, "retention", "apply", "team/fraud", "--dry-run")
    done = asked(pushed, "retention", "apply", "team/fraud")
    assert done == {**dry, "dry_run": False}
    assert (done["deleted"], done["kept"]) == (2, 1)
    assert [each["version"] for each in json.loads(pushed.cli("ls", "team/fraud", "--json").stdout)] == [3]


def test_versions_are_copied_and_models_renamed_without_a_byte_more(pushed: Server) -> None:
    before = stored_bytes(pushed.data)
    assert pushed.cli("cp", "team/fraud:2", "prod/fraud", "--alias", "prod").stdout.startswith(
        "prod/fraud:1 "
    )
    made, source = asked(pushed, "show", "prod/fraud@prod"), asked(pushed, "show", "team/fraud:2")
    assert [made[key] for key in ("digest", "record_digest", "metrics", "files")] == [
        source[key] for key in ("digest", "record_digest", "metrics", "files")
    ]
    moved = pushed.cli("mv", "team/fraud", "risk/fraud").stdout
    assert moved == "team/fraud is risk/fraud now, with 3 versions\n"
    assert asked(pushed, "show", "risk/fraud:2")["digest"] == source["digest"]
    gone = pushed.cli("show", "team/fraud:2", check=False)
    assert gone.stderr == "regsvc: model team/fraud does not exist; it is called risk/fraud now\n"
    assert stored_bytes(pushed.data) == before


@pytest.mark.parametrize("text", ["7", "d", "-1d", "1y", "1d2h", ""])
def test_a_length_of_time_is_a_number_and_a_unit(server: Server, text: str) -> None:
    refused = server.cli("rm", "a/b:1", "--keep", text, check=False)
    assert refused.returncode == 2
    assert "7d" in refused.stderr

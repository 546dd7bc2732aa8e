"""Export, import and mirror of registries in which versions are deleted and archived, and models renamed."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from registries import difference, everything, write_files
from support import Server

import regsvc


@pytest.fixture
def two(start_server: Callable[..., Server]) -> tuple[Server, Server]:
    return start_server(), start_server()


def push(client: regsvc.Client, folder: Path, model: str, *versions: bytes) -> None:
    for data in versions:
        client.push(write_files(folder, {"w.bin": data}), model)


def numbers(client: regsvc.Client, model: str, **which: bool) -> list[int]:
    return sorted(each.number for each in client.versions(model, **which))


def mirror(source: Server, target: Server, *flags: str, status: int = 0) -> str:
    done = target.cli("mirror", "--from", source.endpoint, "--once", "--json", *flags, check=False)
    assert done.returncode == status, done.stdout + done.stderr
    return str(done.stdout)


def test_what_is_deleted_is_not_exported_and_holds_up_nothing(
    two: tuple[Server, Server], tmp_path: Path
) -> None:
    source, target = two
    with regsvc.connect(source.endpoint) as client, regsvc.connect(target.endpoint) as other:
        push(client, tmp_path / "x", "team/fraud", b"1", b"2", b"3")
        client.delete("team/fraud:2")
        push(client, tmp_path / "x", "team/later", b"4")
        report = client.export_to(target.endpoint, ["team/fraud", "team/later"])
        assert not report.failed
        client.export_archive(tmp_path / "all.regsvc", ["team/fraud", "team/later"])
        assert not other.import_archive(tmp_path / "all.regsvc", into="kept").failed
        for namespace in ("team", "kept"):
            assert numbers(other, f"{namespace}/fraud") == [1, 3]
            assert numbers(other, f"{namespace}/later") == [1]


def test_an_alias_comes_whose_history_names_deleted_versions(
    two: tuple[Server, Server], tmp_path: Path
) -> None:
    source, target = two
    with regsvc.connect(source.endpoint) as client, regsvc.connect(target.endpoint) as other:
        push(client, tmp_path / "x", "team/fraud", b"1", b"2", b"3")
        for number in (1, 2, 3):
            client.set_alias(f"team/fraud:{number}", "prod")
        client.delete("team/fraud:2", keep=timedelta(0))
        client.collect()
        report = client.export_to(target.endpoint, ["team/fraud"])
        assert not report.failed, report.failed
        assert other.version("team/fraud@prod").number == 3
        kept = [
            [change.reference for change in each.alias_history("team/fraud@prod")] for each in (client, other)
        ]
        assert kept[0] == kept[1] == [f"team/fraud:{number}" for number in (3, 2, 1)]
        with pytest.raises(regsvc.errors.VersionDeleted):
            other.version("team/fraud:2")
        assert not client.export_to(target.endpoint, ["team/fraud"]).created


def test_an_alias_that_was_unset_names_nothing_at_the_target(
    two: tuple[Server, Server], tmp_path: Path
) -> None:
    source, target = two
    with regsvc.connect(source.endpoint) as client, regsvc.connect(target.endpoint) as other:
        push(client, tmp_path / "x", "team/fraud", b"1", b"2")
        client.set_alias("team/fraud:1", "prod")
        mirror(source, target)
        assert other.version("team/fraud@prod").number == 1
        client.delete("team/fraud:1", force=True)
        mirror(source, target)
        with pytest.raises(regsvc.NotFound):
            other.version("team/fraud@prod")
        client.set_alias("team/fraud:2", "prod")
        mirror(source, target)
        assert other.version("team/fraud@prod").number == 2


def test_a_version_that_is_had_back_comes_into_the_history(
    two: tuple[Server, Server], tmp_path: Path
) -> None:
    source, target = two
    with regsvc.connect(source.endpoint) as client, regsvc.connect(target.endpoint) as other:
        push(client, tmp_path / "x", "team/fraud", b"1", b"2", b"3")
        client.set_alias("team/fraud:3", "prod")
        client.set_alias("team/fraud:1", "prod")
        client.delete("team/fraud:3")
        mirror(source, target)
        assert numbers(other, "team/fraud", deleted=True) == [1, 2]
        client.undelete("team/fraud:3")
        mirror(source, target)
        assert numbers(other, "team/fraud") == [1, 2, 3]
        client.rollback("team/fraud@prod")
        mirror(source, target)
        assert other.version("team/fraud@prod").number == 3
        push(other, tmp_path / "y", "team/fraud", b"4")
        assert numbers(other, "team/fraud") == [1, 2, 3, 4]


def test_a_version_that_was_deleted_here_stays_so(two: tuple[Server, Server], tmp_path: Path) -> None:
    source, target = two
    with regsvc.connect(source.endpoint) as client, regsvc.connect(target.endpoint) as other:
        push(client, tmp_path / "x", "team/fraud", b"1", b"2")
        client.export_to(target.endpoint, ["team/fraud"])
        for keep in (timedelta(days=1), timedelta(0)):
            other.delete("team/fraud:1", keep=keep)
            other.collect()
            report = client.export_to(target.endpoint, ["team/fraud"])
            assert {(each.name, each.reason) for each in report.failed} == {
                ("team/fraud:1", "VERSION_DELETED")
            }
            assert numbers(other, "team/fraud") == [2]


def test_a_version_comes_whose_parent_was_deleted_here(two: tuple[Server, Server], tmp_path: Path) -> None:
    source, target = two
    with regsvc.connect(source.endpoint) as client, regsvc.connect(target.endpoint) as other:
        push(client, tmp_path / "x", "team/base", b"1")
        mirror(source, target)
        other.delete("team/base:1")
        client.push(
            write_files(tmp_path / "x", {"w": b"2"}), "team/tuned", parents={"team/base:1": "fine-tuned"}
        )
        mirror(source, target)
        assert numbers(other, "team/tuned") == [1]


def test_builds_that_wait_hold_up_no_export(two: tuple[Server, Server], tmp_path: Path) -> None:
    source, target = two
    with regsvc.connect(source.endpoint) as client:
        client.set_template("team/fraud/hello", {"steps": [{"name": "a", "command": ["true"]}]})
        for _ in range(5):
            client.run_template("team/fraud/hello")
        report = client.export_to(target.endpoint, ["team/fraud"])
        assert len(report.left_out) == 5
        assert report.seconds < 20


def test_a_model_is_renamed_where_it_is_followed(two: tuple[Server, Server], tmp_path: Path) -> None:
    source, target = two
    with regsvc.connect(source.endpoint) as client, regsvc.connect(target.endpoint) as other:
        push(client, tmp_path / "x", "team/fraud", b"1", b"2")
        client.set_alias("team/fraud:1", "prod")
        mirror(source, target)
        client.rename("team/fraud", "risk/fraud")
        push(client, tmp_path / "x", "risk/fraud", b"3")
        mirror(source, target)
        assert [each.name for each in other.models()] == ["risk/fraud"]
        assert numbers(other, "risk/fraud") == [1, 2, 3]


def test_what_is_archived_is_archived_elsewhere_too(two: tuple[Server, Server], tmp_path: Path) -> None:
    source, target = two
    with regsvc.connect(source.endpoint) as client, regsvc.connect(target.endpoint) as other:
        push(client, tmp_path / "x", "team/fraud", b"1", b"2", b"3")
        client.archive("team/fraud:3", reason="old")
        mirror(source, target)
        assert other.version("team/fraud:3").archived == client.version("team/fraud:3").archived
        assert other.version("team/fraud").number == 2, "the latest that is not archived"
        client.archive("team/fraud:3", archived=False)
        client.archive("team/fraud:1")
        mirror(source, target)
        assert other.version("team/fraud").number == 3
        assert difference(everything(source.endpoint), everything(target.endpoint)) == {}
        other.archive("team/fraud:2")
        client.archive("team/fraud:1", archived=False)
        mirror(source, target)
        assert other.version("team/fraud:2").archived is not None, "its own mark stays"
        assert other.version("team/fraud:1").archived is None

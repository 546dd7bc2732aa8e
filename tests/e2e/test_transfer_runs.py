"""How builds were run comes along; templates, and builds that wait, stay."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from registries import difference, everything
from support import Server, wait_until

import regsvc
from regsvc.errors import NotFound, NotRun


def test_builds_say_elsewhere_how_they_were_run(start_server: Callable[..., Server], tmp_path: Path) -> None:
    source, target = start_server(), start_server()
    (tmp_path / "base").mkdir()
    (tmp_path / "base/data").write_text("1")
    with regsvc.connect(source.endpoint) as client, regsvc.connect(target.endpoint) as other:
        base = client.push(tmp_path / "base", "team/base").reference
        template = {
            "steps": [{"name": "copy", "command": ["cp", "-r", "in", "out"]}],
            "params": {"rate": 0.1},
            "inputs": [{"version": "team/base@latest", "folder": "in"}],
            "outputs": [{"path": "out"}],
        }
        client.set_template("team/fraud/nightly", template, folder=tmp_path / "base")
        first = client.run_template("team/fraud/nightly", author="ann").name
        with client.runner(name="one", work=tmp_path / "work"):
            wait_until(lambda: client.get_build(first).state == "SUCCEEDED")
            again = client.rerun(first, params={"rate": 0.2}).name
            wait_until(lambda: client.get_build(again).state == "SUCCEEDED")
        waiting = client.run_template("team/fraud/nightly").name

        report = client.export_to(target.endpoint)
        assert report.failed == []
        assert waiting in [each.name for each in report.left_out], "it has not ended"
        with pytest.raises(NotFound):
            other.get_build(waiting)
        client.cancel_build(waiting)
        assert client.export_to(target.endpoint).failed == []
        assert difference(everything(source.endpoint), everything(target.endpoint)) == {}

        there = other.get_build(first).run
        assert there is not None
        assert (there.template, there.runner, there.author) == ("team/fraud/nightly", "one", "ann")
        assert there.inputs == {"in": base}
        assert there.followed_by == (again,)
        assert other.get_build(again).run.rerun_of == first  # type: ignore[union-attr]
        with pytest.raises(NotFound):
            other.get_template("team/fraud/nightly")
        with pytest.raises(NotRun):
            other.rerun(first)

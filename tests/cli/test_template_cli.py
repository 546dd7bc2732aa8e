"""`regsvc template`, `run`, `rerun`, `runners` as a user has them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

from server import automation as auto
from server.wire import Wire, lines
from support import Server, wait_until

import regsvc
from regsvc.cli.builds import waits_for
from regsvc.client.templates import Runner
from regsvc.v1 import build_pb2 as bld

TOML = """
description = "every night"
[[steps]]
name = "train"
command = ["python", "train.py", "--rate=${params.rate}"]
[params]
rate = 0.5
[retries]
failed = 1
[schedule]
cron = "0 3 * * *"
time_zone = "Europe/Berlin"
"""


def test_a_template_from_file_and_folder_to_queued_build(server: Server, tmp_path: Path) -> None:
    (tmp_path / "src").mkdir()
    (tmp_path / "src/train.py").write_text("print('hi')\n")
    (tmp_path / "t.toml").write_text(TOML)
    said = server.cli(
        "template", "set", "team/fraud/nightly", str(tmp_path / "t.toml"), "--folder", str(tmp_path / "src")
    )
    assert said.stdout.startswith("team/fraud/nightly has revision 1, runs next at ")
    shown = json.loads(server.cli("template", "show", "team/fraud/nightly", "--json").stdout)
    assert (shown["source"], shown["params"]) == ({"version": "team/fraud.source:1"}, {"rate": 0.5})
    text = server.cli("template", "show", "team/fraud/nightly").stdout
    assert "python train.py --rate=${params.rate}" in text
    listed = server.cli("template", "ls", "team/fraud").stdout.splitlines()
    assert listed[1].split()[:3] == ["team/fraud/nightly", "1", "active"]
    server.cli("template", "pause", "team/fraud/nightly")
    assert "paused" in server.cli("template", "ls").stdout
    server.cli("template", "resume", "team/fraud/nightly")

    assert server.cli("run", "team/fraud/nightly", "--param", "rate=1").stdout == "team/fraud/builds/1\n"
    shown = json.loads(server.cli("build", "show", "team/fraud/builds/1", "--json").stdout)
    assert (shown["state"], shown["params"], shown["run"]["template"]) == (
        "QUEUED",
        {"rate": 1},
        "team/fraud/nightly",
    )
    assert "team/fraud/nightly, revision 3" in server.cli("build", "show", "team/fraud/builds/1").stdout
    assert "is CANCELLED" in server.cli("build", "cancel", "team/fraud/builds/1").stdout
    assert server.cli("rerun", "team/fraud/builds/1").stdout == "team/fraud/builds/2\n"
    server.cli("template", "rm", "team/fraud/nightly")
    gone = server.cli("run", "team/fraud/nightly", check=False)
    assert (gone.returncode, gone.stderr) == (1, "regsvc: template team/fraud/nightly does not exist\n")


def test_what_is_wrong_is_said_in_one_line(server: Server, tmp_path: Path) -> None:
    file = tmp_path / "t.toml"
    for text, said in (
        ("steps = 1", "steps of the template must be a list"),
        (TOML.replace("0 3 * * *", "0 0 30 2 *"), "never fires"),
        (TOML.replace("Berlin", "Atlantis"), "there is no time zone"),
    ):
        file.write_text(text)
        failed = server.cli("template", "set", "team/fraud/t", str(file), check=False)
        assert failed.returncode == 1
        assert said in failed.stderr
        assert failed.stderr.count("\n") == 1
    missing = server.cli("template", "set", "team/fraud/t", str(tmp_path / "none.toml"), check=False)
    assert (missing.returncode, missing.stderr.count("\n")) == (1, 1)


def test_follow_waits_for_a_runner_and_ends_with_the_build(server: Server, tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text('labels = ["gpu", "big"]' + TOML)
    server.cli("template", "set", "team/fraud/nightly", str(tmp_path / "t.toml"))
    for state, status in ((bld.BUILD_STATE_SUCCEEDED, 0), (bld.BUILD_STATE_FAILED, 1)):
        command = [
            sys.executable,
            "-m",
            "regsvc",
            "--server",
            server.endpoint,
            "run",
            "team/fraud/nightly",
            "-f",
        ]
        following = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        try:
            with Wire(server) as wire:
                runner = auto.Runner(wire, "host-1", "big", "gpu")
                build = runner.hears()[0]
                runner.take(build)
                table = server.cli("runners").stdout.splitlines()
                assert table[1].split()[:3] == ["host-1", "connected", "1/1"]
                assert json.loads(server.cli("runners", "--json").stdout)[0]["builds"][0].startswith(
                    "team/fraud/builds/"
                )
                wire.append(build, lines(1, b"epoch 1"))
                wire.finish(build, state)
                runner.end()
            out, err = following.communicate(timeout=60)
        finally:
            following.kill()
        assert (following.returncode, out) == (status, "epoch 1\n")
        assert "waits for a runner that has gpu big\n" in err
        assert ("it is tried again as team/fraud/builds/3" in err) == (status == 1)


def test_a_build_that_waits_says_for_whom(server: Server, tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text('labels = ["gpu"]\n[[steps]]\nname = "a"\ncommand = ["true"]\n')
    server.cli("template", "set", "team/fraud/t", str(tmp_path / "t.toml"))
    name = server.cli("run", "team/fraud/t").stdout.strip()

    def waits() -> str:
        shown = server.cli("build", "show", name).stdout.splitlines()
        [line] = [line for line in shown if line.startswith("waits for")]
        return line.removeprefix("waits for").strip()

    assert waits() == "a runner with gpu; none is connected"
    with regsvc.connect(server.endpoint) as client:
        with client.runner(name="cpu-1", work=tmp_path / "work"):
            wait_until(lambda: [each.name for each in client.runners()] == ["cpu-1"])
            assert waits() == "a runner with gpu; none is connected"
        found = client.get_build(name)
    busy = Runner("gpu-1", "s", ("gpu", "linux"), 1, "", "", ("team/fraud/builds/9",), True, None)
    assert waits_for(found, [busy]) == "a free slot of gpu-1"

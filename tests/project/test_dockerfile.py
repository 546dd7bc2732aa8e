"""The image cannot be built where there is no daemon, so its file is read and its install step run by hand."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from support import Server

from regsvc.server.config import ENV_PREFIX, load

from .reading import ROOT

INSTALL_LIMIT = 280


def instructions() -> list[tuple[str, str]]:
    """Instructions in order, continued lines joined."""
    text = re.sub(r"^#.*\n", "", (ROOT / "Dockerfile").read_text(), flags=re.MULTILINE)
    lines = re.sub(r"\\\n\s*", "", text).splitlines()
    return [(word, rest.strip()) for word, _, rest in (line.partition(" ") for line in lines if line)]


def all_of(word: str) -> list[str]:
    return [rest for name, rest in instructions() if name == word]


def environment() -> dict[str, str]:
    return dict(pair.split("=", 1) for pair in shlex.split(" ".join(all_of("ENV"))))


def test_both_stages_start_from_one_pinned_slim_python() -> None:
    bases = {line.split()[0] for line in all_of("FROM")}
    assert len(all_of("FROM")) == 2
    assert len(bases) == 1
    assert re.fullmatch(r"python:3\.\d+\.\d+-slim-\w+", bases.pop())


def test_it_runs_as_nobody_special_on_a_volume() -> None:
    names = [name for name, _ in instructions()]
    assert all_of("USER") == ["regsvc"]
    assert names.index("USER") < names.index("ENTRYPOINT")
    assert all_of("VOLUME") == [environment()["REGSVC_DATA"]]
    assert all_of("STOPSIGNAL") == ["SIGTERM"]
    owned = next(line for line in all_of("RUN") if "useradd" in line)
    assert f"--owner=regsvc --group=regsvc {environment()['REGSVC_DATA']}" in owned


def test_its_settings_are_settings_of_the_server() -> None:
    given = {key: value for key, value in environment().items() if key.startswith(ENV_PREFIX)}
    config = load({}, given)
    assert str(config.data) == given["REGSVC_DATA"]
    assert config.listen.rpartition(":")[2] == all_of("EXPOSE")[0]
    assert [*json.loads(all_of("ENTRYPOINT")[0]), *json.loads(all_of("CMD")[0])] == ["regsvc", "serve"]


def test_what_it_copies_exists_and_is_not_ignored() -> None:
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for line in all_of("COPY"):
        words = [word for word in line.split() if not word.startswith("--")]
        if "--from=build" not in line:
            for source in words[:-1]:
                assert (ROOT / source).exists(), source
                assert f"!{source}" in ignored, source


def test_its_health_check_tells_a_server_from_none(server: Server) -> None:
    command = json.loads(all_of("HEALTHCHECK")[0].partition("CMD")[2])
    probe = next(line for line in all_of("COPY") if line.endswith(command[1])).split()[-2]
    assert command[2] == f"127.0.0.1:{all_of('EXPOSE')[0]}"

    def check() -> subprocess.CompletedProcess[str]:
        words = [sys.executable, str(ROOT / probe), server.endpoint]
        return subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)

    healthy = check()
    assert (healthy.returncode, healthy.stdout) == (0, "SERVING\n")
    server.stop()
    assert check().returncode == 1


@pytest.mark.timeout(INSTALL_LIMIT + 20)
def test_its_install_step_works_in_a_clean_environment(tmp_path: Path) -> None:
    source, target = tmp_path / "src", tmp_path / "opt"
    source.mkdir()
    for line in all_of("COPY")[:2]:
        *names, _ = line.split()
        for name in names:
            if (ROOT / name).is_dir():
                shutil.copytree(ROOT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(ROOT / name, source / name)
    step = all_of("RUN")[0].replace("/opt/regsvc", str(target)).replace("--no-cache-dir ", "")
    step = re.sub(r"^python ", f"{sys.executable} ", step)
    clean = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        step,
        shell=True,
        cwd=source,
        env=clean,
        capture_output=True,
        text=True,
        timeout=INSTALL_LIMIT,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    said = subprocess.run(
        [str(target / "bin/regsvc"), "--version"],
        cwd=tmp_path,
        env=clean,
        capture_output=True,
        text=True,
        check=True,
    )
    assert said.stdout.startswith("regsvc")
    # The probe needs nothing that the image lacks, and the tests' packages are not in it.
    subprocess.run(
        [str(target / "bin/python"), "-c", "import grpc_health.v1.health_pb2_grpc, regsvc.server.running"],
        cwd=tmp_path,
        env=clean,
        check=True,
    )
    assert not (target / "bin/pytest").exists()

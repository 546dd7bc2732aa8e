"""Pull across kills of either side: what came is not fetched again, nothing half is under a final name."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
from pathlib import Path

from cutting_proxy import CuttingProxy
from support import Server, wait_until

import regsvc

SIZE = 48 << 20


def write(root: Path) -> Path:
    root.mkdir()
    for name in ("a", "b"):
        (root / name).write_bytes(os.urandom(SIZE // 2))
    return root


def same(left: Path, right: Path) -> bool:
    return subprocess.run(["diff", "-r", left, right], capture_output=True, check=False).returncode == 0


def test_a_pull_outlasts_a_kill_of_the_server(server: Server, tmp_path: Path) -> None:
    source = write(tmp_path / "source")
    with CuttingProxy(server.endpoint, down=SIZE // 2) as proxy, regsvc.connect(proxy.endpoint) as client:
        with regsvc.connect(server.endpoint) as direct:
            direct.push(source, "team/killed")
        pulled: list[regsvc.PullResult] = []
        pulling = threading.Thread(target=lambda: pulled.append(client.pull("team/killed", tmp_path / "out")))
        pulling.start()
        assert proxy.reached.wait(60)
        assert not (tmp_path / "out").exists()
        server.kill()
        proxy.release()
        server.start()
        pulling.join(120)
        assert len(pulled) == 1
        assert SIZE <= pulled[0].bytes_received < SIZE + (4 << 20)
    assert same(source, tmp_path / "out")


def test_the_pull_after_a_killed_one_goes_on(server: Server, tmp_path: Path) -> None:
    source, out = write(tmp_path / "source"), tmp_path / "out"
    with regsvc.connect(server.endpoint) as client:
        client.push(source, "team/p")
        with CuttingProxy(server.endpoint, down=SIZE * 3 // 4) as proxy:
            command = [sys.executable, "-m", "regsvc", "--server", proxy.endpoint, "pull", "team/p", str(out)]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            assert proxy.reached.wait(60), process.communicate()
            second = tmp_path / ".out.regsvc-partial" / "tree" / "b"
            wait_until(lambda: second.stat().st_blocks * 512 > SIZE // 8, what="half of what came is written")
            process.kill()
            process.communicate()
        assert not out.exists()
        pulled = client.pull("team/p", out)
    assert pulled.bytes_received < SIZE * 3 // 8 + (4 << 20)
    assert same(source, out)
    assert sorted(os.listdir(tmp_path)) == [".out.regsvc.json", "out", "source"]


def test_another_version_does_not_go_on_from_the_first(server: Server, tmp_path: Path) -> None:
    source, out = write(tmp_path / "source"), tmp_path / "out"
    with regsvc.connect(server.endpoint) as client:
        client.push(source, "team/p")
        with CuttingProxy(server.endpoint, down=SIZE // 2) as proxy:
            command = [sys.executable, "-m", "regsvc", "--server", proxy.endpoint, "pull", "team/p", str(out)]
            process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
            assert proxy.reached.wait(60), process.communicate()
            process.kill()
            process.communicate()
        (source / "a").unlink()
        client.push(source, "team/p")
        client.pull("team/p:2", out)
    assert same(source, out)

"""What people use today, measured on the same files: MLflow's artifact server, an S3 endpoint, nginx."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.request
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from processes import Failed, run, run_json, tree_cpu, tree_peak

if TYPE_CHECKING:
    from moving import Files, Sample

HERE = Path(__file__).parent
_PATIENCE = 120.0
"""Seconds that a server may take to answer for the first time, and as long until it is quiet."""
_QUIET = 0.1
"""Cores that a server may use when it has nothing to do."""


@dataclass(frozen=True)
class Serving:
    """A server that runs, and the commands that bring files to it and back."""

    process: int | None
    """Its process id; None if it runs elsewhere."""
    up: list[str] | None
    """None: it has the files."""
    down: Callable[[Path], list[str]]
    """Into a folder that is there."""
    json: bool
    """The commands print {"seconds": ...}; of others the whole process is timed."""

    def measured(self, command: list[str]) -> Sample:
        """Run a command; with the server's CPU, all its workers included."""
        from moving import Sample

        before = tree_cpu(self.process) if self.process else 0.0
        if self.json:
            answer, cost = run_json(command)
            seconds = answer["seconds"]
        else:
            _, cost = run(command)
            seconds = cost.wall
        used = tree_cpu(self.process) - before if self.process else None
        peak = tree_peak(self.process) if self.process else None
        return Sample(seconds, cost.wall, cost.cpu, used, cost.peak, peak)


class Rival(ABC):
    """Something to compare with."""

    name: str
    """For the record."""

    @abstractmethod
    def serving(self, files: Files) -> AbstractContextManager[Serving]:
        """A fresh server beside the files, for as long as the block runs."""


class MLflow(Rival):
    """`mlflow server` with its artifact proxy, as its documentation starts it; `python` has mlflow installed."""

    def __init__(self, python: str):
        self._python = python
        found, _ = run([python, "-c", "import mlflow; print(mlflow.__version__)"])
        self.name = f"MLflow {found.strip()}"

    @contextmanager
    def serving(self, files: Files) -> Iterator[Serving]:
        folder = files.folder / "mlflow"
        folder.mkdir()
        port = _free_port()
        url = f"http://127.0.0.1:{port}"
        command = [self._python, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port)]
        command += ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db"]
        command += ["--artifacts-destination", str(folder / "artifacts"), "--serve-artifacts"]
        client = [self._python, str(HERE / "mlflow_client.py")]
        with _started(command, folder, f"{url}/health") as process:
            _wait_until_quiet(process.pid)  # its workers import for 20 s more after it has answered
            yield Serving(
                process.pid,
                [*client, "up", url, str(files.base)],
                lambda out: [*client, "down", url, str(out)],
                json=True,
            )
        shutil.rmtree(folder)


class S3(Rival):
    """Any S3 endpoint, by boto3's multipart transfers; credentials as boto3 finds them."""

    def __init__(self, python: str, url: str):
        self._python, self._url = python, url
        self.name = "S3"

    @contextmanager
    def serving(self, files: Files) -> Iterator[Serving]:
        client = [self._python, str(HERE / "s3_client.py")]
        yield Serving(
            None,
            [*client, "up", self._url, str(files.base)],
            lambda out: [*client, "down", self._url, str(out)],
            json=True,
        )


class Nginx(Rival):
    """Static files with sendfile, fetched by curl: nothing is verified."""

    name = "nginx"

    @contextmanager
    def serving(self, files: Files) -> Iterator[Serving]:
        folder = files.folder / "nginx"
        folder.mkdir()
        port = _free_port()
        (folder / "conf").write_text(
            f"""daemon off; pid {folder}/pid; error_log {folder}/errors;
            user {os.environ.get("USER", "root")}; worker_processes 2; events {{}}
            http {{ access_log off; sendfile on; tcp_nopush on;
              client_body_temp_path {folder}; proxy_temp_path {folder}; fastcgi_temp_path {folder};
              uwsgi_temp_path {folder}; scgi_temp_path {folder};
              server {{ listen 127.0.0.1:{port}; root {files.base}; location = /health {{ return 200; }} }} }}
            """
        )
        [file] = [path for path in files.base.rglob("*") if path.is_file()]
        url = f"http://127.0.0.1:{port}"
        command = ["nginx", "-c", str(folder / "conf"), "-p", str(folder)]
        with _started(command, folder, f"{url}/health") as process:
            yield Serving(
                process.pid,
                None,
                lambda out: ["curl", "-sS", "-f", "-o", str(out / file.name), f"{url}/{file.name}"],
                json=False,
            )
        shutil.rmtree(folder)


def rivals(mlflow: str | None, s3: str | None) -> tuple[dict[str, Rival], dict[str, str]]:
    """Those that are there, and why the others are not."""
    found: dict[str, Rival] = {}
    absent: dict[str, str] = {}
    if mlflow and Path(mlflow).exists():
        found["mlflow"] = MLflow(mlflow)
        if s3:
            found["s3"] = S3(mlflow, s3)
    else:
        absent["mlflow"] = "MLflow is not installed: make rivals"
    if shutil.which("nginx") and shutil.which("curl"):
        found["nginx"] = Nginx()
    else:
        absent["nginx"] = "nginx or curl is not installed"
    return found, absent


@contextmanager
def _started(command: list[str], folder: Path, url: str) -> Iterator[subprocess.Popen[Any]]:
    """The process, once it answers at `url`; ended, with its workers, at the end of the block."""
    with open(folder / "log", "wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        deadline = time.monotonic() + _PATIENCE
        while not _answers(url):
            if process.poll() is not None or time.monotonic() > deadline:
                raise Failed(f"{command[0]} did not start: {(folder / 'log').read_text()[-300:]}")
            time.sleep(0.1)
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, 15)
        process.wait()


def _wait_until_quiet(process: int) -> None:
    """What a server does to start is not what a transfer costs. Raises `Failed`."""
    deadline = time.monotonic() + _PATIENCE
    quiet = 0
    while quiet < 3:
        if time.monotonic() > deadline:
            raise Failed("a server with nothing to do goes on using the processor")
        before, began = tree_cpu(process), time.monotonic()
        time.sleep(1)
        quiet = quiet + 1 if tree_cpu(process) - before < _QUIET * (time.monotonic() - began) else 0


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2):
            return True
    except (urllib.error.URLError, OSError):
        return False


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port

"""Real runner processes on a real server, and what to see of them: states, logs, processes, folders."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import grpc
from support import Server, wait_until

import regsvc
from regsvc.client.build_records import Build
from regsvc.v1 import build_pb2, run_pb2, template_pb2, template_pb2_grpc

MODEL = "namespaces/team/models/fraud"
ENDED = {"SUCCEEDED", "FAILED", "CANCELLED", "LOST"}


def shell(script: str) -> tuple[str, ...]:
    return ("sh", "-c", script)


def python(script: str) -> tuple[str, ...]:
    return (sys.executable, "-c", script)


class Fleet:
    """A server, templates on it, and runners that share a folder."""

    def __init__(self, server: Server, folder: Path) -> None:
        self.server = server
        self.client = regsvc.connect(server.endpoint)
        self.connection = self.client.connection_of(None)
        self.channel = grpc.insecure_channel(server.endpoint)
        self.templates = template_pb2_grpc.TemplateServiceStub(self.channel)
        self.folder = folder
        self.work = folder / "work"
        self.runners: list[Runner] = []

    def template(self, *steps: tuple[str, Sequence[str]], name: str = "t", **fields: Any) -> str:
        """Set a template of team/fraud with these steps; gives its wire name."""
        made = template_pb2.Template(
            name=f"{MODEL}/templates/{name}",
            steps=[template_pb2.TemplateStep(name=each, command=command) for each, command in steps],
            **fields,
        )
        request = template_pb2.SetTemplateRequest(template=made)
        return str(self.connection.call(self.templates.SetTemplate, request).template.name)

    def run(self, template: str, **fields: Any) -> str:
        """Queue a build; gives its short name."""
        request = template_pb2.RunTemplateRequest(name=template, **fields)
        build = self.connection.call(self.templates.RunTemplate, request).build
        return f"team/fraud/builds/{build.number}"

    def runner(self, *options: str, **environment: str) -> Runner:
        made = Runner(self.server, self.work, options, environment)
        self.runners.append(made)
        return made

    def done(self, *steps: tuple[str, Sequence[str]], **fields: Any) -> Build:
        """Set a template, run it, and wait for its end; some runner has to be there."""
        return self.ended(self.run(self.template(*steps, **fields)))

    def ended(self, build: str, limit: float = 60.0) -> Build:
        wait_until(lambda: self.build(build).state in ENDED, limit, f"the end of {build}")
        return self.build(build)

    def build(self, build: str) -> Build:
        return self.client.get_build(build)

    def origin(self, build: str) -> run_pb2.Run:
        """How it came to be."""
        model, _, number = build.rpartition("/builds/")
        request = build_pb2.GetBuildRequest(
            name=f"namespaces/{model.replace('/', '/models/')}/builds/{number}"
        )
        found: run_pb2.Run = self.connection.call(self.connection.builds.GetBuild, request).build.run
        return found

    def in_step(self, build: str, step: str) -> bool:
        return any(each.name == step and each.state == "RUNNING" for each in self.build(build).steps)

    def log(self, build: str) -> list[str]:
        return [line.text for line in self.client.logs(build)]

    def processes(self) -> dict[int, str]:
        """Whatever runs that has to do with the work folder: workers, steps, and what these started."""
        found = {}
        for entry in Path("/proc").iterdir():
            if not entry.name.isdigit():
                continue
            try:
                environment = (entry / "environ").read_bytes()
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if f"REGSVC_WORK={self.work}".encode() in environment or (
                b"regsvc.client.working.worker" in command and f"FLEET={self.folder}".encode() in environment
            ):
                found[int(entry.name)] = command.replace(b"\0", b" ").decode(errors="replace")
        return found

    def clean(self) -> bool:
        """Nothing is left: no process, no folder, no journal."""
        left = set(os.listdir(self.work)) - {"lock"} if self.work.exists() else set()
        return not left and not self.processes()

    def close(self) -> None:
        for each in self.runners:
            each.close()
        for pid in self.processes():
            os.kill(pid, signal.SIGKILL)
        self.channel.close()
        self.client.close()


class Runner:
    """A `regsvc runner` process, whose lines can be waited for."""

    def __init__(
        self, server: Server, work: Path, options: Sequence[str], environment: dict[str, str]
    ) -> None:
        command = [sys.executable, "-m", "regsvc", "runner", "--work", str(work), "--json", *options]
        self.lines: list[dict[str, Any]] = []
        self.errors: list[str] = []
        self.process = subprocess.Popen(
            command,
            env={
                **os.environ,
                "REGSVC_ENDPOINT": server.endpoint,
                "FLEET": str(work.parent),
                **environment,
            },
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        self._readers = [
            threading.Thread(target=self._read, daemon=True),
            threading.Thread(target=self._complaints, daemon=True),
        ]
        for reader in self._readers:
            reader.start()

    def _read(self) -> None:
        for line in self.process.stdout:  # type: ignore[union-attr]
            self.lines.append(json.loads(line))

    def _complaints(self) -> None:
        self.errors += self.process.stderr  # type: ignore[arg-type]

    def said(self, state: str, build: str = "") -> list[dict[str, Any]]:
        return [line for line in self.lines if line["state"] == state and build in ("", line["build"])]

    def ready(self) -> Runner:
        wait_until(
            lambda: self.said("WAITING") or self.process.poll() is not None, what="a runner that waits"
        )
        assert self.process.poll() is None, self.errors
        return self

    def workers(self) -> list[int]:
        """Pids of its processes for builds."""
        found = []
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                try:
                    status = (entry / "stat").read_text()
                except OSError:
                    continue
                if int(status.rpartition(")")[2].split()[1]) == self.process.pid:
                    found.append(int(entry.name))
        return found

    def term(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to it and its workers, as when the machine loses power; what steps started lives on."""
        workers = self.workers()
        self.process.send_signal(signal.SIGSTOP)  # so that it sees no worker end
        for pid in {*workers, *self.workers()}:
            os.kill(pid, signal.SIGKILL)
        self.process.kill()
        self.process.wait(30)

    def wait(self, limit: float = 60.0) -> int:
        return self.process.wait(limit)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait(30)
        for reader in self._readers:
            reader.join(10)
        for pipe in (self.process.stdout, self.process.stderr):
            pipe.close()  # type: ignore[union-attr]

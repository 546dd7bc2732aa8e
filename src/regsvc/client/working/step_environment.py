"""What a step sees of the machine: not the environment of the runner, which may hold what templates should not know."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping

from regsvc.client.capture import CAPTURE_VARIABLE
from regsvc.client.capture.environment import VARIABLES
from regsvc.client.working.own_processes import MARK
from regsvc.client.working.task import Task, param_variables
from regsvc.client.working.work_folder import WorkFolder

PARAMS_VARIABLE = "REGSVC_PARAMS"
"""Path of the file with all params."""

_OURS = (CAPTURE_VARIABLE, VARIABLES)


def step_environment(
    task: Task,
    folder: WorkFolder,
    passed: Iterable[str],
    params_file: str,
    runner: Mapping[str, str] = os.environ,
) -> dict[str, str]:
    """PATH, LANG, HOME and TMPDIR, these in the build's folder; what the runner passes on; the template's; ours."""
    return {
        "PATH": runner.get("PATH", os.defpath),
        "LANG": runner.get("LANG", "C.UTF-8"),
        "HOME": folder.home,
        "TMPDIR": folder.tmp,
        **{name: runner[name] for name in (*_OURS, *passed) if name in runner},
        **task.environment,
        **param_variables(task.params),
        PARAMS_VARIABLE: params_file,
        MARK: folder.path,
    }

"""What steps see of params and of the machine."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from regsvc.client.working.bringing import inside
from regsvc.client.working.step_environment import step_environment
from regsvc.client.working.stopping import WorkFailed
from regsvc.client.working.task import Task, expanded, param_variables, params_document, task_from
from regsvc.client.working.work_folder import WorkFolder
from regsvc.content.template import Step
from regsvc.v1 import runner_pb2


def claimed(params: dict[str, object] | None = None, **template: object) -> runner_pb2.ClaimBuildResponse:
    made = runner_pb2.ClaimBuildResponse()
    made.build.name = "namespaces/team/models/fraud/builds/7"
    kinds = {bool: "bool_value", int: "int_value", float: "double_value", str: "string_value"}
    for key, value in (params or {}).items():
        setattr(made.build.metadata.params[key], kinds[type(value)], value)
    for name, value in template.items():
        getattr(made.template, name).update(value)
    return made


PARAMS: dict[str, object] = {"lr": 1e-3, "epochs": 3, "fast": True, "data.set": "a b", "big": 2**62}


def task(**template: object) -> Task:
    return task_from(claimed(PARAMS, **template))


def test_params_are_variables_a_file_and_words_of_commands() -> None:
    params = task().params
    assert param_variables(params) == {
        "REGSVC_PARAM_LR": "0.001",
        "REGSVC_PARAM_EPOCHS": "3",
        "REGSVC_PARAM_FAST": "true",
        "REGSVC_PARAM_DATA_SET": "a b",
        "REGSVC_PARAM_BIG": "4611686018427387904",
    }
    assert json.loads(params_document(params)) == PARAMS
    step = Step("train", ("python", "--lr=${params.lr}", "${params.data.set}", "$HOME ${other}"))
    assert expanded(step, params) == ["python", "--lr=0.001", "a b", "$HOME ${other}"]


def test_a_command_that_names_no_param_is_told() -> None:
    with pytest.raises(WorkFailed, match="step train: its command names the param 'lrr'"):
        expanded(Step("train", ("python", "${params.lrr}")), task().params)


def test_keys_that_come_to_the_same_name_are_only_in_the_file() -> None:
    assert param_variables({"a-b": 1, "a.b": 2, "c": 3, "nul": "\0"}) == {"REGSVC_PARAM_C": "3"}


def test_params_of_the_build_go_before_the_templates() -> None:
    made = claimed({"lr": 0.5})
    made.template.params["lr"].double_value = 0.1
    made.template.params["epochs"].int_value = 3
    assert task_from(made).params == {"lr": 0.5, "epochs": 3}


def test_steps_see_of_the_runner_only_what_is_passed() -> None:
    folder = WorkFolder("/runner/0123456789abcdef")
    runner = {"PATH": "/bin", "HOME": "/root", "SECRET": "s", "TOKEN": "t", "LANG": "de_DE.UTF-8", "A": "1"}
    found = step_environment(
        task(environment={"A": "2", "TOKEN": "template"}), folder, ["TOKEN", "A", "NONE"], "/p.json", runner
    )
    assert {name: value for name, value in found.items() if not name.startswith("REGSVC_PARAM_")} == {
        "PATH": "/bin",
        "HOME": folder.home,
        "TMPDIR": folder.tmp,
        "LANG": "de_DE.UTF-8",
        "A": "2",
        "TOKEN": "template",
        "REGSVC_PARAMS": "/p.json",
        "REGSVC_WORK": folder.path,
    }
    assert step_environment(task(), folder, ["HOME"], "", runner)["HOME"] == "/root"


@pytest.mark.parametrize("path", ["", "/etc", "../x", "a/../../x", "link/x", "link", "a\0b"])
def test_paths_that_lead_out_of_the_work_folder_are_refused(tmp_path: Path, path: str) -> None:
    work = tmp_path / "work"
    work.mkdir()
    (work / "link").symlink_to(tmp_path)
    with pytest.raises(WorkFailed, match="work folder"):
        inside(str(work), path, "output")


def test_paths_within_the_work_folder(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert inside(str(tmp_path), "link/a", "x") == str(tmp_path / "link/a")
    assert inside(str(tmp_path), ".", "x") == str(tmp_path)

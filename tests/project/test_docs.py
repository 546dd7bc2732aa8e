"""What the documents say of commands, settings, tables and dependencies is so."""

from __future__ import annotations

import ast
import dataclasses
import itertools
import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from support import Server

from regsvc.catalog.schema import MIGRATIONS
from regsvc.cli.root import regsvc as command_line
from regsvc.server import config

from .reading import ROOT, blocks, console, indented

DOCUMENTS = [*sorted(ROOT.glob("docs/*.md")), ROOT / "README.md"]
OPERATIONS = ROOT / "docs/operations.md"


def documented_commands() -> list[str]:
    found = []
    for document in DOCUMENTS:
        lines = indented(document)
        for block in blocks(document):
            if block.language == "console":
                lines += [command for command, _ in console(block.text)]
            elif block.language == "sh":
                lines += block.text.splitlines()
        found += [line.removesuffix(" &") for line in lines if re.match(r"(\S*/bin/)?regsvc [a-z]", line)]
        # Inline code too.
        found += re.findall(r"`(regsvc [a-z][^`\n]*)`", document.read_text())
    return sorted(set(found) - {"regsvc listening on HOST:PORT"})  # which a server prints


@pytest.mark.parametrize("line", documented_commands())
def test_documented_commands_exist_with_their_options(line: str) -> None:
    words = shlex.split(line, comments=True)[1:]
    command: click.Command = command_line
    context = click.Context(command)
    while isinstance(command, click.Group):
        found = command.get_command(context, words[0])
        assert found is not None, f"{line}: no command {words[0]}"
        command, words = found, words[1:]
        context = click.Context(command)
    options = {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
    for word in words:
        if word == "--":
            break
        if word.startswith("-"):
            assert word in options, f"{line}: no option {word}"


def default_text(default: object) -> str:
    return default if isinstance(default, str) else f"{default:g}"


def setting_rows() -> list[str]:
    """The settings table as the code has it."""
    module = ast.parse(Path(config.__file__).read_text())
    body = next(
        node.body for node in module.body if isinstance(node, ast.ClassDef) and node.name == "ServerConfig"
    )
    meanings = {
        field.target.id: text.value.value
        for field, text in itertools.pairwise(body)
        if isinstance(field, ast.AnnAssign)
        and isinstance(field.target, ast.Name)
        and isinstance(text, ast.Expr)
        and isinstance(text.value, ast.Constant)
    }
    rows = []
    for field in dataclasses.fields(config.ServerConfig):
        flag, variable = field.name.replace("_", "-"), config.ENV_PREFIX + field.name.upper()
        shown = "" if field.default is dataclasses.MISSING else f"`{default_text(field.default)}`"
        rows.append(f"| `{field.name}` | `--{flag}` | `{variable}` | {shown} | {meanings[field.name]} |")
    return rows


def test_the_settings_table_is_that_of_the_code() -> None:
    documented = [line for line in OPERATIONS.read_text().splitlines() if line.startswith("| `")]
    assert documented == setting_rows()


def test_every_setting_has_its_flag_and_its_default_in_the_help() -> None:
    serve = command_line.get_command(click.Context(command_line), "serve")
    assert serve is not None
    options = {option: param for param in serve.params for option in param.opts}
    for field in dataclasses.fields(config.ServerConfig):
        param = options[f"--{field.name.replace('_', '-')}"]
        assert isinstance(param, click.Option)
        if field.default is not dataclasses.MISSING:
            assert f"[{default_text(field.default)}]" in (param.help or ""), field.name


def test_the_settings_file_example_loads(tmp_path: Path) -> None:
    lines = indented(OPERATIONS)
    start = lines.index("# regsvc.toml")
    text = "\n".join(lines[start : start + 4])
    file = tmp_path / "regsvc.toml"
    file.write_text(text)
    loaded = config.load({}, {}, file)
    assert (str(loaded.data), loaded.listen, loaded.grace) == ("/var/lib/regsvc", "0.0.0.0:7070", 25)


def test_an_online_backup_serves_the_same_version(
    start_server: Callable[..., Server], tmp_path: Path
) -> None:
    server = start_server()
    (tmp_path / "model").mkdir()
    (tmp_path / "model/weights").write_bytes(bytes(range(256)) * 8192)
    server.cli("push", str(tmp_path / "model"), "team/fraud")
    backup = tmp_path / "backup"
    backup.mkdir()
    python, _, rest = next(line for line in indented(OPERATIONS) if "bin/python -c" in line).partition(" ")
    assert python.endswith("bin/python")
    script = shlex.split(rest)[1].replace("/var/lib/regsvc", str(server.data)).replace("/backup", str(backup))
    subprocess.run([sys.executable, "-c", script], check=True, timeout=60)
    shutil.copytree(server.data / "packs", backup / "packs", ignore=shutil.ignore_patterns("open"))
    server.stop()

    restored = start_server(data=backup)
    restored.cli("pull", "team/fraud", str(tmp_path / "out"))
    assert (tmp_path / "out/weights").read_bytes() == (tmp_path / "model/weights").read_bytes()


def test_the_architecture_names_every_table(tmp_path: Path) -> None:
    import sqlite_utils

    database = sqlite_utils.Database(str(tmp_path / "catalog.sqlite"))
    MIGRATIONS.apply(database)
    tables = {name for name in database.table_names() if not name.startswith(("sqlite_", "_"))}
    # FTS5 keeps its own beside each of its tables.
    tables -= {name for name in tables if re.search("_text_(config|data|docsize|idx)$", name)}
    document = (ROOT / "docs/architecture.md").read_text()
    section = document.partition("| tables | keep |")[2].partition("\n\n")[0]
    assert set(re.findall(r"`(\w+)`", section)) == tables
    database.close()


def test_every_dependency_is_explained_and_locked() -> None:
    document = (ROOT / "docs/dependencies.md").read_text()
    explained = {
        name for row in re.findall(r"^\| ([^|]+) \|", document, re.MULTILINE) for name in row.split(", ")
    }
    explained = {name.strip() for name in explained}
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    lock = (ROOT / "requirements.lock").read_text()
    # pip writes a name as its wheel does, with "_" for "-".
    pinned = {
        name.replace("_", "-"): version
        for name, version in re.findall(r"^([\w.-]+)==(\S+)$", lock, re.MULTILINE)
    }
    wanted = [
        *project["build-system"]["requires"],
        *project["project"]["dependencies"],
        *project["dependency-groups"]["dev"],
    ]
    for requirement in wanted:
        name = re.match(r"[\w.-]+", requirement)
        assert name is not None
        assert name[0] in explained, f"{name[0]} is not in docs/dependencies.md"
        assert satisfies(pinned[name[0]], requirement.removeprefix(name[0])), requirement
    assert "://" not in lock


def satisfies(version: str, specifier: str) -> bool:
    from packaging.specifiers import SpecifierSet

    return SpecifierSet(specifier).contains(version)


def test_the_modules_of_the_other_clients_are_explained() -> None:
    import json

    document = (ROOT / "docs/dependencies.md").read_text()
    package = json.loads((ROOT / "clients/typescript/package.json").read_text())
    for name in (*package["dependencies"], *package["devDependencies"]):
        assert name in document, name
    modules = (ROOT / "clients/go/go.mod").read_text()
    for name in re.findall(r"^\t(\S+/\S+) v\S+$", modules, re.MULTILINE):
        assert name in document, name

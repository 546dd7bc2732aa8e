"""Whoever writes a filter finds every kind of event in the contract."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
RECORDED = re.compile(r"\.(?:record|event)\(\s*tx,\s*((?:\"[a-z_.]+\"(?: if \w+ else )?)+)")
KIND = re.compile(r"\"([a-z]+\.[a-z_]+)\"")


def test_every_kind_of_event_is_in_the_contract() -> None:
    contract = (ROOT / "protos/regsvc/v1/event.proto").read_text()
    told = set(re.findall(r"\b[a-z]+\.[a-z_]+\b", contract))
    recorded = {
        kind
        for path in (ROOT / "src/regsvc").rglob("*.py")
        for call in RECORDED.findall(path.read_text())
        for kind in KIND.findall(call)
    }
    assert {"version.purged", "alias.unset", "build.queued", "template.skipped"} <= recorded
    assert recorded <= told, recorded - told


def test_every_kind_that_a_variable_holds_is_too() -> None:
    contract = (ROOT / "protos/regsvc/v1/event.proto").read_text()
    for path in (ROOT / "src/regsvc/catalog").rglob("*.py"):
        for line in re.findall(r"^ *kind = .*$", path.read_text(), re.MULTILINE):
            for kind in KIND.findall(line):
                assert kind in contract, (path.name, kind)

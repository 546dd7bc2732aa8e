"""Where the command of a step runs, and why it may have to end early."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Halt:
    """Why a command has to end before it is done."""

    state: str
    """What becomes of the build: CANCELLED or FAILED; LOST when it is not this process that ends it."""
    reason: str


@dataclass(frozen=True)
class Place:
    """Where a command runs that is a step of a template, not the command of `build run`.

    Signals of this process do not concern it: it ends early when `halt` says so. Then its whole group has `grace`
    seconds to end, and is killed.
    """

    folder: str
    environment: Mapping[str, str]
    """All of it, but for what names the build."""
    step: str
    """Name of the step that its output belongs to, outside of the steps that it begins itself."""
    halt: Callable[[], Halt | None]
    """Asked at least every tenth of a second."""
    grace: float
    """Seconds."""
    began: Callable[[int, str], None] = lambda pid, control: None
    """Called with the pid, which leads a session of its own, and the path of the control socket."""
    tick: Callable[[int], None] = lambda pid: None
    """Called with the pid as often as `halt`."""

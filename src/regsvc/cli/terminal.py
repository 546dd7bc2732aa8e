"""What `build run` and `logs -f` show on a terminal: raw output, and under it one line with the open steps."""

from __future__ import annotations

import os
import select
import sys
import time
from collections.abc import Sequence

from rich.console import Console
from rich.control import Control
from rich.segment import ControlType
from rich.text import Text

from regsvc.client.control import OpenStep
from regsvc.client.runner import Display

_FRAMES = "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"
_FRAME_SECONDS = 0.1
_ERASE = Control(ControlType.CARRIAGE_RETURN, (ControlType.ERASE_IN_LINE, 2))


class StatusLine:
    """One line under the output. It is taken away before anything else is written, and drawn again after.

    Without a terminal it is never drawn.
    """

    def __init__(self, console: Console) -> None:
        self._console = console
        self._shown = False
        self._drawn_at = 0.0

    def draw(self, steps: Sequence[tuple[str, float]]) -> None:
        """Show steps, outermost first, each with the seconds that it has run; nothing when there are none."""
        now = time.monotonic()
        if not self._console.is_terminal or now - self._drawn_at < _FRAME_SECONDS:
            return
        self._drawn_at = now
        self.erase()
        if steps:
            frame = _FRAMES[int(now / _FRAME_SECONDS) % len(_FRAMES)]
            text = Text(f"{frame} ", style="cyan")
            text.append(" › ".join(f"{name} {seconds:.0f} s" for name, seconds in steps), style="dim")
            text.truncate(max(10, self._console.width - 1), overflow="ellipsis")
            self._console.print(text, end="", soft_wrap=True)
            self._shown = True

    def erase(self) -> None:
        """Take the line away."""
        if self._shown:
            self._console.control(_ERASE)
            self._shown = False


class Passthrough(Display):
    """Passes the child's output on, byte by byte, and draws the open steps under it on a terminal."""

    def __init__(self, console: Console) -> None:
        self._status = StatusLine(console)
        self._fds = {"stdout": sys.stdout.fileno(), "stderr": sys.stderr.fileno()}
        self._on_terminal = {stream: os.isatty(fd) for stream, fd in self._fds.items()}
        self._line_open = False  # on the terminal: the status line would go on behind somebody's words
        self.ends_with_newline = True
        """Whether stdout is at the start of a line."""
        self._since: dict[int, float] = {}

    def output(self, stream: str, data: bytes) -> None:
        if stream not in self._fds:
            return
        if self._on_terminal[stream]:
            self._status.erase()
            self._line_open = not data.endswith(b"\n")
        if stream == "stdout":
            self.ends_with_newline = data.endswith(b"\n")
        try:
            _write_all(self._fds[stream], data)
        except BrokenPipeError:
            del self._fds[stream]  # whoever read it has gone, as `head` does; the build goes on

    def tick(self, steps: Sequence[OpenStep]) -> None:
        now = time.monotonic()
        self._since = {step.number: self._since.get(step.number, now) for step in steps}
        if not self._line_open:
            self._status.draw([(step.name, now - self._since[step.number]) for step in steps])

    def close(self) -> None:
        """Take the status line away."""
        self._status.erase()


def _write_all(fd: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        try:
            left = left[os.write(fd, left) :]
        except BlockingIOError:  # somebody else made our terminal non-blocking
            select.select([], [fd], [])

"""What runs for long, beside a block: `with client.runner():`, `with client.follow(...):`."""

from __future__ import annotations

import abc
import threading
from types import TracebackType
from typing import Self


class Beside(abc.ABC):
    """`run` on a thread from the beginning of a block to its end, where its error is raised."""

    _beside: _Thread | None = None

    @abc.abstractmethod
    def run(self) -> None:
        """Go on until it is asked to end."""

    @abc.abstractmethod
    def _end_beside(self, error: BaseException | None) -> None:
        """Ask `run` to end: the block has, with this error or none."""

    def __enter__(self) -> Self:
        self._beside = _Thread(self)
        self._beside.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        thread = self._beside
        assert thread is not None, "the block was entered"
        self._end_beside(error)
        thread.join()
        if thread.failure is not None and error is None:
            raise thread.failure


class _Thread(threading.Thread):
    def __init__(self, runs: Beside) -> None:
        super().__init__(name=f"regsvc-{type(runs).__name__}", daemon=True)
        self._runs = runs
        self.failure: BaseException | None = None

    def run(self) -> None:
        try:
            self._runs.run()
        except BaseException as error:  # noqa: BLE001 - raised where the block ends
            self.failure = error

"""Ctrl-C and SIGTERM, deferred until the loop can save."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType


class Interrupted(Exception):
    """Training stopped on a signal after saving; ``signal_number`` says which."""

    def __init__(self, signal_number: int, checkpoints: Path) -> None:
        name = signal.Signals(signal_number).name
        super().__init__(f"stopped by {name}; saved in {checkpoints}. Run the same command again to resume")
        self.signal_number = signal_number


@contextmanager
def deferred_signals() -> Iterator[list[int]]:
    """Collect SIGINT and SIGTERM in the yielded list instead of ending the process; a second one interrupts at once."""
    received: list[int] = []

    def hold(number: int, frame: FrameType | None) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)

    with _handled((signal.SIGINT, signal.SIGTERM), hold):
        yield received


@contextmanager
def terminable() -> Iterator[list[int]]:
    """SIGTERM raises ``KeyboardInterrupt``, as Ctrl-C does; the yielded list then holds its number."""
    received: list[int] = []

    def interrupt(number: int, frame: FrameType | None) -> None:
        received.append(number)
        raise KeyboardInterrupt

    with _handled((signal.SIGTERM,), interrupt):
        yield received


@contextmanager
def _handled(numbers: Sequence[int], handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():
        yield  # Python delivers signals to the main thread only
        return
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, previous in before.items():
            signal.signal(number, previous)

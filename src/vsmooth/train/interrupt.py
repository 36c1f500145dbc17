"""Ctrl-C and SIGTERM, held until the loop can save."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
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
    """Collect SIGINT and SIGTERM in the yielded list instead of dying; a second one interrupts at once."""
    received: list[int] = []

    def hold(number: int, frame: FrameType | None) -> None:
        if received:
            raise KeyboardInterrupt
        received.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield received  # Python delivers signals to the main thread only
        return
    before = {number: signal.signal(number, hold) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield received
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)

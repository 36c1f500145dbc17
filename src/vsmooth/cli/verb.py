"""What every command is: its options as a frozen value, whose docstring is the help, and what running it does."""

from __future__ import annotations

from abc import ABC, abstractmethod

from rich.console import Console


class Verb(ABC):
    """One command of ``vsmooth``. A subclass is a frozen dataclass: its fields are the options, in plain types."""

    @classmethod
    def name(cls) -> str:
        """The word that is typed."""
        return cls.__name__.lower()

    @abstractmethod
    def run(self, console: Console, typed: str) -> None:
        """Carry the command out; ``typed`` is the command line, for the records. ``ValueError`` for bad input."""

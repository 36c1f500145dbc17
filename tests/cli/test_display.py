"""The progress display on a terminal and in a log file."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from vsmooth.cli import display
from vsmooth.cli.display import Display, say
from vsmooth.experiments.specs.run_spec import RunSpec
from vsmooth.losses.catalogue import parse_objective
from vsmooth.records.run import EpochRecord

SPEC = RunSpec("embedded", "small", parse_objective("vs:0.3"), seed=2, epochs=4)


def log(epoch: int) -> EpochRecord:
    metrics = {"accuracy": 0.875, "nll": 0.5, "ece": 0.1, "mean_confidence": 0.8}
    return EpochRecord(epoch, 1.2345, 0.1, 2.0, 12345.6, metrics, {})


def train(console: Console) -> None:
    with Display(console) as shown:
        shown.on_run(1, 3, SPEC)
        for epoch in range(1, 5):
            shown.on_step(epoch, 4, 1.0)
            shown.on_epoch(log(epoch))


def test_log_file_gets_a_line_a_minute_and_the_last_epoch(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter((100.0, 100.0, 120.0, 161.0, 161.0, 170.0))
    monkeypatch.setattr(display.time, "monotonic", lambda: next(clock))
    file = io.StringIO()
    train(Console(file=file, width=40))
    expected = "vs:0.3, seed 2: epoch {}/4  loss 1.234  validation accuracy 87.5 %  12,346 images/s"
    assert file.getvalue().splitlines() == [expected.format(epoch) for epoch in (1, 3, 4)]


def test_terminal_gets_bars() -> None:
    file = io.StringIO()
    train(Console(file=file, force_terminal=True, width=200, color_system=None))
    text = file.getvalue()
    assert "1/3" in text  # runs
    assert "4/4" in text  # steps
    assert "vs:0.3, seed 2" in text
    assert "epoch 4/4" in text


@pytest.mark.parametrize("terminal", [True, False])
def test_text_is_printed_as_it_is(terminal: bool) -> None:
    file = io.StringIO()
    console = Console(file=file, force_terminal=terminal, width=20, color_system=None)
    text = "[red] checkpoint /a/path/longer/than/the/width [Errno 28]"
    say(console, text, style="yellow")
    assert file.getvalue() == f"{text}\n"
    with Display(console) as shown:
        shown.on_run(0, 1, SPEC)
        shown.on_message(text)
    assert f"vs:0.3, seed 2: {text}" in file.getvalue()

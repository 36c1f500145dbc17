"""Of several processes only the first speaks."""

from __future__ import annotations

from pathlib import Path

import pytest

from vsmooth.cli import main


def test_other_processes_print_nothing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("RANK", "1")
    assert main(["recipes"]) == 0
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")


def test_words_that_are_not_understood_are_said_once(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("RANK", "3")
    for words in (["trian"], ["train", "--help"]):
        with pytest.raises(SystemExit):
            main(words)
    captured = capsys.readouterr()
    assert (captured.out, captured.err) == ("", "")


@pytest.mark.parametrize(("rank", "local_rank", "speaks"), [("0", "0", True), ("1", "1", False), ("4", "0", True)])
def test_a_mistake_is_said_once_a_machine(
    rank: str,
    local_rank: str,
    speaks: bool,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("RANK", rank)
    monkeypatch.setenv("LOCAL_RANK", local_rank)
    assert main(["report", str(tmp_path)]) == 2
    assert bool(capsys.readouterr().err) == speaks


def test_first_process_prints(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("RANK", "0")
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert main(["recipes"]) == 0
    assert "cifar100-resnext29" in capsys.readouterr().out

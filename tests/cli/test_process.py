"""The command in a process of its own: the script, the module, signals, and a bare install."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from vsmooth.cli import main
from vsmooth.experiments.ownership import LOCK_FILE
from vsmooth.experiments.specs.spec_file import SPEC_FILE

MODULE = [sys.executable, "-m", "vsmooth"]
SCRIPT = Path(sys.executable).with_name("vsmooth")


def test_script_and_module_report_mistakes_by_their_status(tmp_path: Path) -> None:
    ways = [MODULE, [str(SCRIPT)]] if SCRIPT.exists() else [MODULE]
    running = [
        subprocess.Popen(
            [*way, "report", str(tmp_path)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for way in ways
    ]
    for process in running:
        out, error = process.communicate(timeout=120)
        assert process.returncode == 2
        assert out == ""
        assert (
            error
            == f"vsmooth: no summary.json in {tmp_path}; `vsmooth compare --out {tmp_path}` creates it\n"
        )


@pytest.mark.parametrize("missing", ["tyro", "accelerate"])
def test_bare_install_says_what_to_install(missing: str) -> None:
    """Stands for `pip install vsmooth` without the lab: the import of a package of it is refused."""
    code = f"""
import sys
class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition('.')[0] == {missing!r}:
            raise ModuleNotFoundError(f'No module named {{name!r}}', name=name)
sys.meta_path.insert(0, Block())
from vsmooth.cli import main
sys.exit(main(['train']))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=120)
    assert done.returncode == 2
    assert done.stderr == f'vsmooth: the command line needs {missing}: pip install "vsmooth[lab]"\n'
    assert done.stdout == ""


def test_signals_save_and_the_same_command_goes_on(toy_folder: Path, tmp_path: Path) -> None:
    """A training far too long to end is stopped by Ctrl-C, gone on with, killed by SIGTERM."""
    options = ["--label", "vs:0.3", "--epochs", "100000", "--batch-size", "36", "--precision", "fp32"]
    command = [*MODULE, "train", "--data", str(toy_folder), "--out", str(tmp_path), *options]
    first = stop_at_line(command, "epoch 1/100000", signal.SIGINT)
    assert first[0] == 130, first
    (folder,) = tmp_path.iterdir()
    message = "saved in {}. Run the same command again to resume"
    assert first[1][-1] == "stopped by SIGINT; " + message.format(folder / "checkpoints")
    second = stop_at_line(command, "resuming at epoch ", signal.SIGTERM)
    assert second[0] == 143, second
    assert second[1][-1] == "stopped by SIGTERM; " + message.format(folder / "checkpoints")
    assert {path.name for path in folder.iterdir()} == {SPEC_FILE, "checkpoints"}


def test_two_processes_with_one_out(toy_folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The second is told who trains; when that one is killed, its lock and half a file are no hindrance."""
    options = ["--data", str(toy_folder), "--out", str(tmp_path), "--epochs", "100000", "--precision", "fp32"]
    command = [*MODULE, "train", *options, "--batch-size", "36"]
    with started(command) as first:
        assert any("epoch 1/100000" in line for line in first.stdout or ())
        assert main(command[len(MODULE) :]) == 2
        (folder,) = tmp_path.iterdir()
        error = capsys.readouterr().err
        assert re.fullmatch(
            rf"vsmooth: {folder} is in use by process {first.pid} on \S+ since .* UTC; wait until it ends, or choose "
            r"another --out\n",
            error,
        ), error
        first.kill()
        first.wait()
    assert (folder / LOCK_FILE).is_file()
    (folder / f".{SPEC_FILE}.{first.pid}.partial").write_text("{")
    status, lines = stop_at_line(command, "epoch 1/100000", signal.SIGINT)
    assert status == 130, lines
    assert {path.name for path in folder.iterdir()} == {SPEC_FILE, "checkpoints"}


def stop_at_line(command: list[str], words: str, number: signal.Signals) -> tuple[int, list[str]]:
    """Send a signal as soon as a line with ``words`` is printed; the exit status and all lines."""
    lines = []
    with started(command) as process:
        for line in process.stdout or ():
            lines.append(line.rstrip("\n"))
            if words in line:
                process.send_signal(number)
                words = "\0"
    return process.wait(), lines


@contextmanager
def started(command: list[str]) -> Iterator[subprocess.Popen[str]]:
    """A process whose lines can be read at once; it is killed after two minutes, and where the block fails."""
    pipe, environment = subprocess.PIPE, os.environ | {"PYTHONUNBUFFERED": "1"}
    process = subprocess.Popen(command, stdout=pipe, stderr=subprocess.STDOUT, text=True, env=environment)
    watchdog = threading.Timer(120, process.kill)
    watchdog.start()
    try:
        yield process
    except BaseException:
        process.kill()
        raise
    finally:
        watchdog.cancel()
        process.wait()

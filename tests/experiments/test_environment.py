"""Where a result was made."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest
import torch

import vsmooth
from vsmooth.experiments import environment
from vsmooth.experiments.environment import describe_environment


@pytest.fixture
def checkout(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A git checkout with one commit, from which the package seems to be imported."""
    module = tmp_path / "src" / "vsmooth" / "experiments" / "environment.py"
    module.parent.mkdir(parents=True)
    module.write_text("")
    author = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
    for command in (["init", "-q"], ["add", "."], [*author, "commit", "-q", "-m", "one"]):
        subprocess.run(["git", *command], cwd=tmp_path, check=True)
    monkeypatch.setattr(environment, "__file__", str(module))
    return tmp_path


def commit() -> str:
    return describe_environment("fp32", torch.device("cpu"))["commit"]


def test_what_is_told() -> None:
    found = describe_environment("bf16", torch.device("cpu"))
    assert found["vsmooth"] == vsmooth.__version__
    assert found["torch"] == torch.__version__
    assert found["precision"] == "bf16"
    assert found["device"].startswith("CPU (")
    assert found["processes"] == "1"
    known = Path("/proc/cpuinfo")
    lines = known.read_text().splitlines() if known.exists() else []
    model = [line for line in lines if line.startswith("model name")]
    assert not model or model[0].endswith(found["processor"])
    assert found["threads"] == str(torch.get_num_threads())
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d UTC", found["date"])
    assert all(isinstance(value, str) and value for value in found.values())


def test_commit_and_whether_files_differ(checkout: Path) -> None:
    head = subprocess.run(
        ["git", "rev-parse", "HEAD"], cwd=checkout, capture_output=True, text=True, check=True
    )
    assert commit() == head.stdout[:12]
    (checkout / "untracked").write_text("")
    assert commit() == head.stdout[:12]
    (checkout / "src" / "vsmooth" / "experiments" / "environment.py").write_text("changed")
    assert commit() == head.stdout[:12] + "+"


def test_outside_a_checkout_and_without_git(
    tmp_path: Path, checkout: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert commit() == "unknown"
    (checkout / ".git").rename(checkout / "git")
    assert commit() == "installed"


def test_other_devices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "a GPU")
    assert describe_environment("bf16", torch.device("cuda"))["device"] == "a GPU"
    assert describe_environment("fp32", torch.device("mps"))["device"] == "mps"

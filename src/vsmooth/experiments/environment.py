"""The environment of a result: versions, commit, device and more."""

from __future__ import annotations

import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

import torch

import vsmooth


def describe_environment(precision: str, device: torch.device) -> dict[str, str]:
    """Versions, commit, device, processor, threads, precision and date, as text."""
    from vsmooth.train.processes import launched  # seconds, and not part of a bare install

    return {
        "vsmooth": vsmooth.__version__,
        "commit": _commit(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "system": f"{platform.system()} {platform.machine()}",
        "device": device_name(device),
        "processor": _processor(),
        "processes": str(launched().num_processes),
        "threads": str(torch.get_num_threads()),
        "precision": precision,
        "date": datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC"),
    }


def version_line() -> str:
    """ "vsmooth 0.1.0 (commit 1a2b3c4d5e6f+), torch 2.14.1, Python 3.11.7"; + where files differ from the commit."""
    own = f"vsmooth {vsmooth.__version__} (commit {_commit()})".replace("commit installed", "installed")
    return f"{own}, torch {torch.__version__}, Python {platform.python_version()}"


def device_name(device: torch.device) -> str:
    """The GPU's name, or the CPU's widest instructions."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    if device.type == "cpu":
        return f"CPU ({torch.backends.cpu.get_cpu_capability()})"
    return device.type


def _processor() -> str:
    """The CPU by its model name where the system tells it."""
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = []
    named = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    return named or platform.processor() or platform.machine() or "unknown"


def _commit() -> str:
    """Commit of the checkout this package is imported from, ``+`` if files differ; "installed" outside a checkout."""
    root = Path(__file__).resolve().parents[3]
    if not (root / ".git").exists():
        return "installed"
    try:
        name = _git(root, "rev-parse", "--short=12", "HEAD")
        return name + ("+" if _git(root, "status", "--porcelain", "--untracked-files=no") else "")
    except (OSError, subprocess.SubprocessError):
        return "unknown"


def _git(root: Path, *arguments: str) -> str:
    done = subprocess.run(["git", *arguments], cwd=root, capture_output=True, text=True, check=True, timeout=10)
    return done.stdout.strip()

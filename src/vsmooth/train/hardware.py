"""Choice of device, precision and memory layout for the hardware."""

from __future__ import annotations

from pathlib import Path
from typing import get_args

import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from vsmooth.bounds import check_one_of
from vsmooth.models import Precision
from vsmooth.train.execution import Tracker
from vsmooth.train.tracking import check_tracker


def best_precision() -> Precision:
    """bf16 where the device multiplies it natively (CUDA from Ampere on, CPUs with AVX-512 BF16 or AMX), else fp32."""
    if torch.cuda.is_available():
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    if torch.backends.mps.is_available():
        return "fp32"
    capability = torch.cpu.get_capabilities() if hasattr(torch.cpu, "get_capabilities") else {}
    return "bf16" if capability.get("avx512_bf16") or capability.get("amx_bf16") else "fp32"


def make_accelerator(
    precision: Precision,
    *,
    accumulate: int = 1,
    compile_model: bool = False,
    track: Tracker | None = None,
    logs: Path | None = None,
) -> Accelerator:
    """An ``Accelerator`` for one run; several runs of one process may differ in precision.

    ``track`` names the experiment tracker; TensorBoard writes to ``logs``.

    Raises:
        ModuleNotFoundError: the tracker's package is not installed.
    """
    check_one_of("precision", precision, get_args(Precision))
    if track is not None:
        check_tracker(track)
    # Accelerate keeps the first run's precision for the life of the process unless told to forget it.
    AcceleratorState._reset_state(reset_partial_state=False)
    return Accelerator(
        mixed_precision="bf16" if precision == "bf16" else "no",
        gradient_accumulation_steps=accumulate,
        dynamo_backend="inductor" if compile_model else "no",
        step_scheduler_with_optimizer=False,
        log_with=track,
        project_dir=logs,
    )

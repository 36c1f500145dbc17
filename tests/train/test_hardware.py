"""Precision by name and by machine."""

from __future__ import annotations

import pytest
import torch

from vsmooth.models import prefers_channels_last
from vsmooth.train import best_precision, hardware, make_accelerator


def test_precision_names() -> None:
    with pytest.raises(ValueError, match="precision must be one of fp32, bf16, got 'fp16'"):
        make_accelerator("fp16")  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        ({"amx_bf16": True}, "bf16"),
        ({"avx512_bf16": True}, "bf16"),
        ({"avx512_bf16": False}, "fp32"),
        ({}, "fp32"),
    ],
)
def test_best_precision_of_a_cpu(
    monkeypatch: pytest.MonkeyPatch, found: dict[str, bool], expected: str
) -> None:
    monkeypatch.setattr(hardware.torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(hardware.torch.backends.mps, "is_available", lambda: False)
    monkeypatch.setattr(hardware.torch.cpu, "get_capabilities", lambda: found, raising=False)
    assert best_precision() == expected


def test_accelerator_as_asked_for() -> None:
    accelerator = make_accelerator("bf16", accumulate=3)
    assert (accelerator.mixed_precision, accelerator.gradient_accumulation_steps) == ("bf16", 3)
    accelerator = make_accelerator("fp32")  # the one before is forgotten
    assert (accelerator.mixed_precision, accelerator.gradient_accumulation_steps) == ("no", 1)


def test_memory_layout_by_device() -> None:
    preferred = [prefers_channels_last(torch.device(name)) for name in ("cpu", "cuda", "mps")]
    assert preferred == [True, True, False]

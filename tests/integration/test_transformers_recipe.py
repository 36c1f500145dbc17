"""The Transformers recipe of docs/usage.md, run as it is printed there."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.nn.functional as F

import vsmooth

transformers = pytest.importorskip("transformers")

PAGE = Path(__file__).parents[2] / "docs" / "usage.md"
K, SAMPLES = 10, 32


def recipe() -> str:
    blocks = re.findall(r"```python\n(.*?)```", PAGE.read_text(encoding="utf-8"), flags=re.DOTALL)
    (block,) = (block for block in blocks if "from transformers import" in block)
    return block


def samples() -> list[dict[str, Any]]:
    generator = torch.Generator().manual_seed(0)
    images = torch.randn(SAMPLES, 3, 8, 8, generator=generator)
    return [{"pixel_values": image, "labels": index % K} for index, image in enumerate(images)]


def run_recipe(folder: Path, batch: int, steps: int) -> dict[str, Any]:
    """One step of the optimizer on all samples; what the recipe defined."""
    torch.manual_seed(0)
    config = transformers.ViTConfig(
        image_size=8, patch_size=4, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16,
        hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0, num_labels=K,
    )  # fmt: skip
    arguments = transformers.TrainingArguments(
        str(folder), per_device_train_batch_size=batch, gradient_accumulation_steps=steps, max_steps=1, logging_steps=1,
        learning_rate=0.0, report_to=[], use_cpu=True, save_strategy="no", disable_tqdm=True,
    )  # fmt: skip
    names = {"config": config, "arguments": arguments, "train_set": samples(), "test_set": samples()}
    exec(compile(recipe(), str(PAGE), "exec"), names)
    return names


@pytest.mark.parametrize(("batch", "steps"), [(32, 1), (8, 4)])
def test_gradients_do_not_grow_with_the_accumulation_steps(tmp_path: Path, batch: int, steps: int) -> None:
    trained = run_recipe(tmp_path, batch, steps)
    model = trained["model"].train()
    model.zero_grad()
    batch_of_all = samples()
    images = torch.stack([sample["pixel_values"] for sample in batch_of_all])
    labels = torch.tensor([sample["labels"] for sample in batch_of_all])
    target = vsmooth.VirtualSmoothing(0.3).encode(labels, K)
    loss = F.cross_entropy(model(images).logits, target)  # the learning rate was 0, so these are the first weights
    loss.backward()
    norm = torch.stack([p.grad.norm() for p in model.parameters() if p.grad is not None]).norm()
    logged = next(entry for entry in trained["trainer"].state.log_history if "grad_norm" in entry)
    assert logged["grad_norm"] == pytest.approx(norm.item(), rel=1e-4)
    assert logged["loss"] == pytest.approx(loss.item(), rel=1e-3)
    with torch.no_grad():
        expected = F.cross_entropy(model.eval()(images).logits, labels)
    assert trained["trainer"].evaluate()["eval_loss"] == pytest.approx(expected.item(), rel=1e-4)

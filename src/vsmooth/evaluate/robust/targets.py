"""A model as attacks see it: a fast equivalent to craft on, the model itself to decide."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor, nn

from vsmooth.attacks import Target
from vsmooth.evaluate.predict import evaluation_mode, model_device
from vsmooth.evaluate.robust.cascade import View
from vsmooth.head import virtual_heads
from vsmooth.models.inference import inference_network

Precision = Literal["fp32", "bf16"]
_SAMPLES = 8  # images that the inference network is checked on


def attack_target(
    model: nn.Module,
    sample_images: Tensor,
    view: View = "real",
    *,
    num_classes: int,
    precision: Precision = "fp32",
    fold: bool = True,
    compile: bool = False,
) -> Target:
    """`model` as attacks see it: they craft on a fast equivalent, and the model itself decides, in eval mode and fp32.

    view: "real" for the K real logits, "all" for K + V. sample_images (N, C, H, W): a few, which the equivalent network
    is checked on. ValueError for "all" without virtual classes, and unknown words.
    """
    if view not in get_args(View) or precision not in get_args(Precision):
        raise ValueError(f"view must be 'real' or 'all' and precision 'fp32' or 'bf16', got {view!r} and {precision!r}")
    if view == "all" and not virtual_heads(model):
        raise ValueError("the model has no virtual classes: attack its real logits (view='real')")
    device = model_device(model)
    craft = inference_network(
        model,
        sample_images.to(device),
        real_only=view == "real",
        fold=fold,
        compile=compile,
        dtype=torch.bfloat16 if precision == "bf16" else None,
    )

    def decide(images: Tensor) -> Tensor:
        with evaluation_mode(model), torch.autocast(device.type, enabled=False):
            logits: Tensor = model(images)
        return logits.float()

    return Target(num_classes, craft, decide)


class Targets:
    """The targets of one model, each built when it is first asked for; the settings are those of `attack_target`."""

    def __init__(
        self, model: nn.Module, images: Tensor, *, num_classes: int, fold: bool = True, compile: bool = False
    ) -> None:
        self.model, self.device, self.num_classes = model, model_device(model), num_classes
        self._samples, self._fold, self._compile = images[:_SAMPLES], fold, compile
        self._built: dict[tuple[View, Precision], Target] = {}

    def __call__(self, view: View, precision: Precision = "fp32") -> Target:
        if (view, precision) not in self._built:
            self._built[view, precision] = attack_target(
                self.model,
                self._samples,
                view,
                num_classes=self.num_classes,
                precision=precision,
                fold=self._fold,
                compile=self._compile,
            )
        return self._built[view, precision]

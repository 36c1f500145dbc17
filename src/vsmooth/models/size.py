"""Size of a network: parameters and multiply-adds."""

from __future__ import annotations

import torch
from torch import nn
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from vsmooth.models.catalogue import Architecture


def count_parameters(model: nn.Module) -> int:
    """Number of weights of `model`, including fixed ones."""
    return sum(parameter.numel() for parameter in model.parameters())


def count_macs(model: nn.Module, image_shape: tuple[int, int, int]) -> int:
    """Multiply-adds of convolutions, linear layers and attention for one image (C, H, W), in eval mode.

    BatchNorm, activations, additions and pooling are not counted, as is usual. On the meta device nothing is computed.
    """
    modes, parameter = {module: module.training for module in model.modules()}, next(model.parameters())
    images = torch.zeros(1, *image_shape, device=parameter.device, dtype=parameter.dtype)
    counter = FlopCounterMode(display=False)
    # Fused attention is one operation, which the counter does not know on every device.
    with torch.no_grad(), sdpa_kernel(SDPBackend.MATH), counter:
        model.eval()(images)
    for module, training in modes.items():
        module.training = training
    return counter.get_total_flops() // 2


def measure(architecture: Architecture) -> tuple[int, int]:
    """Parameters and multiply-adds of an architecture, for the images and classes that its entry names."""
    with torch.device("meta"):
        network = architecture.build(architecture.num_classes, architecture.image_shape[0])
    return count_parameters(network), count_macs(network, architecture.image_shape)

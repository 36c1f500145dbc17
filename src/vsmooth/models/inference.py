"""A copy of a network that gives the same logits faster: for attacks, which run it thousands of times an image."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.fx.experimental.optimization import fuse
from torch.nn.modules.batchnorm import _BatchNorm

from vsmooth.classifier import find_classifier
from vsmooth.head import remove_virtual_classes, virtual_heads
from vsmooth.models.normalise import NormalisedModel

_TOLERANCE = 1e-3


def prefers_channels_last(device: torch.device) -> bool:
    """Convolutions run fastest channels_last on CPUs (oneDNN) and on CUDA tensor cores."""
    return device.type in ("cpu", "cuda")


class InferenceNetwork(nn.Module):
    """Images (N, C, H, W) in [0, 1] to float32 logits; gradients for the images are contiguous, as the images are.

    `folded`: how many BatchNorms are part of a convolution now. `dtype`: of weights and activations (None: unchanged).
    """

    def __init__(self, normalise: nn.Module, body: nn.Module, dtype: torch.dtype | None, *, folded: int) -> None:
        super().__init__()
        self.normalise, self.body, self.dtype, self.folded = normalise, body, dtype, folded

    def forward(self, images: Tensor) -> Tensor:
        logits: Tensor = self.body(_Relaid.apply(self.normalise(images), self.dtype))
        return logits.float()

    def extra_repr(self) -> str:
        return f"dtype={self.dtype}, folded={self.folded}"


def inference_network(
    model: nn.Module,
    sample_images: Tensor,
    *,
    real_only: bool = True,
    fold: bool = True,
    compile: bool = False,
    dtype: torch.dtype | None = None,
) -> InferenceNetwork:
    """An equivalent of `model` in eval mode whose weights take no gradients; `model` itself stays as it is.

    Each BatchNorm becomes part of the convolution before it, where torch.fx can follow the code and nothing else
    reads that convolution, else one multiply-add: `w' = w s, b' = (b - mean) s + beta, s = gamma / sqrt(var + eps)`.
    Convolutions run in the layout that the device likes. Any batch size, but attackers should hand in float32 NCHW.

    Args:
        sample_images: (N, C, H, W) in [0, 1], a few: what the folded network must agree on with `model`, to 1e-3 of
            the largest logit (or of 1). Where it does not, nothing is folded.
        real_only: the K real logits; False keeps the virtual ones, K + V.
        compile: by torch.compile, half a minute at first, and again for other batch sizes.
        dtype: what the weights are cast to (torch.bfloat16); normalisation and the classifier stay float32, so that
            close logits do not become equal. None: as they are. No gradient is exact in half precision.

    Raises:
        ValueError: sample images of another shape or dtype; a dtype that is not floating point; more than one head
            with virtual classes.

    Source of the folding: Jacob et al., "Quantization and Training of Neural Networks ..." (2018), Sec. 3.2, Eq. 14.
    """
    if sample_images.ndim != 4 or not sample_images.is_floating_point() or not len(sample_images):
        found = f"{sample_images.dtype} {tuple(sample_images.shape)}"
        raise ValueError(f"sample_images must be floating point (N, C, H, W) with N >= 1, got {found}")
    if dtype is not None and not dtype.is_floating_point:
        raise ValueError(f"dtype must be floating point, such as torch.bfloat16, got {dtype}")
    normalise, body = _parts(_evaluated_copy(model, real_only))
    folded = 0
    if fold:
        with torch.no_grad():
            body, folded = _faster(body, normalise(sample_images))
    if dtype not in (None, torch.float32):
        body = _with_exact_classifier(body.to(dtype))
    if prefers_channels_last(sample_images.device):
        body = body.to(memory_format=torch.channels_last)
    network = InferenceNetwork(normalise, body, dtype, folded=folded).requires_grad_(False).eval()
    if compile:
        network.compile()
    return network


def _parts(model: nn.Module) -> tuple[nn.Module, nn.Module]:
    """What normalises, where that is a part of its own, and the rest."""
    return (model.normalise, model.network) if type(model) is NormalisedModel else (nn.Identity(), model)


def _evaluated_copy(model: nn.Module, real_only: bool) -> nn.Module:
    copied = copy.deepcopy(model).eval()
    copied.zero_grad(set_to_none=True)
    heads = virtual_heads(copied)
    if real_only and heads:
        return remove_virtual_classes(copied)
    for _, head in heads:
        head.keep_virtual = True
    return copied


def _faster(plain: nn.Module, inputs: Tensor) -> tuple[nn.Module, int]:
    """`plain` with BatchNorms folded, and how many; `plain` itself where that would not give the same logits."""
    changed = _folded(copy.deepcopy(plain))
    folded = _count(plain) - _count(changed)
    for name, module in list(changed.named_modules()):
        if name and type(module) is nn.BatchNorm2d:
            changed.set_submodule(name, _scale_shift(module))
    return (changed, folded) if _agree(plain, changed, inputs) else (plain, 0)


def _agree(plain: nn.Module, changed: nn.Module, inputs: Tensor) -> bool:
    expected = plain(inputs)
    try:
        difference = (changed(inputs) - expected).abs().max()
    except Exception:  # whatever the code of a network does with parts that are other modules now
        return False
    return bool(difference <= _TOLERANCE * max(1.0, float(expected.abs().max())))  # not so for NaN


def _folded(network: nn.Module) -> nn.Module:
    """As much of `network` as can be traced, in place; where the whole cannot, its parts one by one."""
    if not _count(network) or isinstance(network, _BatchNorm):
        return network
    try:
        # Called without gradients, so that code which asks for them (checkpointing) is traced without.
        return fuse(fx.GraphModule(network, _Tracer().trace(network)), inplace=True, no_trace=True)
    except Exception:  # the code of any network runs here, on values that stand for tensors
        for name, child in list(network.named_children()):
            setattr(network, name, _folded(child))
        return network


def _count(network: nn.Module) -> int:
    return sum(isinstance(module, _BatchNorm) for module in network.modules())


class _Tracer(fx.Tracer):
    """Looks only into modules that hold a BatchNorm: whatever the code of the others does, it need not be followed."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, _BatchNorm) or not _count(m)


def _scale_shift(norm: nn.BatchNorm2d) -> nn.Module:
    """What a BatchNorm does in eval mode; itself where it keeps no statistics."""
    mean, variance = norm.running_mean, norm.running_var
    if mean is None or variance is None:
        return norm
    scale = (variance + norm.eps).rsqrt() * (1 if norm.weight is None else norm.weight)
    return _ScaleShift(scale, (0 if norm.bias is None else norm.bias) - mean * scale)


class _ScaleShift(nn.Module):
    """`x s + t` per channel, x (N, C, H, W): one pass over the activations, and one back."""

    scale: Tensor
    shift: Tensor

    def __init__(self, scale: Tensor, shift: Tensor) -> None:
        super().__init__()
        self.register_buffer("scale", scale.view(1, -1, 1, 1))
        self.register_buffer("shift", shift.view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        return torch.addcmul(self.shift, images, self.scale)


class _Relaid(torch.autograd.Function):
    """Into the dtype and the layout of the convolutions; the gradient comes back in those of the images.

    Without it the gradient of a channels_last network is channels_last, on which an attacker's `view` fails.
    """

    @staticmethod
    def forward(ctx: Any, images: Tensor, dtype: torch.dtype | None) -> Tensor:
        ctx.dtype = images.dtype
        liked = torch.channels_last if prefers_channels_last(images.device) else torch.contiguous_format
        return images.to(dtype or images.dtype, memory_format=liked)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None]:
        return gradient.to(ctx.dtype, memory_format=torch.contiguous_format), None


class _InFloat32(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, features: Tensor) -> Tensor:
        logits: Tensor = self.layer(features.float())
        return logits


def _with_exact_classifier(body: nn.Module) -> nn.Module:
    try:
        name, layer = find_classifier(body)
    except ValueError:
        return body
    if name:
        body.set_submodule(name, _InFloat32(layer.float()))
    return body

"""BatchNorms as a part of the convolutions before them: the same function of the images, computed faster."""

from __future__ import annotations

import copy
from collections import Counter
from dataclasses import dataclass, field

import torch
from torch import Tensor, fx, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.utils.fusion import fuse_conv_bn_eval

_TOLERANCE = 1e-3  # of the largest logit (or of 1), and of an input gradient's length
_AT_A_KINK = 0.1  # the same of one image, where rounding may take the other side of a ReLU
_RANDOM_AIMS = 3


@dataclass(frozen=True, eq=False)
class Folded:
    """network: `count` of its BatchNorms are folded. refused: why none is, "" where some are or none can be.

    pairs: for each convolution of `network` that holds a BatchNorm, the name of that BatchNorm in the plain network;
    names of convolutions and of all other parts are the same in both.
    """

    network: nn.Module
    count: int
    refused: str = ""
    pairs: dict[str, str] = field(default_factory=dict)


def fold_batch_norms(plain: nn.Module, inputs: Tensor) -> Folded:
    """A copy of `plain`, a network in eval mode, with each BatchNorm in the weights of the convolution before it.

    `w' = w s, b' = (b - mean) s + beta, s = gamma / sqrt(var + eps)`; a BatchNorm without such a convolution becomes
    one multiply-add. Both networks must agree on `inputs` (N, C, H, W), a few: in the logits (N, C), to 1e-3 of the
    largest, and in the input gradients of several sums of logits, to 1e-3 of their length in the median and to 0.1 for
    each image. Otherwise the result is `plain` itself. torch.fx records the operations of the forward pass alone, so
    the copy loses gradients that the code defines otherwise: by a `torch.autograd.Function` beside a BatchNorm (a
    straight-through estimator), or by `torch.no_grad`.

    Source: Jacob et al., "Quantization and Training of Neural Networks ..." (2018), Sec. 3.2, Eq. 14.
    """
    if not _count(plain):
        return Folded(plain, 0)
    with torch.no_grad():
        changed, pairs = _fold_copy(plain)
        count = _count(plain) - _count(changed)
        for name, module in list(changed.named_modules()):
            if name and type(module) is nn.BatchNorm2d:
                changed.set_submodule(name, _scale_shift(module))
    if refused := _disagreement(plain, changed, inputs):
        return Folded(plain, 0, refused)
    return Folded(changed, count, pairs=pairs)


def _fold_copy(plain: nn.Module) -> tuple[nn.Module, dict[str, str]]:
    copied = copy.deepcopy(plain)
    names = {module: name for name, module in copied.named_modules()}
    fused: dict[nn.Module, nn.Module] = {}
    changed = _folded(copied, fused)
    return changed, {name: names[fused[module]] for name, module in changed.named_modules() if module in fused}


def _disagreement(plain: nn.Module, changed: nn.Module, inputs: Tensor) -> str:
    """What differs between the two, in words; "" if nothing does."""
    with torch.no_grad():
        expected = plain(inputs)
    try:
        with torch.no_grad():
            difference = (changed(inputs) - expected).abs().max()
    except Exception:  # whatever the code of a network does with parts that are other modules now
        return "its code does not run on folded parts"
    if not difference <= _TOLERANCE * max(1.0, float(expected.abs().max())):  # also true for NaN
        return "folding would change its logits"
    apart = torch.stack([_gradient_distance(plain, changed, inputs, aim) for aim in _aims(expected)])
    same = apart.max() <= _AT_A_KINK and apart.median() <= _TOLERANCE
    return "" if same else "folding would change its input gradients"


def _aims(logits: Tensor) -> list[Tensor]:
    """Weights (N, C) of the logits (N, C): the margin of the two largest, and random ones that leave none out."""
    best, second = logits.topk(2, 1).indices.unbind(1)
    rows = torch.arange(len(logits), device=logits.device)
    margin = torch.zeros_like(logits)
    margin[rows, best], margin[rows, second] = -1, 1
    generator = torch.Generator().manual_seed(0)
    return [margin, *(torch.randn(logits.shape, generator=generator).to(logits) for _ in range(_RANDOM_AIMS))]


def _gradient_distance(plain: nn.Module, changed: nn.Module, inputs: Tensor, aim: Tensor) -> Tensor:
    """(N,): how far apart the two input gradients of `<aim, logits>` are, as a share of the first one's length."""
    expected, found = (_input_gradient(network, inputs, aim).flatten(1) for network in (plain, changed))
    return (found - expected).norm(dim=1) / expected.norm(dim=1).clamp(min=torch.finfo(expected.dtype).tiny)


def _input_gradient(network: nn.Module, inputs: Tensor, aim: Tensor) -> Tensor:
    """(N, C, H, W); 0 where the logits do not depend on the inputs by a derivative."""
    with torch.enable_grad():
        pixels = inputs.detach().clone().requires_grad_()
        height = (network(pixels) * aim).sum()
        if not height.requires_grad:
            return torch.zeros_like(pixels)
        (gradient,) = torch.autograd.grad(height, pixels, allow_unused=True)
    return torch.zeros_like(pixels) if gradient is None else gradient


def _folded(network: nn.Module, fused: dict[nn.Module, nn.Module]) -> nn.Module:
    """As much of `network` as can be traced, in place; where the whole cannot, its parts one by one.

    `fused` gets each new convolution with the BatchNorm that it holds.
    """
    if not _count(network) or isinstance(network, _BatchNorm):
        return network
    try:
        # Called without gradients, so that code which asks for them (checkpointing) is traced without.
        traced = fx.GraphModule(network, _Tracer().trace(network))
    except Exception:  # the code of any network runs here, on values that stand for tensors
        for name, child in list(network.named_children()):
            setattr(network, name, _folded(child, fused))
        return network
    return _fuse(traced, fused)


def _fuse(traced: fx.GraphModule, fused: dict[nn.Module, nn.Module]) -> fx.GraphModule:
    """Each convolution whose only reader is a BatchNorm, and which is called once, takes it up."""
    modules = dict(traced.named_modules())
    calls = Counter(node.target for node in traced.graph.nodes if node.op == "call_module")
    for norm in [node for node in traced.graph.nodes if node.op == "call_module" and calls[node.target] == 1]:
        conv = norm.args[0] if norm.args else None
        if not isinstance(conv, fx.Node) or conv.op != "call_module" or calls[conv.target] > 1 or len(conv.users) > 1:
            continue
        before, after = modules[str(conv.target)], modules[str(norm.target)]
        if type(before) is nn.Conv2d and type(after) is nn.BatchNorm2d and after.track_running_stats:
            whole = fuse_conv_bn_eval(before, after)
            fused[whole] = after
            traced.set_submodule(str(conv.target), whole)
            norm.replace_all_uses_with(conv)
            traced.graph.erase_node(norm)
    return fx.GraphModule(traced, traced.graph)


def _count(network: nn.Module) -> int:
    return sum(isinstance(module, _BatchNorm) for module in network.modules())


class _Tracer(fx.Tracer):
    """Looks only into modules that hold a BatchNorm: whatever the code of the others does, it need not be followed."""

    def is_leaf_module(self, m: nn.Module, module_qualified_name: str) -> bool:
        return isinstance(m, _BatchNorm) or not _count(m)


def scale_and_shift(norm: nn.Module) -> tuple[Tensor, Tensor] | None:
    """s and t, (C,), of the `x s + t` that a BatchNorm computes in eval mode; None where it keeps no statistics."""
    if not isinstance(norm, nn.BatchNorm2d) or norm.running_mean is None or norm.running_var is None:
        return None
    scale = (norm.running_var + norm.eps).rsqrt()
    scale = scale if norm.weight is None else scale * norm.weight
    return scale, -norm.running_mean * scale if norm.bias is None else norm.bias - norm.running_mean * scale


def _scale_shift(norm: nn.BatchNorm2d) -> nn.Module:
    """What a BatchNorm does in eval mode; itself where it keeps no statistics."""
    found = scale_and_shift(norm)
    return norm if found is None else ScaleShift(*found)


class ScaleShift(nn.Module):
    """`x s + t` per channel, x (N, C, H, W): one pass over the activations, and one back."""

    scale: Tensor
    shift: Tensor

    def __init__(self, scale: Tensor, shift: Tensor) -> None:
        super().__init__()
        self.register_buffer("scale", scale.view(1, -1, 1, 1))
        self.register_buffer("shift", shift.view(1, -1, 1, 1))

    def forward(self, images: Tensor) -> Tensor:
        return torch.addcmul(self.shift, images, self.scale)

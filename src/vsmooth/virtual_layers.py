"""The layers with virtual classes: K + V outputs in training, K in inference."""

# torch.jit.script reads the annotations of the heads as types, so they are not postponed in this file.

from typing import Any, TypeVar

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from vsmooth.state_dicts import note_real_rows


class VirtualHead:
    """What :class:`VirtualLinear` and :class:`VirtualConv2d` share; rows ``0..K-1`` of the weight are the real classes.

    ``num_classes`` is K, ``num_virtual`` is V. In train mode, or within :func:`all_logits`, the output has K + V
    channels; in eval mode K, and the virtual rows are not computed.

    ``offset`` is added to the virtual logits: 0, or log V where one row stands for V collapsed classes.
    """

    training: bool
    num_classes: int
    num_virtual: int
    offset: float
    keep_virtual: bool

    def _used(self, weight: Tensor, bias: Tensor | None) -> tuple[Tensor, Tensor | None]:
        if self.training or self.keep_virtual:
            return weight, self.with_offset(weight, bias)
        return weight[: self.num_classes], None if bias is None else bias[: self.num_classes]

    def with_offset(self, weight: Tensor, bias: Tensor | None) -> Tensor | None:
        """The bias of all K + V rows, with the offset of the virtual ones."""
        if self.offset == 0.0:
            return bias
        own = weight.new_zeros(weight.shape[0]) if bias is None else bias
        return torch.cat((own[: self.num_classes], own[self.num_classes :] + self.offset))

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, local_metadata: Any, strict: bool,
        missing_keys: list[str], unexpected_keys: list[str], error_msgs: list[str],
    ) -> None:  # fmt: skip
        """As torch does; K rows fill the real ones, and another number of virtual rows is refused with a remedy."""
        state_dict = self._with_own_virtual_rows(state_dict, prefix)
        super()._load_from_state_dict(  # type: ignore[misc]
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )
        weight = state_dict.get(f"{prefix}weight")
        if isinstance(weight, Tensor) and weight.ndim and len(weight) != self.num_classes + self.num_virtual:
            error_msgs.append(self._explain_rows(f"{prefix}weight", len(weight)))

    def _with_own_virtual_rows(self, state_dict: dict[str, Any], prefix: str) -> dict[str, Any]:
        """Weights of a plain head, followed by the virtual rows that are here: a pretrained model is fine-tuned."""
        own: dict[str, Tensor | None] = {"weight": self.weight, "bias": self.bias}  # type: ignore[attr-defined]
        padded = {}
        for name, here in own.items():
            given = state_dict.get(prefix + name)
            if here is None or here.is_meta or not isinstance(given, Tensor):
                continue
            if given.shape[:1] == (self.num_classes,):
                padded[prefix + name] = torch.cat([given, here.detach()[self.num_classes :].to(given)])
        return {**state_dict, **padded} if padded else state_dict

    def _save_to_state_dict(self, destination: dict[str, Any], prefix: str, keep_vars: bool) -> None:
        super()._save_to_state_dict(destination, prefix, keep_vars)  # type: ignore[misc]
        note_real_rows(destination, prefix, self.num_classes)

    def _explain_rows(self, name: str, rows: int) -> str:
        here = f"{name} has {rows} rows, but this head has {self.num_classes} real and {self.num_virtual} virtual ones"
        if rows == self.num_classes:
            return f"{here}: load weights without virtual classes before add_virtual_classes(model)"
        if rows > self.num_classes:
            fits = rows - self.num_classes
            return f"{here}: remove_virtual_classes(model), then add_virtual_classes(model, {fits}), then load"
        return f"{here}: the weights are of a model with fewer classes"

    def extra_repr(self) -> str:
        collapsed = f", offset={self.offset:.4g}" if self.offset else ""
        return f"num_classes={self.num_classes}, num_virtual={self.num_virtual}{collapsed}"


class VirtualLinear(VirtualHead, nn.Linear):
    """A ``Linear`` classifier with V virtual classes: (..., D) -> (..., K + V) in train mode, (..., K) in eval mode."""

    def __init__(self, plain: nn.Linear, num_virtual: int, offset: float = 0.0) -> None:
        nn.Linear.__init__(self, plain.in_features, plain.out_features + num_virtual, plain.bias is not None)
        _copy_real_rows(self, plain, num_virtual)
        self.offset = offset

    def forward(self, input: Tensor) -> Tensor:
        return F.linear(input, *self._used(self.weight, self.bias))

    def plain(self) -> nn.Linear:
        """An ordinary K-way ``Linear`` with the real rows."""
        empty = nn.Linear(self.in_features, self.num_classes, self.bias is not None, device="meta")
        return _with_real_rows(empty, self)


class VirtualConv2d(VirtualHead, nn.Conv2d):
    """A 1x1 ``Conv2d`` classifier with V virtual classes: (N, D, H, W) -> (N, K + V, H, W), K in eval mode."""

    def __init__(self, plain: nn.Conv2d, num_virtual: int, offset: float = 0.0) -> None:
        nn.Conv2d.__init__(self, plain.in_channels, plain.out_channels + num_virtual, 1, bias=plain.bias is not None)
        _copy_real_rows(self, plain, num_virtual)
        self.offset = offset

    def forward(self, input: Tensor) -> Tensor:
        return F.conv2d(input, *self._used(self.weight, self.bias))

    def plain(self) -> nn.Conv2d:
        """An ordinary K-way 1x1 ``Conv2d`` with the real rows."""
        empty = nn.Conv2d(self.in_channels, self.num_classes, 1, bias=self.bias is not None, device="meta")
        return _with_real_rows(empty, self)


def virtual_heads(model: nn.Module) -> list[tuple[str, VirtualLinear | VirtualConv2d]]:
    """Names and modules of the heads with virtual classes; works through DDP and ``torch.compile`` wrappers."""
    return [(n, m) for n, m in model.named_modules() if isinstance(m, VirtualLinear | VirtualConv2d)]


def shared_classes(model: nn.Module) -> tuple[int, int]:
    """K and V, the same for all heads of ``model``.

    Raises:
        ValueError: the model has no virtual classes, or heads with different numbers of them.
    """
    heads = some_heads(model)
    sizes = {(head.num_classes, head.num_virtual) for _, head in heads}
    if len(sizes) > 1:
        listed = ", ".join(f"{name!r} {head.num_classes} + {head.num_virtual}" for name, head in heads)
        raise ValueError(f"the heads have different numbers of classes ({listed}): make one criterion for each")
    return sizes.pop()


def some_heads(model: nn.Module) -> list[tuple[str, VirtualLinear | VirtualConv2d]]:
    """:func:`virtual_heads`, at least one; ``ValueError`` if there is none."""
    if isinstance(model, torch.jit.ScriptModule):
        raise ValueError("torch.jit has compiled the model: use all_logits or remove_virtual_classes before that")
    found = virtual_heads(model)
    if not found:
        raise ValueError(f"{type(model).__name__} has no virtual classes; add them with add_virtual_classes(model)")
    return found


@torch.no_grad()
def _copy_real_rows(wide: VirtualLinear | VirtualConv2d, plain: nn.Linear | nn.Conv2d, num_virtual: int) -> None:
    wide.num_classes, wide.num_virtual, wide.keep_virtual = plain.weight.shape[0], num_virtual, False
    wide.to(plain.weight.device, plain.weight.dtype)
    wide.weight[: wide.num_classes] = plain.weight
    wide.weight.requires_grad_(plain.weight.requires_grad)
    if wide.bias is not None and plain.bias is not None:
        wide.bias[: wide.num_classes] = plain.bias
        wide.bias.requires_grad_(plain.bias.requires_grad)
    wide.train(plain.training)


Plain = TypeVar("Plain", nn.Linear, nn.Conv2d)


def _with_real_rows(empty: Plain, wide: VirtualLinear | VirtualConv2d) -> Plain:
    real = wide.num_classes
    empty.weight = nn.Parameter(wide.weight.detach()[:real].clone(), wide.weight.requires_grad)
    if wide.bias is not None:
        empty.bias = nn.Parameter(wide.bias.detach()[:real].clone(), wide.bias.requires_grad)
    return empty.train(wide.training)

"""The closed form as one differentiable operation that keeps a single logits-sized buffer."""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor

# Blocks of this many logits stay in a CPU core's cache between the passes over them. An accelerator is best
# served by one block, and a compiler fuses the passes by itself.
_BLOCK_ELEMENTS = 1 << 20


class ClosedForm(NamedTuple):
    """K, alpha and the slice ``start:stop`` of the smoothing set S (empty for one-hot)."""

    num_classes: int
    alpha: float
    start: int
    stop: int


class Inputs(NamedTuple):
    """The tensors of one call; a block is the same tuple with fewer rows."""

    logits: Tensor  # (N, C)
    target: Tensor  # (N,) int64 indices or (N, K) weighted probabilities
    true_scale: Tensor | None  # (N,)
    rest_scale: Tensor | None  # (N,)
    shares: Tensor | None  # (|S|,), or (N, |S|) where each row has its own

    def rows(self, rows: slice) -> Inputs:
        """The same call for some of the rows."""
        true = None if self.true_scale is None else self.true_scale[rows]
        rest = None if self.rest_scale is None else self.rest_scale[rows]
        shares = self.shares if self.shares is None or self.shares.ndim == 1 else self.shares[rows]
        return Inputs(self.logits[rows], self.target[rows], true, rest, shares)


def closed_form(
    logits: Tensor,
    target: Tensor,
    form: ClosedForm,
    true_scale: Tensor | None = None,
    rest_scale: Tensor | None = None,
    shares: Tensor | None = None,
) -> Tensor:
    """Per-row loss ``-(1 - alpha) * s_i * <y_i, logp_i> - alpha * r_i * <u, logp_i[S]>``, shape (N,).

    Args:
        logits: (N, C).
        target: indices (N,) int64 or weighted probabilities (N, K).
        form: the scheme's numbers.
        true_scale: s, (N,), for index targets; ``None`` is 1.
        rest_scale: r, (N,); ``None`` is 1.
        shares: u, (|S|,) or (N, |S|); ``None`` is uniform, 1 / |S|.
    """
    inputs = Inputs(logits, target, true_scale, rest_scale, shares)
    learnable = any(t is not None and t.requires_grad for t in inputs[1:])
    if learnable or is_transformed():  # targets or weights that learn; vmap, jvp, hessian: torch knows the way
        return _block_loss(inputs, form)
    loss: Tensor = _Operation.apply(*inputs, form)
    return loss


def is_transformed() -> bool:
    """Whether a ``torch.func`` transform is active: then no value can be read. torch has no public way to ask."""
    return torch._C._are_functorch_transforms_active()


class _Operation(torch.autograd.Function):
    """Keeps the logits it was given; backward makes the one logits-sized buffer, the gradient."""

    @staticmethod
    def forward(ctx: Any, *arguments: Any) -> Tensor:
        inputs, ctx.form = Inputs(*arguments[:5]), arguments[5]
        normaliser = _normaliser(inputs.logits) if torch.compiler.is_compiling() else None
        ctx.save_for_backward(*inputs, *(normaliser or (None, None)))
        parts = [_block_loss(inputs.rows(rows), ctx.form, normaliser) for rows in _blocks(inputs.logits)]
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    @staticmethod
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        *tensors, peak, log_sum = ctx.saved_tensors
        inputs, grad, logits = Inputs(*tensors), grad.unsqueeze(1), tensors[0]
        if peak is not None:
            softmax = (logits.to(peak.dtype) - peak - log_sum).exp()
            return _to_gradient(softmax, inputs, grad, ctx.form).to(logits.dtype), *(None,) * 5
        # Made from the gradient, so that it is batched where several gradients are asked for at once.
        out = grad.new_empty(logits.shape, dtype=logits.dtype)
        for rows in _blocks(logits):
            block = inputs.rows(rows)
            if logits.dtype == wide(logits.dtype) and not _is_watched(grad):
                _to_gradient(torch.softmax(block.logits, 1, out=out[rows]), block, grad[rows], ctx.form)
            else:
                softmax = torch.softmax(block.logits, 1, dtype=wide(logits.dtype))
                own = grad.new_empty(softmax.shape, dtype=softmax.dtype).copy_(softmax)
                out[rows] = _to_gradient(own, block, grad[rows], ctx.form)
        return out, *(None,) * 5


def _is_watched(grad: Tensor) -> bool:
    """Whether torch follows the backward pass itself: for a second derivative, or for several gradients at once."""
    return torch.is_grad_enabled() or torch._C._functorch.is_legacy_batchedtensor(grad)


def _blocks(logits: Tensor) -> list[slice]:
    if torch.compiler.is_compiling() or logits.device.type != "cpu":
        return [slice(None)]
    size = max(1, _BLOCK_ELEMENTS // max(1, logits.shape[1]))
    return [slice(start, start + size) for start in range(0, len(logits), size)] or [slice(None)]


def wide(dtype: torch.dtype) -> torch.dtype:
    """The dtype that sums are accumulated in: float32, or float64 for float64."""
    return torch.promote_types(dtype, torch.float32)


def _normaliser(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Two numbers a row with which a compiler needs one pass for the loss and one for the gradient."""
    z = logits.to(wide(logits.dtype))
    peak = z.amax(1, keepdim=True)
    return peak, (z - peak).exp().sum(1, keepdim=True).log()


def _block_loss(block: Inputs, form: ClosedForm, normaliser: tuple[Tensor, Tensor] | None = None) -> Tensor:
    if normaliser is None:
        values = torch.log_softmax(block.logits, 1, dtype=wide(block.logits.dtype))
        loss: Tensor | float = 0.0
    else:  # the logits less their peak; what is missing to log-probabilities is the same for a whole row
        peak, log_sum = normaliser
        values = block.logits.to(peak.dtype) - peak
        loss = log_sum.squeeze(1) * _mass(block, form)
    if block.target.is_floating_point():
        true = (block.target.to(values.dtype) * values[:, : form.num_classes]).sum(1)
    else:
        true = values.gather(1, block.target.unsqueeze(1)).squeeze(1)
        true = true if block.true_scale is None else true * block.true_scale
    loss = loss - (1 - form.alpha) * true
    if not _has_rest(form):
        return loss
    members = values[:, form.start : form.stop]
    rest = members.mean(1) if block.shares is None else (members * block.shares).sum(1)
    return loss - form.alpha * (rest if block.rest_scale is None else rest * block.rest_scale)


def _to_gradient(out: Tensor, block: Inputs, grad: Tensor, form: ClosedForm) -> Tensor:
    """Turn the softmax in ``out`` into the gradient, in place."""
    mass = _mass(block, form)
    out *= grad * mass.unsqueeze(-1) if isinstance(mass, Tensor) else grad * mass
    if _has_rest(form):
        scale = grad if block.rest_scale is None else grad * block.rest_scale.unsqueeze(1)
        share = 1 / (form.stop - form.start) if block.shares is None else block.shares
        out[:, form.start : form.stop] -= scale * (form.alpha * share)
    if block.target.is_floating_point():
        out[:, : form.num_classes] -= grad * (1 - form.alpha) * block.target.to(out.dtype)
        return out
    true = grad * (1 - form.alpha)
    true = true if block.true_scale is None else true * block.true_scale.unsqueeze(1)
    if torch.compiler.is_compiling():  # a comparison fuses into the same pass; a scatter would not
        columns = torch.arange(out.shape[1], device=out.device)
        return out - torch.where(columns == block.target.unsqueeze(1), true, 0)
    return out.scatter_add_(1, block.target.unsqueeze(1), -true)


def _has_rest(form: ClosedForm) -> bool:
    return form.alpha > 0 and form.stop > form.start


def _mass(block: Inputs, form: ClosedForm) -> Tensor | float:
    """What the target of each row sums to: 1, or less simple with weights."""
    true: Tensor | float = 1 - form.alpha
    if block.target.is_floating_point():
        true = true * block.target.sum(1, dtype=wide(block.logits.dtype))
    elif block.true_scale is not None:
        true = true * block.true_scale
    if not _has_rest(form):
        return true
    rest: Tensor | float = form.alpha if block.shares is None else form.alpha * block.shares.sum(-1)
    return true + (rest if block.rest_scale is None else rest * block.rest_scale)

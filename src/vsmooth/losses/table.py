"""The loss for few classes on a CPU, where the time goes to launching operations, not to arithmetic.

With W the (K, C) table whose row k is the label of class k, the sum of the losses is ``-<log_softmax(z), W[y]>``: two
operations with derivatives that torch already has. W[y] is as large as the logits, but those are small here.
"""

from __future__ import annotations

import math
from functools import lru_cache

import torch
from torch import Tensor

from vsmooth.labels import LabelScheme
from vsmooth.losses.closed_form import is_transformed

_MOST_CLASSES = 32
_MOST_LOGITS = 1 << 15


def table_loss(
    logits: Tensor, targets: Tensor, scheme: LabelScheme, num_classes: int, ignore_index: int, reduction: str
) -> Tensor | None:
    """The unweighted mean or sum over (N, C) logits and (N,) indices, or ``None`` where the closed form should do."""
    if not _is_worth_it(logits, targets, num_classes, ignore_index, reduction):
        return None
    rows, width = logits.shape
    table = _label_table(scheme, num_classes, width, logits.dtype, rows if reduction == "mean" else 1)
    try:
        labels = table.index_select(0, targets)
    except IndexError:
        return None  # ignored or out of range: the closed form tells which
    loss = torch.dot(torch.log_softmax(logits, 1).reshape(-1), labels.view(-1))
    # A logit of -inf (a masked class) times a zero of the table is NaN; the closed form never multiplies them.
    return None if math.isnan(loss.item()) else loss


def _is_worth_it(logits: Tensor, targets: Tensor, num_classes: int, ignore_index: int, reduction: str) -> bool:
    if torch.compiler.is_compiling() or num_classes > _MOST_CLASSES or not 0 < logits.numel() <= _MOST_LOGITS:
        return False
    if 0 <= ignore_index < num_classes:
        return False
    return (
        type(logits) is Tensor  # a fake or otherwise wrapped one must not meet the real table
        and logits.ndim == 2
        and targets.shape == logits.shape[:1]
        and targets.dtype == torch.int64
        and reduction != "none"
        and logits.dtype in (torch.float32, torch.float64)
        and logits.is_cpu
        and not torch.is_autocast_enabled("cpu")
        and torch.get_float32_matmul_precision() == "highest"
        and not is_transformed()
    )


@lru_cache(maxsize=64)
@torch.inference_mode(False)  # kept for later calls, which may want a derivative through it
def _label_table(scheme: LabelScheme, num_classes: int, width: int, dtype: torch.dtype, divisor: int) -> Tensor:
    """(K, C): row k is the label of class k, times -1 / ``divisor``."""
    table = torch.zeros(num_classes, width, dtype=dtype, device="cpu")
    table.fill_diagonal_(1 - scheme.alpha)
    members = scheme.smoothing_slice(num_classes, width)
    size = members.stop - members.start
    if size:
        shares = scheme.smoothing_weights(size) or (1 / size,) * size
        table[:, members] += scheme.alpha * torch.tensor(shares, dtype=dtype, device="cpu")
    return table / -divisor

"""Rank correlation, row by row."""

from __future__ import annotations

import torch
from torch import Tensor


def rank_correlation(first: Tensor, second: Tensor) -> Tensor:
    """Spearman correlation of each row, (N, M), (N, M) -> (N,) float64; ties share a rank; NaN for a constant row."""
    x, y = (_centred_ranks(values) for values in (first, second))
    lengths = x.norm(dim=1) * y.norm(dim=1)
    return torch.where(lengths > 0, (x * y).sum(1) / lengths, torch.nan)


def _centred_ranks(values: Tensor) -> Tensor:
    from scipy.stats import rankdata  # slow to import, and needed here alone

    ranks = torch.from_numpy(rankdata(values.detach().cpu().numpy(), axis=1)).double()
    return ranks - ranks.mean(1, keepdim=True)

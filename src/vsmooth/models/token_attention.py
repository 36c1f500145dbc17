"""Attention over tokens (N, L, D), exact and by random features, and the encoder layers around it."""

from __future__ import annotations

import math
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor, nn
from torch.nn import functional


class SelfAttention(nn.Module):
    """softmax(q k^T * scale) v over all tokens, in `heads` parts, and a linear map: (N, L, in_width) to (N, L, width).

    scale = (in_width / heads)^-1/2: the usual one where in_width is width, else that of the T2T-ViT authors' code.
    With `adds_value` the values are added to the outcome: the skip connection of a layer that changes the width.
    Source: Vaswani et al. (2017), Sec. 3.2; Yuan et al. (2021), Sec. 3.1.
    """

    def __init__(self, in_width: int, width: int, heads: int, *, adds_value: bool = False) -> None:
        super().__init__()
        self.heads = heads
        self.scale = (in_width / heads) ** -0.5
        self.adds_value = adds_value
        self.qkv = nn.Linear(in_width, 3 * width, bias=False)
        self.proj = nn.Linear(width, width)

    def forward(self, tokens: Tensor) -> Tensor:
        samples, length, _ = tokens.shape
        query, key, value = self.qkv(tokens).view(samples, length, 3, self.heads, -1).permute(2, 0, 3, 1, 4)
        mixed = functional.scaled_dot_product_attention(query, key, value, scale=self.scale)
        out: Tensor = self.proj(_join_heads(mixed))
        return out + _join_heads(value) if self.adds_value else out


class RandomFeatureAttention(nn.Module):
    """Attention in time linear in L: phi(q) (phi(k)^T v) / phi(q) sum phi(k), then a linear map, plus the values.

    phi(x) = exp(w x - |x|^2 / 2) / sqrt(m) with m = width / 2 orthogonal rows w that are drawn once and stay. Their
    length is sqrt(m), as in the authors' code of T2T-ViT; sqrt(width) would make phi(q) phi(k) an estimate of exp(q k).
    Computed in float32 under autocast too: phi spans many orders of magnitude.
    Source: Choromanski et al., "Rethinking Attention with Performers" (2021), Lemma 1; Yuan et al. (2021).
    """

    def __init__(self, in_width: int, width: int, dropout: float) -> None:
        super().__init__()
        self.kqv = nn.Linear(in_width, 3 * width)
        self.proj = nn.Linear(width, width)
        self.dropout = nn.Dropout(dropout)
        features = width // 2
        rows = nn.init.orthogonal_(torch.empty(features, width)) * math.sqrt(features)
        self.features = nn.Parameter(rows, requires_grad=False)

    def forward(self, tokens: Tensor) -> Tensor:
        key, query, value = self.kqv(tokens).chunk(3, dim=-1)
        with _without_autocast(tokens.device):
            exact = torch.promote_types(value.dtype, torch.float32)
            mixed = self._mix(query.to(exact), key.to(exact), value.to(exact)).to(value.dtype)
        return value + self.dropout(self.proj(mixed))

    def feature_map(self, tokens: Tensor) -> Tensor:
        """phi: (N, L, width) to (N, L, m)."""
        exponent = tokens @ self.features.to(tokens.dtype).t() - tokens.square().sum(-1, keepdim=True) / 2
        return exponent.exp() / math.sqrt(len(self.features))

    def _mix(self, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        query, key = self.feature_map(query), self.feature_map(key)
        total = query @ key.sum(1).unsqueeze(2)
        return query @ (key.transpose(1, 2) @ value) / (total + 1e-8)


class TokenEncoder(nn.Module):
    """A layer of the tokens-to-token module: attention that sets the width (and adds its values), then a small MLP."""

    def __init__(self, in_width: int, width: int, attention: nn.Module, dropout: float) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(in_width)
        self.attention = attention
        self.norm2 = nn.LayerNorm(width)
        self.mlp = make_mlp(width, width, dropout)

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = self.attention(self.norm1(tokens))
        return tokens + self.mlp(self.norm2(tokens))


class TransformerBlock(nn.Module):
    """Pre-norm attention and MLP, each with a shortcut and stochastic depth (Dosovitskiy et al. 2021, Eqs. 2 and 3)."""

    def __init__(self, width: int, heads: int, mlp_width: int, drop_path: nn.Module) -> None:
        super().__init__()
        self.norm1 = nn.LayerNorm(width)
        self.attention = SelfAttention(width, width, heads)
        self.norm2 = nn.LayerNorm(width)
        self.mlp = make_mlp(width, mlp_width)
        self.drop_path = drop_path

    def forward(self, tokens: Tensor) -> Tensor:
        tokens = tokens + self.drop_path(self.attention(self.norm1(tokens)))
        return tokens + self.drop_path(self.mlp(self.norm2(tokens)))


def make_mlp(width: int, inner_width: int, dropout: float = 0.0) -> nn.Sequential:
    """Linear, GELU, Linear and dropout."""
    outer = nn.Linear(inner_width, width)
    return nn.Sequential(nn.Linear(width, inner_width), nn.GELU(), outer, nn.Dropout(dropout))


def sinusoids(length: int, width: int) -> Tensor:
    """Position embedding (length, width): sine at even, cosine at odd j of p / 10000^(2 floor(j / 2) / width).

    Source: Vaswani et al. (2017), Sec. 3.5.
    """
    position = torch.arange(length, dtype=torch.float64).unsqueeze(1)
    pair = torch.arange(width, dtype=torch.float64) // 2
    angle = position / 10_000 ** (2 * pair / width)
    return torch.where(torch.arange(width) % 2 == 0, angle.sin(), angle.cos()).float()


def _join_heads(parts: Tensor) -> Tensor:
    return parts.transpose(1, 2).flatten(2)


def _without_autocast(device: torch.device) -> AbstractContextManager[object]:
    # Shapes are computed on the meta device too, which knows no autocast.
    if torch.amp.is_autocast_available(device.type):
        return torch.autocast(device.type, enabled=False)
    return nullcontext()

"""T2T-ViT: a vision transformer whose tokens are made by overlapping splits with attention in between.

Yuan et al., "Tokens-to-Token ViT: Training Vision Transformers from Scratch on ImageNet" (2021), Sec. 3 and Table 1.
"""

from __future__ import annotations

from functools import partial
from typing import Literal, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional

from vsmooth.models.token_attention import (
    RandomFeatureAttention,
    SelfAttention,
    TokenEncoder,
    TransformerBlock,
    sinusoids,
)

TokenAttention = Literal["performer", "transformer"]

_TOKEN_WIDTH = 64
_SPLITS = ((7, 4, 2), (3, 2, 1), (3, 2, 1))  # kernel, stride, padding of the three soft splits
_PERFORMER_DROPOUT = 0.1  # the authors' code; their token transformer has none


class TokensToToken(nn.Module):
    """Images (N, C, H, W) to tokens (N, L, width): three soft splits, attention between them, a linear map.

    A soft split cuts overlapping patches and lays the pixels (then the tokens) of each side by side; of 224x224 images
    56x56, 28x28 and at last 14x14 patches.
    """

    def __init__(self, in_channels: int, width: int, attention: TokenAttention) -> None:
        super().__init__()
        widths = (in_channels, _TOKEN_WIDTH, _TOKEN_WIDTH)
        patches = [channels * kernel**2 for channels, (kernel, _, _) in zip(widths, _SPLITS, strict=True)]
        self.encoder1 = _token_encoder(patches[0], attention)
        self.encoder2 = _token_encoder(patches[1], attention)
        self.project = nn.Linear(patches[2], width)

    def forward(self, images: Tensor) -> Tensor:
        maps = images
        for encoder, split in zip((self.encoder1, self.encoder2), _SPLITS[:2], strict=True):
            height, width = _split_size(maps.shape[2:], split)
            tokens: Tensor = encoder(_soft_split(maps, split))
            maps = tokens.transpose(1, 2).unflatten(2, (height, width))
        return self.project(_soft_split(maps, _SPLITS[2]))


class T2TViT(nn.Module):
    """T2T-ViT without a distillation token: images (N, C, H, W) to logits (N, K); the classifier is `head`.

    Made for one `image_size` (an edge, or height and width): the position embedding, sinusoids that are not trained,
    has a row for each token. `drop_path` is the largest rate of stochastic depth; it rises linearly from 0.
    Linear weights start truncated-normal with standard deviation .02, biases at 0; LayerNorm has epsilon 1e-5.
    ValueError for images of another size and for a size of less than 3 pixels.
    """

    def __init__(
        self,
        num_classes: int,
        in_channels: int = 3,
        *,
        depth: int,
        width: int,
        heads: int,
        attention: TokenAttention = "performer",
        image_size: int | tuple[int, int] | None = None,
        drop_path: float = 0.0,
    ) -> None:
        super().__init__()
        image_size = 224 if image_size is None else image_size
        # Sizes may come from a JSON file, as a list.
        self.image_size = (image_size,) * 2 if isinstance(image_size, int) else tuple(image_size)
        self.tokens = TokensToToken(in_channels, width, attention)
        self.class_token = nn.Parameter(torch.empty(1, 1, width))
        # A parameter, not a buffer: the published counts have it, and this way every count does.
        self.position = nn.Parameter(sinusoids(1 + count_tokens(self.image_size), width), requires_grad=False)
        rules = _drop_path_rules(drop_path, depth)
        self.blocks = nn.Sequential(*(TransformerBlock(width, heads, 3 * width, rule) for rule in rules))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, num_classes)
        self._initialise()

    def forward(self, images: Tensor) -> Tensor:
        if tuple(images.shape[2:]) != self.image_size:
            built, given = ("x".join(map(str, size)) for size in (self.image_size, images.shape[2:]))
            raise ValueError(f"the network was built for images of {built}, got {given}: build it with that image_size")
        tokens = self.tokens(images)
        tokens = torch.cat((self.class_token.expand(len(images), -1, -1), tokens), 1) + self.position
        logits: Tensor = self.head(self.norm(self.blocks(tokens))[:, 0])
        return logits

    @torch.no_grad()
    def _initialise(self) -> None:
        nn.init.trunc_normal_(self.class_token, std=0.02)
        for module in self.modules():
            if isinstance(module, nn.Linear):
                nn.init.trunc_normal_(module.weight, std=0.02)
                if module.bias is not None:
                    nn.init.zeros_(module.bias)


def count_tokens(image_size: tuple[int, ...]) -> int:
    """Tokens that the three soft splits make of an image (height, width); ValueError if there are none."""
    if min(image_size) < 3:
        raise ValueError(f"T2T-ViT takes images of at least 3x3 pixels, got image_size {image_size[0]}x{image_size[1]}")
    height, width = image_size
    for split in _SPLITS:
        height, width = _split_size((height, width), split)
    return height * width


def _split_size(size: tuple[int, ...], split: tuple[int, int, int]) -> tuple[int, int]:
    kernel, stride, padding = split
    height, width = ((edge + 2 * padding - kernel) // stride + 1 for edge in size)
    return height, width


def _soft_split(maps: Tensor, split: tuple[int, int, int]) -> Tensor:
    """(N, C, H, W) to (N, L, C * kernel^2)."""
    kernel, stride, padding = split
    return functional.unfold(maps, kernel, stride=stride, padding=padding).transpose(1, 2)


def _token_encoder(patch: int, attention: TokenAttention) -> TokenEncoder:
    if attention == "performer":
        linear = RandomFeatureAttention(patch, _TOKEN_WIDTH, _PERFORMER_DROPOUT)
        return TokenEncoder(patch, _TOKEN_WIDTH, linear, _PERFORMER_DROPOUT)
    if attention == "transformer":
        return TokenEncoder(patch, _TOKEN_WIDTH, SelfAttention(patch, _TOKEN_WIDTH, 1, adds_value=True), 0.0)
    raise ValueError(f"attention must be one of {', '.join(get_args(TokenAttention))}, got {attention}")


def _drop_path_rules(drop_path: float, depth: int) -> list[nn.Module]:
    if drop_path == 0:
        return [nn.Identity() for _ in range(depth)]
    from timm.layers import DropPath

    return [DropPath(drop_path * block / (depth - 1)) for block in range(depth)]


def t2t_vit(
    depth: int,
    attention: TokenAttention,
    num_classes: int,
    in_channels: int = 3,
    *,
    image_size: int | tuple[int, int] | None = None,
    drop_path: float = 0.0,
) -> T2TViT:
    """T2T-ViT-14 or -24 with the token performer, T2T-ViT_t-14 or _t-24 with the token transformer (Yuan et al. 2021).

    Parameters for 1000 classes, RGB and 224x224, the fixed ones counted: T2T-ViT_t-14 21,541,070, _t-24 64,101,454.
    With d = 384 (512): token layers 41,126 + 124,352, the linear map after them 577 d; class token d; position 197 d; a
    block 4 d + 3 d^2 + (d^2 + d) + (6 d^2 + 4 d), 14 (24) times; last LayerNorm 2 d; classifier 1000 d + 1000. The
    performer has 2 * (192 biases + 32 * 64 fixed features) = 4,480 more: 21,545,550 and 64,105,934.

    MACs at 224x224: 4.78, 13.66, 6.09 and 14.97 G for T2T-ViT-14, -24, _t-14 and _t-24; the paper's
    Table 3 says 4.8, 13.8, 6.1 and 15.0 G. Dropout of .1 in the performer, none elsewhere: the authors' code.
    """
    width, heads = {14: (384, 6), 24: (512, 8)}[depth]
    return T2TViT(
        num_classes,
        in_channels,
        depth=depth,
        width=width,
        heads=heads,
        attention=attention,
        image_size=image_size,
        drop_path=drop_path,
    )


t2t_vit_14 = partial(t2t_vit, 14, "performer")
t2t_vit_24 = partial(t2t_vit, 24, "performer")
t2t_vit_t_14 = partial(t2t_vit, 14, "transformer")
t2t_vit_t_24 = partial(t2t_vit, 24, "transformer")

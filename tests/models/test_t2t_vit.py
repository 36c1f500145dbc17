"""T2T-ViT: attention and blocks against references, soft splits, position embedding, stochastic depth."""

from __future__ import annotations

import math

import pytest
import torch
from timm.models.vision_transformer import Block
from torch import nn

from vsmooth.models import T2TViT, build_model
from vsmooth.models.t2t_vit import TokensToToken, count_tokens
from vsmooth.models.token_attention import (
    RandomFeatureAttention,
    SelfAttention,
    TokenEncoder,
    TransformerBlock,
    sinusoids,
)


def tiny(**options: object) -> T2TViT:
    torch.manual_seed(0)
    return T2TViT(5, **({"depth": 3, "width": 12, "heads": 2, "image_size": 32} | options))


def test_block_is_timms_with_the_same_weights() -> None:
    torch.manual_seed(0)
    block, theirs = TransformerBlock(24, 3, 72, nn.Identity()), Block(24, 3, mlp_ratio=3, norm_layer=nn.LayerNorm)
    nn.init.normal_(block.norm1.weight)
    names = (("attention", "attn"), ("mlp.0", "mlp.fc1"), ("mlp.2", "mlp.fc2"))
    state = block.state_dict()
    for ours, other in names:
        state = {name.replace(ours, other): tensor for name, tensor in state.items()}
    theirs.load_state_dict(state)
    tokens = torch.randn(2, 7, 24)
    torch.testing.assert_close(block(tokens), theirs(tokens))


def test_token_attention_by_its_formula() -> None:
    attention = SelfAttention(10, 4, 1, adds_value=True).double()
    tokens = torch.randn(2, 6, 10, dtype=torch.float64)
    query, key, value = (tokens @ weight.t() for weight in attention.qkv.weight.split(4))
    weights = (query @ key.transpose(1, 2) / math.sqrt(10)).softmax(-1)
    expected = value + weights @ value @ attention.proj.weight.t() + attention.proj.bias
    torch.testing.assert_close(attention(tokens), expected)


def random_feature_attention(width: int = 8) -> RandomFeatureAttention:
    torch.manual_seed(0)
    attention = RandomFeatureAttention(width, width, dropout=0.0)
    attention.kqv.weight.data = torch.cat([torch.eye(width)] * 3)
    nn.init.zeros_(attention.kqv.bias)
    nn.init.eye_(attention.proj.weight)
    nn.init.zeros_(attention.proj.bias)
    return attention.double()


def test_random_features_token_by_token() -> None:
    attention = random_feature_attention()
    tokens = torch.randn(2, 5, 8, dtype=torch.float64)
    expected = tokens.clone()
    for sample in range(2):
        features = [
            torch.stack([(row @ x - x @ x / 2).exp() / 2 for row in attention.features]) for x in tokens[sample]
        ]
        for i in range(5):
            weights = torch.stack([features[i] @ other for other in features])
            expected[sample, i] += weights @ tokens[sample] / (weights.sum() + 1e-8)
    torch.testing.assert_close(attention(tokens), expected)


def test_longer_random_features_estimate_softmax_attention() -> None:
    # Rows of length sqrt(width) make phi(q) phi(k) an unbiased estimate of exp(q k): averaged over many draws of rows.
    attention = random_feature_attention()
    tokens = nn.functional.normalize(torch.randn(1, 5, 8, dtype=torch.float64), dim=2) / 2
    kernel = torch.zeros(1, 5, 5, dtype=torch.float64)
    for _ in range(2000):
        rows = torch.nn.init.orthogonal_(torch.empty(4, 8, dtype=torch.float64))
        attention.features.data = rows * torch.randn(4, 8, dtype=torch.float64).norm(dim=1, keepdim=True)
        phi = attention.feature_map(tokens)
        kernel += phi @ phi.transpose(1, 2) / 2000
    torch.testing.assert_close(kernel, (tokens @ tokens.transpose(1, 2)).exp(), rtol=0.05, atol=0)


def test_random_features_are_orthogonal_of_length_sqrt_m_and_fixed() -> None:
    features = RandomFeatureAttention(147, 64, 0.1).features
    torch.testing.assert_close(features @ features.t(), 32 * torch.eye(32), atol=1e-4, rtol=0)
    assert not features.requires_grad


def test_random_features_are_computed_in_float32_under_autocast() -> None:
    attention = random_feature_attention().float()
    tokens = 2 * torch.randn(2, 50, 8)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = attention(tokens)
    assert half.dtype == torch.bfloat16
    torch.testing.assert_close(half.float(), attention(tokens), atol=0.05, rtol=0.03)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float64])
@pytest.mark.parametrize("attention", ["performer", "transformer"])
def test_the_whole_network_in_another_dtype(attention: str, dtype: torch.dtype) -> None:
    network, images = tiny(attention=attention).eval(), torch.rand(2, 3, 32, 32)
    expected = network(images)
    logits = network.to(dtype)(images.to(dtype))
    assert logits.dtype == dtype
    torch.testing.assert_close(logits.float(), expected, atol=0.05, rtol=0.05)


def test_sinusoids_by_hand() -> None:
    table = sinusoids(3, 5)
    assert table.shape == (3, 5)
    assert table[0].tolist() == [0, 1, 0, 1, 0]
    second, third = 2 / 10_000**0.4, 2 / 10_000**0.8
    expected = [math.sin(2), math.cos(2), math.sin(second), math.cos(second), math.sin(third)]
    assert table[2].tolist() == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("size", "tokens"), [((224, 224), 196), ((384, 384), 576), ((32, 32), 4), ((64, 32), 8), ((3, 3), 1), ((28, 28), 4)]
)
def test_tokens_of_a_size(size: tuple[int, int], tokens: int) -> None:
    assert count_tokens(size) == tokens
    assert TokensToToken(3, 12, "transformer")(torch.rand(1, 3, *size)).shape == (1, tokens, 12)


def test_soft_splits_keep_the_places_of_patches() -> None:
    # A pixel changes only the tokens whose receptive field has it, where attention is switched off.
    tokens = TokensToToken(1, 6, "transformer").double().eval()
    for encoder in (tokens.encoder1, tokens.encoder2):
        nn.init.zeros_(encoder.attention.proj.weight)
    images = torch.rand(1, 1, 64, 96, dtype=torch.float64)
    other = images.clone()
    other[0, 0, 0, 95] += 1  # the upper right corner
    changed = (tokens(images) - tokens(other)).abs().sum(2).view(4, 6) > 0
    assert changed[0, 5]
    assert changed.sum() == 1


def test_encoder_adds_a_small_mlp() -> None:
    encoder = TokenEncoder(10, 4, SelfAttention(10, 4, 1, adds_value=True), 0.0)
    tokens = torch.randn(2, 6, 10)
    nn.init.zeros_(encoder.mlp[2].weight)
    nn.init.constant_(encoder.mlp[2].bias, 3.0)
    torch.testing.assert_close(encoder(tokens), encoder.attention(encoder.norm1(tokens)) + 3)


def test_what_is_fixed_and_how_the_rest_starts() -> None:
    network = build_model("t2t-vit-14", 10, image_size=32).network
    fixed = [name for name, parameter in network.named_parameters() if not parameter.requires_grad]
    assert fixed == ["position", "tokens.encoder1.attention.features", "tokens.encoder2.attention.features"]
    weight = network.blocks[0].mlp[0].weight.detach()
    assert float(weight.std()) == pytest.approx(0.02, rel=0.02)
    assert not network.blocks[0].mlp[0].bias.any()
    assert 0 < float(network.class_token.detach().abs().max()) < 0.2
    assert {module.eps for module in network.modules() if isinstance(module, nn.LayerNorm)} == {1e-5}


def test_stochastic_depth_rises_block_by_block_and_rests_in_eval_mode() -> None:
    network = tiny(depth=3, drop_path=0.4)
    assert [block.drop_path.drop_prob for block in network.blocks] == pytest.approx([0, 0.2, 0.4])
    plain, images = tiny(depth=3), torch.rand(8, 3, 32, 32)
    torch.testing.assert_close(network.eval()(images), plain.eval()(images))
    torch.manual_seed(1)
    assert not torch.allclose(network.train()(images), network.eval()(images), atol=1e-4)


@pytest.mark.parametrize("given", [(24, 32), (33, 33)])
def test_images_of_another_size_are_named(given: tuple[int, int]) -> None:
    message = f"the network was built for images of 32x32, got {given[0]}x{given[1]}: build it with that image_size"
    with pytest.raises(ValueError, match=message):
        tiny()(torch.rand(1, 3, *given))


def test_an_unknown_token_attention_is_named() -> None:
    with pytest.raises(ValueError, match="attention must be one of performer, transformer, got linformer"):
        tiny(attention="linformer")


def test_images_too_small_to_split_are_named() -> None:
    with pytest.raises(ValueError, match="images of at least 3x3 pixels, got image_size 2x8"):
        tiny(image_size=(2, 8))

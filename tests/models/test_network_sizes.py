"""Parameters exactly, multiply-adds against the literature and against formulas."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from vsmooth.models import ARCHITECTURES, Architecture, count_macs, count_parameters, measure, resnet18, resnext29
from vsmooth.models import wide_resnet as build_wrn
from vsmooth.models.token_attention import SelfAttention

PARAMETERS = {
    "small": 75_002,
    "resnet8": 75_290,
    "resnet20": 269_722,
    "resnet32": 464_154,
    "resnet56": 853_018,
    "resnet18": 11_173_962,
    "resnet34": 21_282_122,
    "resnet50": 23_520_842,
    "resnext29-2x64d": 9_128_778,
    "resnext29-4x64d": 17_560_906,
    "wrn-16-4": 2_748_890,
    "wrn-28-10": 36_479_194,
    "wrn-34-10": 46_160_474,
    "wrn-34-20": 184_531_674,
    "wrn-40-2": 2_243_546,
    "wrn-40-4": 8_949_210,
    "mobilenet-v2": 2_296_922,
    "preact-resnet18": 11_172_170,
    "resnet18-tiny": 11_271_432,
    "resnext50-tiny": 23_382_024,
    "resnet18-imagenet": 11_689_512,
    "resnext50-imagenet": 25_028_904,
    "t2t-vit-14": 21_545_550,
    "t2t-vit-24": 64_105_934,
    "t2t-vit-t-14": 21_541_070,
    "t2t-vit-t-24": 64_101_454,
}
SIZES = {name: measure(architecture) for name, architecture in ARCHITECTURES.items()}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_parameters(name: str) -> None:
    assert SIZES[name][0] == PARAMETERS[name]


@pytest.mark.parametrize("architecture", [a for a in ARCHITECTURES.values() if a.published_macs], ids=lambda a: a.name)
def test_macs_are_those_of_the_literature(architecture: Architecture) -> None:
    assert SIZES[architecture.name][1] == pytest.approx(architecture.published_macs, rel=0.03)
    assert architecture.macs_source


def test_the_unpublished_are_those_that_other_tests_count() -> None:
    unpublished = {a.name for a in ARCHITECTURES.values() if a.published_macs is None}
    narrow, tiny = {"small", "resnet8"}, {"resnet18-tiny", "resnext50-tiny"}
    assert unpublished == narrow | tiny | {"resnext29-4x64d"} | {f"wrn-{d}-{k}" for d, k in WRN} - {"wrn-28-10"}


def test_narrow_resnets_by_formula() -> None:
    # Stem, then per stage n blocks of two 3x3 convolutions; sizes 32, 16, 8.
    for name, n in (("resnet8", 1), ("resnet20", 3), ("resnet32", 5), ("resnet56", 9)):
        macs = 9 * (3 * 16 * 32**2 + 2 * n * 16**2 * 32**2)
        macs += 9 * ((16 * 32 + (2 * n - 1) * 32**2) * 16**2 + (32 * 64 + (2 * n - 1) * 64**2) * 8**2) + 640
        assert SIZES[name][1] == macs
    assert SIZES["small"][1] == 9 * (16 * 14**2 + 2 * 16**2 * 14**2 + (512 + 1024) * 7**2 + (2048 + 4096) * 4**2) + 640


WRN = [(16, 4), (28, 10), (34, 10), (34, 20), (40, 2), (40, 4)]


@pytest.mark.parametrize(("depth", "width"), WRN)
def test_wide_resnets_by_formula(depth: int, width: int) -> None:
    parameters, macs, before = 3 * 16 * 9, 3 * 16 * 9 * 32**2, 16
    for stage in range(3):
        wide, size = 16 * width * 2**stage, 32 // 2**stage
        for _ in range((depth - 4) // 6):
            weights = 9 * before * wide + 9 * wide**2 + (before * wide if before != wide else 0)
            parameters, macs = parameters + weights + 2 * before + 2 * wide, macs + weights * size**2
            before = wide
    assert SIZES[f"wrn-{depth}-{width}"] == (parameters + 2 * before + 10 * before + 10, macs + 10 * before)


@pytest.mark.parametrize(
    ("depth", "width", "parameters", "macs"),
    [
        (16, 10, 17_116_634, 2_414.04e6),  # github.com/osmr/imgclsmob
        (40, 8, 35_748_314, 5_176.90e6),
        (34, 12, 66.5e6, 9.60e9),  # Huang et al., "Revisiting Residual Networks for Adversarial Robustness" (2023)
        (70, 16, 267e6, 38.8e9),
    ],
)
def test_wide_resnets_outside_the_catalogue(depth: int, width: int, parameters: float, macs: float) -> None:
    with torch.device("meta"):
        network = build_wrn(depth, width, 10)
    assert count_parameters(network) == pytest.approx(parameters, rel=0 if parameters % 1e5 else 2e-3)
    assert count_macs(network, (3, 32, 32)) == pytest.approx(macs, rel=0.03)


def test_resnexts_outside_the_catalogue() -> None:
    with torch.device("meta"):
        eight, sixteen = resnext29(8, 64, 10), resnext29(16, 64, 10)
    assert count_parameters(eight) == pytest.approx(34.4e6, abs=0.05e6)  # Xie et al. (2017), Table 7
    assert count_parameters(sixteen) == 68_155_210 - 1_536  # github.com/osmr/imgclsmob, less its 3x3 stem
    assert count_macs(sixteen, (3, 32, 32)) == pytest.approx(10_709.34e6, rel=0.03)


def test_the_macs_of_mobilenet_with_batchnorm_are_those_of_profilers() -> None:
    # github.com/zhengxiawu/pytorch_cls and others: 94.6 M, with 2 for each value that passes a BatchNorm.
    passed = []
    with torch.device("meta"):
        network = ARCHITECTURES["mobilenet-v2"].build(10, 3)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.register_forward_hook(lambda module, inputs, output: passed.append(output.numel()))
    assert (count_macs(network, (3, 32, 32)) + 2 * sum(passed)) / 1e6 == pytest.approx(94.61, abs=0.01)


def test_tiny_networks_have_the_stages_of_the_others_at_their_size() -> None:
    stages = SIZES["resnet18"][1] - 10 * 512
    assert SIZES["resnet18-tiny"][1] == 4 * stages + 200 * 512
    stages = SIZES["resnext50-imagenet"][1] - 3 * 64 * 7**2 * 112**2 - 1000 * 2048
    assert SIZES["resnext50-tiny"][1] == stages * 64 // 49 + 3 * 64 * 9 * 64**2 + 200 * 2048


def test_half_the_width() -> None:
    assert 2.7e6 < count_parameters(resnet18(10, width=32)) < 2.9e6


def test_counting_by_hand() -> None:
    convolution = nn.Conv2d(2, 4, 3, padding=1)
    network = nn.Sequential(convolution, nn.BatchNorm2d(4), nn.ReLU(), nn.Flatten(), nn.Linear(100, 7))
    assert count_parameters(network) == (2 * 4 * 9 + 4) + 8 + (700 + 7)
    network[1].eval()
    assert count_macs(network, (2, 5, 5)) == 2 * 4 * 9 * 25 + 700
    assert [module.training for module in network] == [True, False, True, True, True]
    assert network[1].num_batches_tracked == 0


def test_counting_attention_by_hand() -> None:
    class Tokens(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.attention = SelfAttention(8, 8, 2)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            return self.attention(images.flatten(2).transpose(1, 2))

    # 20 tokens: queries, keys, values and the projection, then q k^T and the weighted values.
    assert count_macs(Tokens(), (8, 4, 5)) == 20 * (4 * 8 * 8) + 2 * 20 * 20 * 8


@pytest.mark.parametrize(("depth", "message"), [(30, r"6n \+ 4"), (4, r"6n \+ 4 \(10, 16, .*\), got 4")])
def test_depths_that_no_wide_resnet_has(depth: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        build_wrn(depth, 2, 10)


def test_bad_widths_and_dropout() -> None:
    with pytest.raises(ValueError, match="width must be at least 1, got 0"):
        build_wrn(10, 0, 10)
    with pytest.raises(ValueError, match=r"dropout must be in \[0, 1\), got 1"):
        build_wrn(10, 1, 10, dropout=1.0)

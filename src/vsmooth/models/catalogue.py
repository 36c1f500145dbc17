"""This library's own networks: how each is built, where it comes from, what the literature says it costs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Literal

from torch import nn

from vsmooth.models.mobilenet_v2 import MobileNetV2
from vsmooth.models.preact_resnet import preact_resnet18
from vsmooth.models.resnet_cifar import resnet8, resnet18, resnet20, resnet32, resnet34, resnet50, resnet56
from vsmooth.models.resnext_cifar import resnext29_2x64d, resnext29_4x64d
from vsmooth.models.small import small
from vsmooth.models.t2t_vit import t2t_vit_14, t2t_vit_24, t2t_vit_t_14, t2t_vit_t_24
from vsmooth.models.timm_resnets import resnet18_imagenet, resnext50_imagenet, resnext50_tiny
from vsmooth.models.wide_resnet import wide_resnet

Option = Literal["image_size", "drop_path"]


@dataclass(frozen=True)
class Architecture:
    """A network by name, for the images and classes that its published sizes are counted for."""

    name: str
    build: Callable[..., nn.Module]
    """(num_classes, in_channels, and those keywords that `options` names) -> the network"""
    source: str
    """the paper and the place in it"""
    published_macs: float | None = None
    """multiply-adds for one image; None where no published figure was found"""
    macs_source: str = ""
    image_shape: tuple[int, int, int] = (3, 32, 32)
    num_classes: int = 10
    options: tuple[Option, ...] = ()
    note: str = ""
    """what is not as in the paper"""


_NARROW = "He et al. 2016, Sec. 4.2"
_HE_TABLE = "He et al. 2016, Table 1"
_XIE_CIFAR = "Xie et al. 2017, Sec. 5.3"
_XIE_TABLE = "Xie et al. 2017, Table 1"
_SANDLER = "Sandler et al. 2018, Table 2"
_T2T = "Yuan et al. 2021, Table 1"
_T2T_TABLE = "Yuan et al. 2021, Table 3"
_WRN = "Zagoruyko and Komodakis 2016, Table 1"
_PYTORCH_CLS = "zhengxiawu/pytorch_cls"
_CIFAR_MODELS = "chenyaofo/pytorch-cifar-models (option B shortcuts)"
_MOBILENET_MACS = "chenyaofo/pytorch-cifar-models (87.98 M), and 3.18 M for its projections and first 1x1"

_BY_TIMM = "built by timm, which starts the last BatchNorm of each block at 0"
_STEM = "a 3x3 stem of stride 1 without max pool"
_STRIDE = "the 3x3 convolution of a bottleneck strides, not the first 1x1"
_STEM_1X1 = "the stem is a 1x1 convolution, as in the code that its usual count comes from (3x3: 1,536 parameters more)"
_MOBILENET = (
    "stem and second stage have stride 1; shortcuts where only the channels change are projected (the paper has none "
    "there: 59,152 parameters less)"
)
_T2T_CODE = (
    "scale of the token transformer, length of the performer's random features and its dropout of 0.1 are those of the "
    "authors' code"
)

_IMAGENET = partial(Architecture, image_shape=(3, 224, 224), num_classes=1000)
_TIMM = partial(_IMAGENET, options=("drop_path",), note=_BY_TIMM)
_TINY = partial(Architecture, image_shape=(3, 64, 64), num_classes=200)
_T2T_VIT = partial(
    _IMAGENET, source=_T2T, macs_source=_T2T_TABLE, options=("image_size", "drop_path"), note=_T2T_CODE
)


def _wrn(depth: int, width: int, macs: float | None = None, macs_source: str = "") -> Architecture:
    return Architecture(f"wrn-{depth}-{width}", partial(wide_resnet, depth, width), _WRN, macs, macs_source)


ARCHITECTURES: dict[str, Architecture] = {
    architecture.name: architecture
    for architecture in (
        Architecture("small", small, _NARROW, image_shape=(1, 28, 28), note="the stem has stride 2"),
        Architecture("resnet8", resnet8, _NARROW),
        Architecture("resnet20", resnet20, _NARROW, 40.81e6, _CIFAR_MODELS),
        Architecture("resnet32", resnet32, _NARROW, 69.12e6, _CIFAR_MODELS),
        Architecture("resnet56", resnet56, _NARROW, 125.75e6, _CIFAR_MODELS),
        Architecture("resnet18", resnet18, _HE_TABLE, 556e6, _PYTORCH_CLS, note=_STEM),
        Architecture("resnet34", resnet34, _HE_TABLE, 1161e6, _PYTORCH_CLS, note=_STEM),
        Architecture("resnet50", resnet50, _HE_TABLE, 1304e6, _PYTORCH_CLS, note=f"{_STEM}; {_STRIDE}"),
        Architecture("resnext29-2x64d", resnext29_2x64d, _XIE_CIFAR, 1416e6, _PYTORCH_CLS, note=_STEM_1X1),
        Architecture("resnext29-4x64d", resnext29_4x64d, _XIE_CIFAR, note=_STEM_1X1),
        _wrn(16, 4),
        _wrn(28, 10, 5246.98e6, "osmr/imgclsmob"),
        _wrn(34, 10),
        _wrn(34, 20),
        _wrn(40, 2),
        _wrn(40, 4),
        Architecture("mobilenet-v2", MobileNetV2, _SANDLER, 91.16e6, _MOBILENET_MACS, note=_MOBILENET),
        Architecture("preact-resnet18", preact_resnet18, "He et al. 2016b, Fig. 4e", 556e6, _PYTORCH_CLS, note=_STEM),
        _TINY("resnet18-tiny", resnet18, _HE_TABLE, note=_STEM),
        _TINY("resnext50-tiny", resnext50_tiny, _XIE_TABLE, options=("drop_path",), note=f"{_STEM}; {_BY_TIMM}"),
        _TIMM("resnet18-imagenet", resnet18_imagenet, _HE_TABLE, 1.8e9, _HE_TABLE),
        _TIMM("resnext50-imagenet", resnext50_imagenet, _XIE_TABLE, 4.2e9, _XIE_TABLE),
        _T2T_VIT("t2t-vit-14", t2t_vit_14, published_macs=4.8e9),
        _T2T_VIT("t2t-vit-24", t2t_vit_24, published_macs=13.8e9),
        _T2T_VIT("t2t-vit-t-14", t2t_vit_t_14, published_macs=6.1e9),
        _T2T_VIT("t2t-vit-t-24", t2t_vit_t_24, published_macs=15.0e9),
    )
}

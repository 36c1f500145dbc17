"""Networks that take images in [0, 1] and return logits, one architecture family per file."""

from __future__ import annotations

from vsmooth.models.build import build_model, check_model, list_models
from vsmooth.models.catalogue import ARCHITECTURES, Architecture
from vsmooth.models.inference import InferenceNetwork, Precision, inference_network, prefers_channels_last
from vsmooth.models.mobilenet_v2 import MobileNetV2
from vsmooth.models.normalise import Normalise, NormalisedModel
from vsmooth.models.preact_resnet import PreActResNet, preact_resnet18
from vsmooth.models.recompute import checkpoint_blocks
from vsmooth.models.resize import Resized
from vsmooth.models.resnet_cifar import CifarResNet, resnet18, resnet20
from vsmooth.models.resnext_cifar import resnext29
from vsmooth.models.size import count_macs, count_parameters, measure
from vsmooth.models.small import small
from vsmooth.models.t2t_vit import T2TViT
from vsmooth.models.wide_resnet import wide_resnet

__all__ = [
    "ARCHITECTURES",
    "Architecture",
    "CifarResNet",
    "InferenceNetwork",
    "MobileNetV2",
    "Normalise",
    "NormalisedModel",
    "PreActResNet",
    "Precision",
    "Resized",
    "T2TViT",
    "build_model",
    "check_model",
    "checkpoint_blocks",
    "count_macs",
    "count_parameters",
    "inference_network",
    "list_models",
    "measure",
    "preact_resnet18",
    "prefers_channels_last",
    "resnet18",
    "resnet20",
    "resnext29",
    "small",
    "wide_resnet",
]

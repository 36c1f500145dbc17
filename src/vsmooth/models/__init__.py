"""Networks that take images in [0, 1] and return logits, one architecture family per file."""

from __future__ import annotations

from vsmooth.models.build import build_model, list_models
from vsmooth.models.normalise import Normalise, NormalisedModel
from vsmooth.models.resnet_cifar import CifarResNet, resnet18, resnet20
from vsmooth.models.small import small

__all__ = [
    "CifarResNet",
    "Normalise",
    "NormalisedModel",
    "build_model",
    "list_models",
    "resnet18",
    "resnet20",
    "small",
]

"""Virtual smoothing labels: V virtual classes in training, an ordinary K-way classifier everywhere else."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from vsmooth.checking import check
    from vsmooth.head import add_virtual_classes, all_logits, remove_virtual_classes
    from vsmooth.labels import LabelScheme, LabelSmoothing, OneHot, VirtualSmoothing
    from vsmooth.losses import (
        SmoothedCrossEntropy,
        VirtualSmoothingLoss,
        smoothed_cross_entropy,
        virtual_smoothing_loss,
    )
    from vsmooth.shares import NoisyUniform, RandomIntegers, RedrawnShares
    from vsmooth.state_dicts import accept_wide_weights, strip

__version__: str

__all__ = [
    "LabelScheme",
    "LabelSmoothing",
    "NoisyUniform",
    "OneHot",
    "RandomIntegers",
    "RedrawnShares",
    "SmoothedCrossEntropy",
    "VirtualSmoothing",
    "VirtualSmoothingLoss",
    "accept_wide_weights",
    "add_virtual_classes",
    "all_logits",
    "check",
    "remove_virtual_classes",
    "smoothed_cross_entropy",
    "strip",
    "virtual_smoothing_loss",
]

_HOMES = tuple(f"vsmooth.{home}" for home in ("labels", "losses", "head", "shares", "state_dicts", "checking"))


def __getattr__(name: str) -> Any:
    """Names are imported when they are asked for: torch takes seconds, and the command line must take Ctrl-C before."""
    if name == "__version__":
        from importlib.metadata import version  # a tenth of a second

        return version("vsmooth")
    if name in __all__:
        for home in map(import_module, _HOMES):
            if hasattr(home, name):
                return getattr(home, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__, "__version__"])

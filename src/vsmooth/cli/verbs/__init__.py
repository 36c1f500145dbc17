"""The commands, one file each; parser and dispatch are built from ``VERBS``."""

from __future__ import annotations

from vsmooth.cli.verb import Verb
from vsmooth.cli.verbs.attack import Attack
from vsmooth.cli.verbs.calibrate import Calibrate
from vsmooth.cli.verbs.compare import Compare
from vsmooth.cli.verbs.distill import Distill
from vsmooth.cli.verbs.evaluate import Evaluate
from vsmooth.cli.verbs.inspect import Inspect
from vsmooth.cli.verbs.labels import Labels
from vsmooth.cli.verbs.recipes import Recipes
from vsmooth.cli.verbs.report import Report
from vsmooth.cli.verbs.train import Train

VERBS: tuple[type[Verb], ...] = (
    Train,
    Compare,
    Distill,
    Evaluate,
    Report,
    Calibrate,
    Inspect,
    Attack,
    Labels,
    Recipes,
)

from __future__ import annotations

from record_builders import group_of, variant

from vsmooth.experiments.variants import objective_record
from vsmooth.losses import parse_objective
from vsmooth.losses.catalogue import CATALOGUE
from vsmooth.records.comparison import Group
from vsmooth.report.drawing.style import mix_with_white, styles


def test_mix_with_white() -> None:
    assert mix_with_white("#000000", 0.0) == "#000000"
    assert mix_with_white("#0072b2", 1.0) == "#ffffff"


def test_hue_by_scheme_and_shade_by_alpha() -> None:
    virtual = [group_of("virtual-smoothing", alpha) for alpha in (0.1, 0.5)]
    found = styles([group_of(), group_of("label-smoothing", 0.1), *virtual])
    assert found[3].colour == "#0072b2"
    assert found[2].colour != found[3].colour
    assert found[2].marker == found[3].marker
    assert found[2].line != found[3].line
    assert len({style.colour for style in found}) == 4


def test_every_kind_of_objective_has_a_look_of_its_own() -> None:
    groups = [Group(variant(objective_record(entry.template(), 10)), ()) for entry in CATALOGUE.values()]
    found = styles(groups)
    assert len({(style.colour, style.marker) for style in found}) == len(CATALOGUE)
    focal = [Group(variant(objective_record(parse_objective(f"focal:{gamma}"), 10)), ()) for gamma in (1, 3)]
    light, dark = styles(focal)
    assert light.marker == dark.marker
    assert light.colour != dark.colour

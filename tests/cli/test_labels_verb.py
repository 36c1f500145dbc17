"""`vsmooth labels` says of every objective what its class says of itself."""

from __future__ import annotations

import pytest
from cli_builders import squeezed

from vsmooth.cli import main
from vsmooth.losses import CATALOGUE, form_of, parse_candidates
from vsmooth.losses.catalogue import Candidates


def test_every_objective_is_listed_with_its_form_and_words(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["labels"]) == 0
    text = squeezed(capsys.readouterr().out)
    for name, entry in CATALOGUE.items():
        about = entry.template().about
        assert squeezed(f"{form_of(name)} {about.formula}") in text
        assert all(part in text for part in (about.purpose, f"cost: {about.cost}; source: {about.source}"))
        if entry.values:
            found = parse_candidates(f"{name}:auto")
            assert isinstance(found, Candidates)
            assert f"auto: {', '.join(f'{value:g}' for value in found.grid)}" in text
    assert "focal:GAMMA -(1 - p_y)^GAMMA log p_y calibration:" in text
    assert "source: Lin et al. 2017, Mukhoti et al. 2020 auto: 1, 2, 3" in text

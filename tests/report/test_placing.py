from __future__ import annotations

import numpy as np
import pytest

from vsmooth.report.drawing.placing import spread


def test_far_values_stay() -> None:
    assert spread([3.0, 1.0, 2.0], 0.5) == pytest.approx([3.0, 1.0, 2.0])


def test_close_values_move_apart_around_their_mean() -> None:
    assert spread([1.0, 1.0, 5.0], 1.0) == pytest.approx([0.5, 1.5, 5.0])


def test_gap_and_order_hold() -> None:
    values = np.random.default_rng(0).uniform(0, 1, 20)
    found = spread(values, 0.1)
    assert (np.diff(np.sort(found)) >= 0.1 - 1e-12).all()
    assert (np.argsort(found) == np.argsort(values)).all()

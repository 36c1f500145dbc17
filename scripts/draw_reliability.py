"""Draw the reliability diagrams of a comparison side by side: ``draw_reliability.py DIR OUT.png``."""

from __future__ import annotations

import argparse
from pathlib import Path

from vsmooth.records.comparison import load_comparison
from vsmooth.report.calibration.figures import ReliabilityPanel, reliability_diagrams
from vsmooth.report.comparison.findings import gap_words
from vsmooth.report.comparison.metrics import confidence_gap
from vsmooth.report.comparison.reliability import pool, reliability_bins
from vsmooth.report.drawing.style import styles


def main() -> None:
    """Read the records, draw one panel for each label, save them in a row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path, help="the --out of a finished vsmooth compare")
    parser.add_argument("picture", type=Path, help="the PNG to write")
    parser.add_argument("--dpi", type=int, default=110)
    arguments = parser.parse_args()
    comparison = load_comparison(arguments.directory)
    panels = [
        ReliabilityPanel(
            group.name, reliability_bins(pool([comparison.outcomes(run) for run in group.runs])), style,
            gap_words(confidence_gap(group)), intervals=len(group.runs) == 1,
        )
        for group, style in zip(comparison.groups, styles(comparison.groups), strict=True)
    ]
    arguments.picture.parent.mkdir(parents=True, exist_ok=True)
    reliability_diagrams(panels).savefig(arguments.picture, dpi=arguments.dpi)


if __name__ == "__main__":
    main()

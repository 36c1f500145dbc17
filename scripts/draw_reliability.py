"""Draw the reliability diagrams of a comparison side by side: ``draw_reliability.py DIR OUT.png``."""

from __future__ import annotations

import argparse
import io
from pathlib import Path

from PIL import Image

from vsmooth.experiments.record import load_comparison
from vsmooth.report.figures import reliability_diagram
from vsmooth.report.findings import gap_words
from vsmooth.report.reliability import pool, reliability_bins, run_outcomes
from vsmooth.report.style import styles
from vsmooth.report.tables import confidence_gap


def main() -> None:
    """Read the records, draw one panel for each label, save them in a row."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("directory", type=Path, help="the --out of a finished vsmooth compare")
    parser.add_argument("picture", type=Path, help="the PNG to write")
    parser.add_argument("--dpi", type=int, default=110)
    arguments = parser.parse_args()
    comparison = load_comparison(arguments.directory)
    panels = []
    for group, style in zip(comparison.groups, styles(comparison.groups), strict=True):
        bins = reliability_bins(pool([run_outcomes(comparison, run) for run in group.runs]))
        figure = reliability_diagram(group.name, bins, style, gap_words(confidence_gap(group)))
        buffer = io.BytesIO()
        figure.savefig(buffer, format="png", dpi=arguments.dpi)
        panels.append(Image.open(buffer).convert("RGB"))
    row = Image.new("RGB", (sum(panel.width for panel in panels), panels[0].height), "white")
    left = 0
    for panel in panels:
        row.paste(panel, (left, 0))
        left += panel.width
    arguments.picture.parent.mkdir(parents=True, exist_ok=True)
    row.save(arguments.picture, optimize=True)


if __name__ == "__main__":
    main()

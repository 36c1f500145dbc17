"""Write docs/networks.md from the catalogue of networks: ``write_networks_page.py [PAGE]``."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

from vsmooth.models import ARCHITECTURES, Architecture, measure

PAGE = Path(__file__).resolve().parents[1] / "docs" / "networks.md"
INTRODUCTION = """\
# Networks

Written by `python scripts/write_networks_page.py`; a test asserts that it says what the code does.

`--model NAME`, or `vsmooth.models.build_model(NAME, num_classes)`. Any other network of timm is `timm:NAME`; a network
of your own goes through `vsmooth.add_virtual_classes`. V virtual classes on D features add V (D + 1) parameters in
training, none in inference.

Sizes are for the images and classes named. Parameters include the fixed ones (position embedding and random features of
T2T-ViT). MACs are multiply-adds of convolutions, linear layers and attention for one image, in millions; BatchNorm,
activations and pooling are not counted. Tests hold them within 3 % of the published figure (owner/name: a repository on
GitHub); where none was found, to a formula. Stochastic depth (`drop_path`) is an option of T2T-ViT and of the networks
that timm builds.
"""
HEADER = ("Name", "Images", "Classes", "Parameters", "MACs, M", "Published MACs, M", "Architecture")


def main() -> None:
    """Write the page."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("page", type=Path, nargs="?", default=PAGE, help="default docs/networks.md")
    parser.parse_args().page.write_text(render(), encoding="utf-8")


def render() -> str:
    """The page as Markdown."""
    rows = [HEADER, ("---", "---", "---:", "---:", "---:", "---", "---"), *map(_row, ARCHITECTURES.values())]
    table = "\n".join(f"| {' | '.join(row)} |" for row in rows)
    notes = "\n".join(f"- {', '.join(names)}: {note}." for note, names in _notes())
    return f"{INTRODUCTION}\n{table}\n\nWhat is not as in the paper:\n\n{notes}\n"


def _row(architecture: Architecture) -> tuple[str, ...]:
    parameters, macs = measure(architecture)
    channels, height, width = architecture.image_shape
    published = "" if architecture.published_macs is None else f"{architecture.published_macs / 1e6:,.10g}"
    return (
        f"`{architecture.name}`",
        f"{channels}x{height}x{width}",
        f"{architecture.num_classes}",
        f"{parameters:,}",
        f"{macs / 1e6:,.1f}",
        f"{published}: {architecture.macs_source}" if published else "",
        architecture.source,
    )


def _notes() -> Iterator[tuple[str, list[str]]]:
    for note in dict.fromkeys(a.note for a in ARCHITECTURES.values() if a.note):
        yield note, [f"`{a.name}`" for a in ARCHITECTURES.values() if a.note == note]


if __name__ == "__main__":
    main()

"""``python -m benchmarks``: every speed claim of the project, as ratios measured side by side in this run.

``python -m benchmarks networks``, ``attacks`` and ``vocabulary`` are tables of their own: images/s of each network,
attacks against those of other libraries, and the head of a language model.
"""

from __future__ import annotations

import sys
from itertools import chain

import torch

from benchmarks import attacks, calibration, distillation, loss, networks, training, vocabulary
from vsmooth.experiments.environment import describe_environment


def main() -> int:
    """Print the table; 1 if a bar was missed."""
    if sys.argv[1:2] == ["networks"]:
        return networks.main(sys.argv[2:])
    if sys.argv[1:2] == ["attacks"]:
        return attacks.main(sys.argv[2:])
    if sys.argv[1:2] == ["vocabulary"]:
        return vocabulary.main(sys.argv[2:])
    about = describe_environment("as in each row", torch.device("cpu"))
    print(", ".join(f"{name} {value}" for name, value in about.items()))
    print("Medians of interleaved rounds; below 1 is faster (or smaller) than what it is measured against,")
    print("for images/s above 1 is faster.\n")
    missed = 0
    for row in chain(loss.rows(), training.rows(), distillation.rows(), calibration.rows()):
        print(row, flush=True)
        missed += not row.holds
    print(f"\n{missed} of the bars missed" if missed else "\nall bars met")
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

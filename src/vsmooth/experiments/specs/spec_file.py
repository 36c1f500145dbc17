"""`spec.json`, which claims a folder for a run: its spec, and the fingerprint of its images."""

from __future__ import annotations

from dataclasses import dataclass

from vsmooth.experiments.specs.run_spec import CONVERTER, RunSpec
from vsmooth.records.bounds import Side
from vsmooth.records.json_files import RecordFile

SPEC_FILE = "spec.json"


@dataclass(frozen=True)
class ClaimedRun:
    """What a folder is for. data_fingerprint: of the images and labels; image_shape: (C, H, W)."""

    spec: RunSpec
    data_fingerprint: str
    image_shape: tuple[Side, Side, Side]


CLAIM = RecordFile(SPEC_FILE, ClaimedRun, "delete its folder and train again", CONVERTER)

"""JSON objects with a format number, written whole or not at all."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from vsmooth.atomic import replacing

FORMAT = 1


def write_json(path: str | Path, value: Mapping[str, Any]) -> Path:
    """Writes an object with its format number, whole or not at all; NaN and infinities become null."""
    path = Path(path)
    with replacing(path) as partial, partial.open("w", encoding="utf-8") as stream:
        json.dump({"format": FORMAT, **_finite(value)}, stream, indent=1, allow_nan=False)
    return path


def read_json(path: str | Path) -> dict[str, Any]:
    """The object that `write_json` wrote; ValueError for a missing, damaged or foreign file."""
    path = Path(path)
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ValueError(f"no file at {path}") from None
    except (OSError, UnicodeDecodeError, json.JSONDecodeError) as error:
        raise ValueError(f"{path} cannot be read ({error}); delete it and run again") from None
    if not isinstance(value, dict) or "format" not in value:
        raise ValueError(f"{path} was not written by vsmooth: it has no format number")
    if (found := value.pop("format")) != FORMAT:
        raise ValueError(f"{path} has format {found!r}, this vsmooth reads {FORMAT}; upgrade vsmooth")
    return value


def _finite(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): _finite(item) for key, item in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_finite(item) for item in value]
    return value

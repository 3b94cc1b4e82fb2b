"""What calls cost, counted rather than timed: Python functions entered, by where they are."""

from __future__ import annotations

import cProfile
import pstats
from collections import Counter
from pathlib import Path

import meshkit

__all__ = ["OTHERS", "functions_entered"]

OTHERS = "others"
_HOME = str(Path(meshkit.__file__).parent)


def functions_entered(profile: cProfile.Profile, calls: int) -> Counter[str]:
    """Python functions that ``profile`` saw per call of ``calls``: those of meshkit by room, all others as `OTHERS`."""
    counted: Counter[str] = Counter()
    for (file, _, _), (_, entered, *_) in pstats.Stats(profile).stats.items():  # type: ignore[attr-defined]  # not in typeshed
        if file.startswith(_HOME):
            counted[Path(file).relative_to(_HOME).parts[0]] += entered
        elif file != "~":  # written in C
            counted[OTHERS] += entered
    return Counter({place: entered / calls for place, entered in counted.items()})

"""Where fuzzers begin: at the same place in ``make test``, anew in each ``make fuzz``."""

from __future__ import annotations

import os
import time

__all__ = ["SEED"]

SEED = int(os.environ.get("MESHKIT_FUZZ_SEED") or (time.time() if "MESHKIT_FUZZ_SECONDS" in os.environ else 1))
"""``MESHKIT_FUZZ_SEED`` repeats a run; a failure tells what it was."""

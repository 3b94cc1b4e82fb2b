"""Balancing: which endpoint takes a call. Pure; a picker is built when endpoints change and asked once per attempt.

To add a policy: one file with a factory, and its name in `registry`.
"""

from .localities import build_locality_picker
from .picker import Backend, Picker
from .registry import UnknownPolicy, build_picker, known_policies, register

__all__ = [
    "Backend",
    "Picker",
    "UnknownPolicy",
    "build_locality_picker",
    "build_picker",
    "known_policies",
    "register",
]

"""``meshkit demo``: the whole mesh on this machine, with live rules, killed processes, and every claim checked."""

from .run import demo

__all__ = ["demo"]

"""The commands: a word, or a group and a word, where its function is, and what it does.

A function is imported only when its word is used.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["COMMANDS", "GROUPS", "Command"]


class Command(NamedTuple):
    """``place`` is ``module:function``; ``purpose`` is the line of ``meshkit --help``."""

    place: str
    purpose: str


COMMANDS = {
    "control": Command(
        "meshkit.cli.control:control", "Serve a folder of Istio YAML, and what servers register, as xDS."
    ),
    "demo": Command("meshkit.cli.demo:demo", "Run a whole mesh on this machine and check every claim."),
    "gen": Command("meshkit.cli.gen:gen", "Generate messages, server bases and client proxies from .proto files."),
    "k8s mapping": Command("meshkit.cli.k8s:mapping", "Print the manifests by which Istio knows interfaces."),
    "run": Command("meshkit.cli.run:run", "Serve classes on the mesh: package.module:Class."),
}

GROUPS = {"k8s": "What Kubernetes has to be told."}
"""The first words of commands that have two."""

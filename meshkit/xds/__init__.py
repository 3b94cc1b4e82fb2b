"""Configuration from a control plane: frozen resources, their decoding and checking, the ADS stream as a machine.

Listeners are for servers: what reads them is imported when it is first used.
"""

from typing import TYPE_CHECKING

from meshkit.lazy import lazily

from .ads import AdsMachine, Named, Request, Response, Verdict
from .batch import decode_updates
from .delta import DeltaMachine
from .entry import Entry, EntryState, Key, Resource, Update, WatchStatistics
from .messages import DELTA, SOTW, Variant
from .node import Node
from .prepare import prepare, prepare_rules
from .sotw import SotwMachine
from .struct import Json
from .types import ASSIGNMENTS, CLUSTERS, LISTENERS, ROUTES, TYPES, WILDCARD, ResourceType

if TYPE_CHECKING:
    from .listeners import FilterChain, Listener, RbacRules

__all__ = [
    "ASSIGNMENTS",
    "CLUSTERS",
    "DELTA",
    "LISTENERS",
    "ROUTES",
    "SOTW",
    "TYPES",
    "WILDCARD",
    "AdsMachine",
    "DeltaMachine",
    "Entry",
    "EntryState",
    "FilterChain",
    "Json",
    "Key",
    "Listener",
    "Named",
    "Node",
    "RbacRules",
    "Request",
    "Resource",
    "ResourceType",
    "Response",
    "SotwMachine",
    "Update",
    "Variant",
    "Verdict",
    "WatchStatistics",
    "decode_updates",
    "prepare",
    "prepare_rules",
]

__getattr__ = lazily(__name__, dict.fromkeys(("FilterChain", "Listener", "RbacRules"), "listeners"))

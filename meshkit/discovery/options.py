"""The settings of discovery."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from meshkit.clock import SYSTEM, Clock
from meshkit.errors import ConfigError
from meshkit.net import BackoffPolicy, TlsSettings
from meshkit.xds import DELTA, SOTW, Variant

from .node import NodeIdentity

__all__ = ["DiscoveryOptions"]

_VARIANTS = {variant.name: variant for variant in (DELTA, SOTW)}


@dataclass(frozen=True, slots=True)
class DiscoveryOptions:
    """How to talk to the control plane and what to ask it.

    ``address``: ``host:port`` or ``unix:path``. ``mode``: ``delta`` or ``sotw``. ``strategies`` and ``static``: see
    `meshkit.discovery.strategy`. ``patience``: seconds after which a resource asked for and not answered counts as
    absent (gRFC A57). ``backoff``: between failing streams. ``reminders``: between requests for a resource that was
    refused. ``token_file``: a bearer token, read for every stream.
    ``listener_template``: the name of the listener of a port that this process serves on, ``%s`` its address; "" is
    Istio's.
    ``debug_url``: istiod's debug pages, ``http://host:15014``; "" is there, on the address of an istiod's usual port.
    ``pause_after``: seconds of work on a push after which the event loop gets a turn.
    """

    address: str = "127.0.0.1:15010"
    identity: NodeIdentity = field(default_factory=NodeIdentity)
    mode: str = "delta"
    strategies: tuple[str, ...] = ("static", "standard")
    static: Mapping[str, str] = field(default_factory=dict[str, str])
    patience: float = 15.0
    backoff: BackoffPolicy = BackoffPolicy(initial=1.0, multiplier=1.6, jitter=0.2, maximum=30.0)
    reminders: BackoffPolicy = BackoffPolicy(initial=2.0, multiplier=2.0, jitter=0.2, maximum=600.0)
    tls: TlsSettings | None = None
    token_file: Path | None = None
    debug_url: str = ""
    pause_after: float = 0.002
    listener_template: str = ""
    clock: Clock = SYSTEM

    def __post_init__(self) -> None:
        if self.mode not in _VARIANTS:
            raise ConfigError(f"ADS mode {self.mode!r} is not known; known are {', '.join(_VARIANTS)}")
        if self.mode == "delta" and self.identity.generator == "grpc":
            raise ConfigError(
                "Istio's grpc generator does not work over delta ADS: it forgets all names but those asked for last. "
                "Use mode='sotw' with generator='grpc', or the default generator"
            )

    @property
    def variant(self) -> Variant:
        """The ADS method to call."""
        return _VARIANTS[self.mode]

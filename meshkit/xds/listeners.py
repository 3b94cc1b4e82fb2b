"""Listener: bytes to frozen value, as far as it says how a server is to be reached (gRFC A36, A41; Istio's inbound).

Istio makes one per port for proxyless servers, named by the bootstrap's ``server_listener_resource_name_template``.
Refused: no name. Filters and transport sockets of other kinds than those named here are passed over.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from meshkit.codec import compile_schema

from .listener_tables import DOWNSTREAM_TLS, HTTP_MANAGER, LISTENER, RBAC
from .tables import Invalid

__all__ = ["FilterChain", "Listener", "RbacRules", "decode_listener"]

_ACTIONS = ("ALLOW", "DENY", "LOG")  # config.rbac.v3.RBAC.Action


@dataclass(frozen=True, slots=True)
class RbacRules:
    """The rules of one RBAC filter: ``policies`` are the names of what it allows, denies or logs (``action``).

    ``filter`` is its name in the chain. ``shadow``: only counted, as Istio's dry-run policies are.
    """

    filter: str
    action: str
    policies: tuple[str, ...]
    shadow: bool = False


@dataclass(frozen=True, slots=True)
class FilterChain:
    """listener.v3.FilterChain. ``port``: the one it is for, None for all. ``tls``: it has a DownstreamTlsContext;
    ``client_certificate``: which asks clients for theirs and refuses those without."""

    name: str
    port: int | None = None
    tls: bool = False
    client_certificate: bool = False
    rbac: tuple[RbacRules, ...] = ()


@dataclass(frozen=True, slots=True)
class Listener:
    """listener.v3.Listener. ``chains`` has the default chain last."""

    name: str
    chains: tuple[FilterChain, ...]
    unobeyed: Mapping[str, int] = field(default_factory=dict[str, int])


def decode_listener(data: bytes) -> Listener:
    """The bytes of an envoy.config.listener.v3.Listener. Raises `Invalid` or DecodeError."""
    raw = compile_schema(LISTENER).decode(data)
    if not raw.name:
        raise Invalid("name is not set")
    chains = [*raw.filter_chains, *([raw.default_filter_chain] if raw.default_filter_chain is not None else [])]
    return Listener(raw.name, tuple(_chain(chain) for chain in chains))


def _chain(raw: Any) -> FilterChain:
    match, socket = raw.filter_chain_match, raw.transport_socket
    context = _inside(socket, DOWNSTREAM_TLS) if socket is not None else None
    managers = [manager for one in raw.filters if (manager := _inside(one, HTTP_MANAGER)) is not None]
    return FilterChain(
        name=raw.name,
        port=match.destination_port if match is not None else None,
        tls=context is not None,
        client_certificate=context is not None and bool(context.require_client_certificate),
        rbac=tuple(rules for manager in managers for one in manager.http_filters for rules in _rbac(one)),
    )


def _rbac(raw: Any) -> tuple[RbacRules, ...]:
    config = _inside(raw, RBAC)
    if config is None or raw.disabled:
        return ()
    given = ((config.rules, False), (config.shadow_rules, True))
    return tuple(
        RbacRules(raw.name, _action(rules.action), tuple(sorted(rules.policies)), shadow)
        for rules, shadow in given
        if rules is not None
    )


def _action(number: int | None) -> str:
    if not 0 <= (number or 0) < len(_ACTIONS):
        raise Invalid(f"rbac action {number} is not known")
    return _ACTIONS[number or 0]


def _inside(holder: Any, schema: Any) -> Any:
    """The message of this type that an extension holds; None for any other."""
    config = holder.typed_config
    if config is None or config.type_url.rpartition("/")[2] != schema.name:
        return None
    return compile_schema(schema).decode(config.value)

"""Says once per version of a resource what the control plane asks for and we do not do yet."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping

from meshkit.balance import known_policies
from meshkit.guard import unknown_words
from meshkit.observe.log import event_logger
from meshkit.xds import Entry, Resource, ResourceType
from meshkit.xds.resources import Cluster, RouteAction, RouteConfiguration

__all__ = ["Report", "unobeyed"]

_LOG = event_logger("meshkit.discovery")
_RETRY_ON = "virtual_hosts.routes.route.retry_policy.retry_on"


def unobeyed(resource: Resource) -> Mapping[str, int]:
    """The fields of a resource that are not obeyed, by path; so are balancing policies that nobody registered, and
    reasons to retry that have no effect."""
    if isinstance(resource, Cluster) and resource.lb.name not in known_policies():
        return {**resource.unobeyed, f"lb_policy[{resource.lb.name}]": 1}
    if isinstance(resource, RouteConfiguration) and (words := Counter(_retry_words(resource))):
        return {**resource.unobeyed, **{f"{_RETRY_ON}[{word}]": words[word] for word in sorted(words)}}
    return resource.unobeyed


def _retry_words(config: RouteConfiguration) -> Iterator[str]:
    for host in config.virtual_hosts:
        policies = [host.retry, *(route.action.retry for route in host.routes if isinstance(route.action, RouteAction))]
        for policy in policies:
            yield from () if policy is None else unknown_words(policy)


class Report:
    """Remembers which version of each resource was reported."""

    def __init__(self) -> None:
        self._told: dict[tuple[ResourceType, str], bytes] = {}

    def tell(self, kind: ResourceType, entry: Entry | None) -> None:
        """Warn about an entry's resource, once per version of it."""
        if entry is None or entry.resource is None or self._told.get((kind, entry.name)) == entry.key:
            return
        self._told[kind, entry.name] = entry.key
        fields = unobeyed(entry.resource)
        if fields:
            _LOG.warning(
                "configuration that is not obeyed yet",
                type=kind.name,
                resource=entry.name,
                version=entry.version,
                fields=dict(fields),
            )

    def forget(self, kind: ResourceType, name: str) -> None:
        """Nobody uses the resource any more."""
        self._told.pop((kind, name), None)

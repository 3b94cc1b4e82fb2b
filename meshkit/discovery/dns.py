"""The host names of clusters in use, resolved again and again beside everything else (Envoy's STRICT_DNS, LOGICAL_DNS).

Istio's ``resolution: DNS`` makes a STRICT_DNS cluster: each address of each name becomes an endpoint. DNS_ROUND_ROBIN
makes a LOGICAL_DNS one: a single endpoint, whose new connections go to the address that is first by then, while those
that are open stay. A cluster is incomplete until each of its names was answered once, be it by an error; after that
a failure changes nothing but what is said: the last good addresses stay.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

from meshkit.clock import Clock
from meshkit.net import Backoff, BackoffPolicy, Resolver
from meshkit.net.address import is_ip, join_host_port
from meshkit.observe.log import event_logger
from meshkit.tasks import Scope
from meshkit.xds import ResourceType, WatchStatistics
from meshkit.xds.resources import (
    Cluster,
    ClusterLoadAssignment,
    ClusterType,
    DnsFamily,
    DnsLookups,
    Endpoint,
    LocalityEndpoints,
)

__all__ = ["DNS", "HostNames", "Question"]

DNS = ResourceType("", "DNS", whole=False)
"""What an interface needs beside the types of xDS: the addresses of the cluster of this name."""

_LOG = event_logger("meshkit.discovery")
_SLOW = 3.0  # seconds after which a lookup counts as failed; it goes on, for nothing can stop getaddrinfo
_AT_ONCE = 4  # lookups: they run on the threads of the program's default executor, which has at least five


@dataclass(frozen=True, slots=True)
class Question:
    """A host name, and how it is to be resolved."""

    host: str
    how: DnsLookups


class _Lookup:
    """What is known of one question, and the task that keeps asking. ``clusters`` are the names of its users."""

    __slots__ = ("addresses", "answered", "clusters", "error", "question", "task", "updates")

    def __init__(self, question: Question) -> None:
        self.question = question
        self.clusters: dict[str, None] = {}
        self.addresses: tuple[str, ...] = ()
        self.error = ""
        self.answered = False
        self.updates = 0
        self.task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"_Lookup({self.question.host}, {', '.join(self.addresses) or self.error or 'no answer yet'})"

    def take(self, addresses: tuple[str, ...], error: str) -> bool:
        """Take an answer in; True if it changes what a cluster is made of or what is said of it. Resolvers like to
        give the same addresses in another order each time, which changes nothing but the first one."""
        before = (self.answered, self.error, set(self.addresses))
        self.answered, self.error = True, error
        if addresses:
            self.updates += set(addresses) != before[2]
            self.addresses = addresses
        return before != (True, error, set(self.addresses))


class HostNames:
    """Resolves the names of the clusters in use. ``changed`` is told the name of each cluster whose addresses, or
    whose lack of them, changed."""

    def __init__(self, resolver: Resolver, clock: Clock, changed: Callable[[str], None]) -> None:
        self._resolver = resolver
        self._clock = clock
        self._changed = changed
        self._scope = Scope("names")
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._used: dict[str, frozenset[Question]] = {}  # by cluster
        self._lookups: dict[Question, _Lookup] = {}
        self._made: dict[str, tuple[Cluster, ClusterLoadAssignment]] = {}

    def __repr__(self) -> str:
        return f"HostNames({', '.join(map(repr, self._lookups.values())) or 'none in use'})"

    # -- which names

    def use(self, cluster: Cluster) -> None:
        """Resolve the names of ``cluster`` from now on, and no others that a cluster of its name had before."""
        wanted = frozenset(_questions(cluster))
        before = self._used.get(cluster.name, frozenset())
        self._used[cluster.name] = wanted
        for question in wanted - before:
            self._begin(question).clusters[cluster.name] = None
        self._leave(cluster.name, before - wanted)

    def using(self, name: str) -> bool:
        """Whether the cluster of this name is in use."""
        return name in self._used

    def drop(self, name: str) -> None:
        """The cluster of this name is not in use any more."""
        self._made.pop(name, None)
        self._leave(name, self._used.pop(name, frozenset()))

    async def close(self) -> None:
        """Ask no more."""
        await self._scope.close()

    def _begin(self, question: Question) -> _Lookup:
        lookup = self._lookups.get(question)
        if lookup is None:
            lookup = self._lookups[question] = _Lookup(question)
            lookup.task = self._scope.start(self._keep(lookup), name=question.host)
        return lookup

    def _leave(self, name: str, questions: frozenset[Question]) -> None:
        for question in questions:
            lookup = self._lookups[question]
            del lookup.clusters[name]
            if not lookup.clusters:
                del self._lookups[question]
                if lookup.task is not None:
                    lookup.task.cancel()

    # -- what is known

    def assignment(self, cluster: Cluster) -> ClusterLoadAssignment | None:
        """The endpoints of a DNS cluster with addresses for names; None while a name has not been answered at all."""
        made = self._made.get(cluster.name)
        if made is not None and made[0] is cluster:
            return made[1]
        lookups = [self._lookups.get(question) for question in _questions(cluster)]
        if any(lookup is None or not lookup.answered for lookup in lookups):
            return None
        assignment = self._make(cluster)
        self._made[cluster.name] = (cluster, assignment)
        return assignment

    def problem(self, cluster: Cluster) -> str:
        """Which names of a cluster were not resolved the last time; "" for none."""
        lookups = [self._lookups.get(question) for question in _questions(cluster)]
        return "; ".join(_problem(lookup) for lookup in lookups if lookup is not None and lookup.error)

    def figures(self, name: str) -> tuple[WatchStatistics, ...]:
        """Each name of a cluster in figures, like a resource."""
        lookups = (self._lookups[question] for question in self._used.get(name, ()))
        return tuple(
            WatchStatistics(one.question.host, _state(one), "", one.error, one.updates, 0, {}) for one in lookups
        )

    async def resolve(self, host: str) -> Sequence[str]:
        """The addresses for a new connection: those known of a name in use, and the resolver's of any other."""
        for question, lookup in self._lookups.items():
            if question.host == host and lookup.addresses:
                return lookup.addresses if question.how.family is DnsFamily.ALL else lookup.addresses[:1]
        return await self._resolver(host)

    def _make(self, cluster: Cluster) -> ClusterLoadAssignment:
        given = cluster.assignment or ClusterLoadAssignment(cluster.name)  # none is no endpoints, as Envoy has it
        localities = [replace(group, endpoints=tuple(self._endpoints(cluster, group))) for group in given.localities]
        return replace(given, localities=tuple(localities))

    def _endpoints(self, cluster: Cluster, group: LocalityEndpoints) -> Iterator[Endpoint]:
        """An address counts once per name; a name without addresses is no endpoint."""
        for endpoint in group.endpoints:
            host, _, port = endpoint.address.rpartition(":")
            lookup = self._lookups.get(_question(cluster, host)) if _is_name(endpoint) else None
            if lookup is None:
                yield endpoint
            elif cluster.type is ClusterType.LOGICAL_DNS:
                yield from (endpoint,) if lookup.addresses else ()
            else:
                yield from (replace(endpoint, address=join_host_port(ip, port)) for ip in lookup.addresses)

    # -- asking

    async def _keep(self, lookup: _Lookup) -> None:
        """Ask, and ask again, for ever."""
        how = lookup.question.how
        policy = BackoffPolicy(initial=how.failure[0], multiplier=2.0, jitter=0.2, maximum=how.failure[1])
        backoff = Backoff(policy, random.random)
        while True:
            addresses, error = await self._ask(lookup)
            self._take(lookup, addresses, error)
            if error:
                delay = backoff.next()
            else:
                delay = how.refresh + how.jitter * random.random()
                backoff.reset()
            await self._clock.sleep(delay)

    async def _ask(self, lookup: _Lookup) -> tuple[tuple[str, ...], str]:
        """One answer, however long it takes; a long silence is a failure in the meantime."""
        asking = self._scope.start(self._answer(lookup.question), name=f"ask for {lookup.question.host}")
        try:
            done, _ = await asyncio.wait((asking,), timeout=_SLOW)
            if not done:
                self._take(lookup, (), f"no answer within {_SLOW:g} s")
            answer: tuple[tuple[str, ...], str] = await asking
            return answer
        finally:
            asking.cancel()

    async def _answer(self, question: Question) -> tuple[tuple[str, ...], str]:
        """Addresses, or why there are none. The resolver may be the program's own, so that anything may go wrong."""
        try:
            async with self._turns:
                found = await self._resolver(question.host)
        except OSError as error:
            return (), error.strerror or str(error)
        except Exception as error:  # the program's own resolver may raise anything; its name fails, and no other
            return (), repr(error)
        addresses = _of_family(found, question.how.family)
        return addresses, "" if addresses else f"it has no addresses for {question.how.family.name}"

    def _take(self, lookup: _Lookup, addresses: tuple[str, ...], error: str) -> None:
        before = lookup.error
        if not lookup.take(addresses, error):
            return
        if error and not before:  # once for as long as it fails
            kept = list(lookup.addresses)
            _LOG.warning("host name not resolved", host=lookup.question.host, error=error, kept=kept)
        elif before and not error:
            _LOG.info("host name resolved again", host=lookup.question.host, addresses=list(addresses))
        for name in tuple(lookup.clusters):
            self._made.pop(name, None)
            self._changed(name)


def _questions(cluster: Cluster) -> Iterator[Question]:
    groups = cluster.assignment.localities if cluster.assignment is not None else ()
    for group in groups:
        for endpoint in group.endpoints:
            if _is_name(endpoint):
                yield _question(cluster, endpoint.address.rpartition(":")[0])


def _question(cluster: Cluster, host: str) -> Question:
    return Question(host, cluster.dns or DnsLookups())


def _is_name(endpoint: Endpoint) -> bool:
    if endpoint.address.startswith(("unix:", "internal:", "[")):
        return False
    return not is_ip(endpoint.address.rpartition(":")[0])


def _of_family(found: Sequence[str], family: DnsFamily) -> tuple[str, ...]:
    """The addresses that a family means, each once (Cluster.DnsLookupFamily)."""
    four = tuple(dict.fromkeys(ip for ip in found if ":" not in ip))
    six = tuple(dict.fromkeys(ip for ip in found if ":" in ip))
    return {
        DnsFamily.AUTO: six or four,
        DnsFamily.V4_ONLY: four,
        DnsFamily.V6_ONLY: six,
        DnsFamily.V4_PREFERRED: four or six,
        DnsFamily.ALL: tuple(dict.fromkeys(found)),
    }[family]


def _problem(lookup: _Lookup) -> str:
    kept = f", so {', '.join(lookup.addresses)} as before" if lookup.addresses else ""
    return f"{lookup.question.host} is not resolved: {lookup.error}{kept}"


def _state(lookup: _Lookup) -> str:
    if not lookup.answered:
        return "requested"
    return "received" if lookup.addresses else "absent"

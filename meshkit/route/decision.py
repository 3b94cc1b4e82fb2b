"""What a route decides for a call, worked out once when the route is compiled."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable
from itertools import accumulate

from meshkit.xds.resources import DirectResponse, Redirect, RetryPolicy, Route, RouteAction, WeightedCluster

__all__ = ["Decision"]


class Decision:
    """Where a call goes and under which rules. Immutable and shared by all calls that take the route.

    ``route``: the route itself. ``timeout``: the route's limit in seconds, None for none. ``retry``: the policy of the
    route, else of its virtual host, else None. ``direct``: set where the call must not reach a server: what to answer
    instead (an action that a client cannot take is a DirectResponse of 503, UNAVAILABLE, that says so: gRFC A36).
    `cluster` is for calls where ``direct`` is None.
    """

    __slots__ = ("_bounds", "_names", "_random", "_total", "direct", "retry", "route", "timeout")

    def __init__(self, route: Route, host_retry: RetryPolicy | None, random: Callable[[], float]) -> None:
        self.route = route
        self.timeout: float | None = None
        self.retry: RetryPolicy | None = None
        self.direct: DirectResponse | Redirect | None = None
        self._random = random
        self._names: list[str] = []
        self._bounds: list[int] = []
        self._total = 0
        if isinstance(route.action, RouteAction):
            self._forward(route.action, host_retry)
        else:
            self.direct = route.action or DirectResponse(503, f"route {route.name!r} has an action only a server takes")

    def __repr__(self) -> str:
        return f"Decision(route={self.route.name!r}, to={self.direct or self._names})"

    def _forward(self, action: RouteAction, host_retry: RetryPolicy | None) -> None:
        self.timeout = action.timeout or None
        self.retry = action.retry or host_retry
        self._weigh(action.clusters)

    def _weigh(self, clusters: tuple[WeightedCluster, ...]) -> None:
        self._names = [cluster.name for cluster in clusters]
        bounds = list(accumulate(cluster.weight for cluster in clusters))
        # Without the last bound no rounding of `random() * total` can point past the last cluster.
        self._total = bounds.pop()
        self._bounds = bounds

    @property
    def straight(self) -> str | None:
        """The cluster, where all calls go to the same one and as they are: with no limit in time of the route's."""
        limited = self.timeout is not None or (self.retry is not None and self.retry.per_try_timeout is not None)
        return self._names[0] if len(self._names) == 1 and not limited else None

    def cluster(self) -> str:
        """The cluster for one call, by weight. To be asked once per call: all its attempts stay there (gRFC A28)."""
        if not self._bounds:
            return self._names[0]
        return self._names[bisect_right(self._bounds, self._random() * self._total)]

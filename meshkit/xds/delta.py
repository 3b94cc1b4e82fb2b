"""Delta (incremental) xDS: requests carry changes of the name list, responses changes of the resources.

Istio refuses changes of the list in an ACK, so ACKs carry a nonce and nothing else, and changes carry no nonce. A new
stream starts with all names and with the versions held (``initial_resource_versions``, empty strings with Istio), from
which the server tells what was removed meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .ads import AdsMachine, Request, Response, TypeState
from .entry import Update

__all__ = ["DeltaMachine"]


class DeltaMachine(AdsMachine):
    """The machine of ``DeltaAggregatedResources``."""

    def _ask(self, state: TypeState) -> Request | None:
        added = tuple(name for name in state.names if name not in state.asked)
        removed = tuple(name for name in state.asked if name not in state.names)
        if not added and not removed:
            return None
        held = {} if state.sent else {e.name: e.version for e in state.entries.values() if e.resource is not None}
        state.asked = dict(state.names)
        return Request(
            state.kind.url, first=self._node_due(), subscribe=added, unsubscribe=removed, initial_versions=held
        )

    def _answer(self, state: TypeState) -> Iterable[Request]:
        return (Request(state.kind.url, nonce=state.nonce, error=state.error),)

    def _again(self, state: TypeState, names: tuple[str, ...]) -> Iterable[Request]:
        """Names of our own are given up and subscribed to anew; so that no wildcard is touched, those that came by it
        are subscribed to and given up in one request: the server then sends them for the wildcard's sake (xDS protocol,
        "Unsubscribing from resources"), and Istio, whose list has them already, takes it for no mistake."""
        url = state.kind.url
        own = tuple(name for name in names if name in state.asked)
        others = tuple(name for name in names if name not in state.asked)
        out = [Request(url, subscribe=others, unsubscribe=others)] if others else []
        return [*out, Request(url, unsubscribe=own), Request(url, subscribe=own)] if own else out

    def _gone(self, state: TypeState, response: Response, updates: Sequence[Update]) -> Iterable[str]:
        return response.removed

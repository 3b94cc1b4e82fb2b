"""State of the world: each request is the full list of names, each response speaks for itself.

Istio ignores a request with a stale nonce, new names and all, so every ACK carries the full list again; and an empty
list means "everything" as long as no names were ever sent on the stream, so it is never the first thing sent. Of a NACK
it reads the reason alone, and it ends with a nil pointer where nobody watches the type any more (pkg/xds/server.go,
ShouldRespond); so names never go with a NACK only, and what was given up is not refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

from .ads import AdsMachine, Request, Response, TypeState
from .entry import EntryState, Update

__all__ = ["SotwMachine"]

_LACKING = (EntryState.REQUESTED, EntryState.ABSENT)


class SotwMachine(AdsMachine):
    """The machine of ``StreamAggregatedResources``."""

    def _ask(self, state: TypeState) -> Request | None:
        if state.names.keys() == state.asked.keys() or not (state.names or state.sent):
            return None
        return self._request(state)

    def _answer(self, state: TypeState) -> Iterable[Request]:
        if state.error:
            return self._refusal(state)
        state.dirty = False  # this request says all there is to say
        request = self._request(state)
        state.forget_unwanted()
        return (request,)

    def _refusal(self, state: TypeState) -> Iterable[Request]:
        """The NACK, after a request for all that was asked for where some of it never came: its names may have gone
        with a stale nonce, and with a resource that stays bad no ACK would ever repeat them."""
        if not state.asked:
            return ()
        request = self._of_asked(state)
        refusal = replace(request, first=False, error=state.error)
        held = (state.entries.get(name) for name in state.asked)
        lacking = any(entry is not None and entry.state in _LACKING for entry in held)
        return (request, refusal) if lacking else (refusal,)

    def _again(self, state: TypeState, names: tuple[str, ...]) -> Iterable[Request]:
        """A request without a nonce is a first one, and always answered (pilot/pkg/xds/ads.go, ShouldRespond)."""
        return (replace(self._request(state), nonce=""),)

    def _request(self, state: TypeState) -> Request:
        state.asked = dict(state.names)
        return self._of_asked(state)

    def _of_asked(self, state: TypeState) -> Request:
        return Request(
            state.kind.url,
            first=self._node_due(),
            nonce=state.nonce,
            version=state.version,
            names=tuple(state.asked),
        )

    def _gone(self, state: TypeState, response: Response, updates: Sequence[Update]) -> Iterable[str]:
        """LDS and CDS responses are whole: what was received before and is missing now is deleted (gRFC A57).

        Not so what was only asked for: the response may be older than the request. And nothing is deleted when a
        resource came whose name cannot be read, for it may be any of them.
        """
        if not state.kind.whole or not all(update.name for update in updates):
            return ()
        held = {update.name for update in updates}
        missing = [entry for entry in state.entries.values() if entry.name not in held]
        for entry in missing:
            entry.missed = entry.state is EntryState.REQUESTED
        return [entry.name for entry in missing if not entry.missed]

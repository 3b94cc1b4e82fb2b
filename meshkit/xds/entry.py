"""One watched resource: what is held of it, and what became of the last thing the control plane said about it.

event \\ state   REQUESTED     RECEIVED      ABSENT        REFUSED
VALID           RECEIVED      RECEIVED      RECEIVED      RECEIVED
INVALID         REFUSED       RECEIVED      ABSENT        REFUSED      the last good version stays in force
REMOVED         ABSENT        ABSENT        ABSENT        ABSENT
SILENCE         ABSENT        RECEIVED      ABSENT        REFUSED      no answer within the time given (gRFC A57)
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from hashlib import blake2b
from typing import TYPE_CHECKING, TypeAlias

from .resources import Cluster, ClusterLoadAssignment, RouteConfiguration

if TYPE_CHECKING:
    from .listeners import Listener

__all__ = ["Entry", "EntryState", "Event", "Key", "Resource", "Update", "WatchStatistics", "Whole", "fingerprint"]

Resource: TypeAlias = "RouteConfiguration | Cluster | ClusterLoadAssignment | Listener"


class EntryState(Enum):
    """Where a watched resource stands."""

    REQUESTED = "requested"
    RECEIVED = "received"
    ABSENT = "absent"
    REFUSED = "refused"


class Event(Enum):
    """What can happen to a watched resource."""

    VALID = "valid"
    INVALID = "invalid"
    REMOVED = "removed"
    SILENCE = "silence"


_R, _G, _A, _F = EntryState.REQUESTED, EntryState.RECEIVED, EntryState.ABSENT, EntryState.REFUSED
_NEXT: dict[Event, dict[EntryState, EntryState]] = {
    Event.VALID: {_R: _G, _G: _G, _A: _G, _F: _G},
    Event.INVALID: {_R: _F, _G: _G, _A: _A, _F: _F},
    Event.REMOVED: {_R: _A, _G: _A, _A: _A, _F: _A},
    Event.SILENCE: {_R: _A, _G: _G, _A: _A, _F: _F},
}

_KEEP_WHOLE = 16_384


class Whole:
    """Stands for the bytes of a big resource, which are compared once, where they come in; later it is only asked
    whether one of these is the other."""

    __slots__ = ("data",)

    def __init__(self, data: bytes) -> None:
        self.data = data

    def __repr__(self) -> str:
        return f"Whole({len(self.data)} bytes)"


Key = bytes | Whole


def fingerprint(raw: bytes) -> Key:
    """What tells a resource's bytes from others: a digest, or the bytes themselves where comparing beats digesting."""
    return Whole(raw) if len(raw) > _KEEP_WHOLE else blake2b(raw, digest_size=16).digest()


class Update:
    """One resource of a response after decoding: ``resource``, or the ``reason`` why it is refused.

    ``name`` is "" where not even the name could be read. ``key`` is the `fingerprint` of its ``size`` bytes; ``memo``
    is what the decoder wants back for the next version.
    """

    __slots__ = ("key", "memo", "name", "reason", "resource", "size", "version")

    def __init__(
        self,
        name: str,
        key: Key,
        size: int,
        *,
        resource: Resource | None = None,
        reason: str = "",
        memo: object = None,
    ) -> None:
        self.name = name
        self.key = key
        self.size = size
        self.version = ""
        self.resource = resource
        self.reason = reason
        self.memo = memo

    def __repr__(self) -> str:
        return f"Update({self.name!r}, {self.reason or 'valid'}, {self.size} bytes)"


@dataclass(frozen=True, slots=True)
class WatchStatistics:
    """One watched resource in figures. ``error``: why its last version was refused; ``bytes``: all received for it."""

    name: str
    state: str
    version: str
    error: str
    updates: int
    bytes: int
    unobeyed: Mapping[str, int]


class Entry:
    """The state of one watched resource. ``resource`` is the last good version, or None.

    ``missed``: a response that should hold all resources of the type came without it. If the server had our request by
    then, it does not exist; if the two crossed, the answer is on its way.
    """

    __slots__ = (
        "bytes",
        "error",
        "key",
        "memo",
        "missed",
        "name",
        "refused_key",
        "resource",
        "state",
        "updates",
        "version",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.state = EntryState.REQUESTED
        self.resource: Resource | None = None
        self.version = ""
        self.key: Key = b""
        self.memo: object = None
        self.error = ""
        self.refused_key: Key = b""
        self.missed = False
        self.updates = 0
        self.bytes = 0

    def __repr__(self) -> str:
        return f"Entry({self.name!r}, {self.state.value}, version={self.version!r}{', error' if self.error else ''})"

    def accept(self, update: Update, version: str) -> bool:
        """Take a valid or refused update in; True if the resource, the state or the error changed."""
        self.bytes += update.size
        self.missed = False
        before = (self.state, self.error, self.resource)
        if update.resource is None:
            self.state = _NEXT[Event.INVALID][self.state]
            self.error, self.refused_key = update.reason, update.key
        else:
            self.state = _NEXT[Event.VALID][self.state]
            self.updates += update.key != self.key
            self.resource, self.key, self.memo, self.version = update.resource, update.key, update.memo, version
            self.error, self.refused_key = "", b""
        return before[:2] != (self.state, self.error) or before[2] is not self.resource

    def suspect(self, update: Update) -> None:
        """A refused resource whose name cannot be read may have been the answer that is waited for."""
        if self.state is EntryState.REQUESTED:
            self.error, self.refused_key = update.reason, update.key

    def drop(self, event: Event, reason: str) -> bool:
        """The control plane removed the resource, or stays silent about it; True if the state changed."""
        before = self.state
        self.state = _NEXT[event][before]
        if self.state is EntryState.ABSENT:
            self.resource, self.memo, self.key, self.version = None, None, b"", ""
            if event is Event.REMOVED or not self.refused:  # what was refused explains a silence
                self.error, self.refused_key = reason, b""
        return self.state is not before

    @property
    def refused(self) -> bool:
        """Whether the last version that came had to be refused."""
        return bool(self.refused_key)

    def recall(self, key: Key, size: int) -> Update | None:
        """The update that these bytes made before, if they are those of the version held or refused last."""
        if key == self.key and self.resource is not None:
            return Update(self.name, key, size, resource=self.resource, memo=self.memo)
        if key == self.refused_key:
            return Update(self.name, key, size, reason=self.error)
        return None

    def statistics(self) -> WatchStatistics:
        """A frozen view."""
        unobeyed: Mapping[str, int] = self.resource.unobeyed if self.resource is not None else {}
        return WatchStatistics(
            self.name, self.state.value, self.version, self.error, self.updates, self.bytes, unobeyed
        )

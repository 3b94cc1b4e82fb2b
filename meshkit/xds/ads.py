"""The client side of an ADS stream as a machine: values in, values out (the xDS protocol; gRFC A27, A46, A57).

What is wanted (`subscribe`, `unsubscribe`) outlives streams; what the server was told (`TypeState.asked`) does not.
`requests` sends the difference, so a change of mind before sending costs nothing, and a new stream re-subscribes to
everything by itself. The two variants differ only in the table of hooks at the end of `AdsMachine`:

    hook         state of the world (`sotw.py`)                delta (`delta.py`)
    _ask         all names, last version and nonce             the names added and removed, no nonce
    _answer      the same, with the response's nonce; a NACK   the nonce alone
                 is for what the server was asked for
    _again       all names, as if for the first time           the names given up and asked for anew
    _gone        CDS: what a response does not hold            what removed_resources names

Rules carried by all: the node goes in the first request of a stream only; every response of a known type is ACKed or
NACKed once, a NACK keeps the previous version and names every bad resource; valid resources of a NACKed response are
used; the last good version of a bad one stays; responses of types never asked for are ignored.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from .entry import Entry, Event, Update, WatchStatistics
from .types import TYPES, WILDCARD, ResourceType, type_of

__all__ = ["AdsMachine", "Named", "Request", "Response", "TypeState", "Verdict"]

_MAX_REASON = 8192  # a server must be able to log it


@dataclass(frozen=True, slots=True)
class Named:
    """A resource of a response as it came: ``name`` and ``version`` where a wrapper gave them (always in delta)."""

    type_url: str
    value: bytes
    name: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Response:
    """A DiscoveryResponse or DeltaDiscoveryResponse. ``removed`` is delta's removed_resources."""

    type_url: str
    version: str
    nonce: str
    resources: tuple[Named, ...] = ()
    removed: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Request:
    """A DiscoveryRequest (``names``, ``version``) or a DeltaDiscoveryRequest (the other lists).

    ``first``: the first request of its stream, the one that carries the node. ``error`` makes it a NACK.
    """

    type_url: str
    first: bool = False
    nonce: str = ""
    error: str = ""
    version: str = ""
    names: tuple[str, ...] = ()
    subscribe: tuple[str, ...] = ()
    unsubscribe: tuple[str, ...] = ()
    initial_versions: Mapping[str, str] = field(default_factory=dict[str, str])


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a response changed: the names whose entry is not what it was; and the reasons of a NACK, by resource."""

    kind: ResourceType | None
    changed: tuple[str, ...] = ()
    reasons: tuple[str, ...] = ()


class TypeState:
    """One resource type on the stream. ``answered``: a response of this type came since it was first asked for."""

    __slots__ = (
        "answered",
        "asked",
        "dirty",
        "entries",
        "error",
        "kind",
        "nacks",
        "names",
        "nonce",
        "responses",
        "sent",
        "version",
    )

    def __init__(self, kind: ResourceType) -> None:
        self.kind = kind
        self.names: dict[str, None] = {}  # wanted, in order
        self.asked: dict[str, None] = {}  # what the server knows on this stream
        self.entries: dict[str, Entry] = {}
        self.dirty = False
        self.sent = False
        self.answered = False
        self.nonce = ""
        self.version = ""
        self.error = ""
        self.responses = 0
        self.nacks = 0

    def entry_for(self, name: str) -> Entry | None:
        """The entry that a resource of this name belongs to, or None if nobody asked for it.

        Names given up whose unsubscription is not sent yet still count: if they are wanted again before it is, the
        server never hears of it and will not repeat itself.
        """
        entry = self.entries.get(name)
        if entry is None and name and WILDCARD in self.names:
            entry = self.entries[name] = Entry(name)
        return entry

    def take(self, updates: Iterable[Update], version: str) -> list[str]:
        """Take updates in; the names of those that changed something. ``version`` is for those without their own."""
        changed: list[str] = []
        for update in updates:
            if update.reason and not update.name:
                for waiting in self.entries.values():
                    waiting.suspect(update)
            entry = self.entry_for(update.name)
            if entry is not None and entry.accept(update, update.version or version):
                changed.append(update.name)
        return changed

    def remove(self, name: str) -> bool:
        """The control plane has it no more; True if that is new."""
        entry = self.entries.get(name)
        if entry is None:
            return False
        if name not in self.names:  # known through the wildcard only
            del self.entries[name]
            return True
        return entry.drop(Event.REMOVED, "the control plane says that it does not exist")

    def forget_unwanted(self) -> None:
        """Drop what is held of resources that nobody wants any more."""
        if WILDCARD not in self.names:
            for name in [name for name in self.entries if name not in self.names]:
                del self.entries[name]

    def new_stream(self) -> None:
        """Nothing is known to the server; the version survives, the nonce does not (gRFC A57)."""
        self.asked = {}
        self.nonce = ""
        self.sent = False
        for entry in self.entries.values():
            entry.missed = False
        self.dirty = bool(self.names)


class AdsMachine:
    """What both variants share; use `SotwMachine` or `DeltaMachine`."""

    def __init__(self) -> None:
        self._types = {kind: TypeState(kind) for kind in TYPES}
        self._answers: list[Request] = []
        self._open = False
        self._first = False

    def __repr__(self) -> str:
        names = ", ".join(f"{kind.name}={len(state.names)}" for kind, state in self._types.items())
        return f"{type(self).__name__}({names}{'' if self._open else ', closed'})"

    # -- what is wanted

    def subscribe(self, kind: ResourceType, name: str) -> None:
        """Want the resource ``name``; sent by the next `requests`. Wanting it twice is wanting it once."""
        state = self._types[kind]
        if name not in state.names:
            state.names[name] = None
            state.dirty = True
            if name != WILDCARD and name not in state.entries:
                state.entries[name] = Entry(name)

    def unsubscribe(self, kind: ResourceType, name: str) -> None:
        """Want ``name`` no more. What is held of it is forgotten when the server is told, or now if it never was."""
        state = self._types[kind]
        if name in state.names:
            del state.names[name]
            state.dirty = True
            if name not in state.asked and WILDCARD not in state.names:
                state.entries.pop(name, None)

    # -- the stream

    def opened(self) -> None:
        """A new stream is there: everything wanted is to be asked for again."""
        self._open = self._first = True
        self._answers.clear()
        for state in self._types.values():
            state.forget_unwanted()
            state.new_stream()

    def closed(self) -> None:
        """The stream is gone. What was received stays in force."""
        self._open = False

    def requests(self) -> list[Request]:
        """What must go out now, in order. Empty while no stream is open."""
        if not self._open:
            return []
        out, self._answers = self._answers, []
        for state in self._types.values():
            if state.dirty:
                state.dirty = False
                request = self._ask(state)
                state.forget_unwanted()
                if request is not None:
                    state.sent = True
                    out.append(request)
        return out

    def receive(self, response: Response, updates: Sequence[Update]) -> Verdict:
        """Take in a response whose resources were decoded to ``updates``; the ACK or NACK is in the next `requests`."""
        kind = type_of(response.type_url)
        state = self._types[kind] if kind is not None else None
        if kind is None or state is None or not state.sent:
            return Verdict(None)
        state.responses += 1
        state.answered = True
        changed = state.take(updates, response.version)
        changed += [name for name in self._gone(state, response, updates) if state.remove(name)]
        reasons = tuple(
            f"{update.name or 'a resource without a name'}: {update.reason}" for update in updates if update.reason
        )
        self._acknowledge(state, response, reasons)
        return Verdict(kind, tuple(changed), reasons)

    def silence(self, kind: ResourceType, name: str, reason: str) -> bool:
        """The time to answer for ``name`` is over: count it as absent if nothing came. True if that changed it."""
        entry = self._types[kind].entries.get(name)
        return entry is not None and entry.drop(Event.SILENCE, reason)

    def again(self, kind: ResourceType, names: Iterable[str]) -> None:
        """Ask once more for ``names``, which the server has sent: a version that was refused is not sent again by
        itself until it changes. Those that the server was not asked for on this stream are left out."""
        asked = tuple(name for name in names if self.asked(kind, name))
        if asked:
            self._answers.extend(self._again(self._types[kind], asked))

    # -- looking

    def entry(self, kind: ResourceType, name: str) -> Entry | None:
        """What is held of ``name``; None where it is not wanted and no wildcard brought it."""
        return self._types[kind].entries.get(name)

    def entries(self, kind: ResourceType) -> Iterable[Entry]:
        """All that is held of a type."""
        return self._types[kind].entries.values()

    def complete(self, kind: ResourceType) -> bool:
        """Whether all resources of a type are known: it is asked for by wildcard and was answered."""
        state = self._types[kind]
        return state.answered and WILDCARD in state.names

    def asked(self, kind: ResourceType, name: str) -> bool:
        """Whether the server was asked for ``name`` on this stream."""
        state = self._types[kind]
        return self._open and state.sent and (name in state.asked or WILDCARD in state.asked)

    def state(self, kind: ResourceType) -> TypeState:
        """The state of a type, to read."""
        return self._types[kind]

    def statistics(self) -> dict[str, tuple[WatchStatistics, ...]]:
        """Every watch in figures, by the short name of its type."""
        return {
            kind.name: tuple(entry.statistics() for entry in state.entries.values())
            for kind, state in self._types.items()
        }

    # -- inside

    def _acknowledge(self, state: TypeState, response: Response, reasons: tuple[str, ...]) -> None:
        state.nonce = response.nonce
        state.error = "; ".join(reasons)[:_MAX_REASON]
        if reasons:
            state.nacks += 1
        else:
            state.version = response.version
        if self._open:
            self._answers.extend(self._answer(state))

    def _node_due(self) -> bool:
        due, self._first = self._first, False
        return due

    # -- the hooks of a variant

    def _ask(self, state: TypeState) -> Request | None:
        raise NotImplementedError

    def _answer(self, state: TypeState) -> Iterable[Request]:
        raise NotImplementedError

    def _again(self, state: TypeState, names: tuple[str, ...]) -> Iterable[Request]:
        raise NotImplementedError

    def _gone(self, state: TypeState, response: Response, updates: Sequence[Update]) -> Iterable[str]:
        raise NotImplementedError

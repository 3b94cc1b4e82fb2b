"""The resources of one response, decoded in slices, before the ADS machine takes them all in at once.

Bytes that an entry holds already, or refused already, are recognised by their fingerprint and not decoded again.
"""

from __future__ import annotations

from collections.abc import Callable, Generator

from meshkit.codec import DecodeError, Memo

from .ads import AdsMachine, Named, Response
from .assignments import decode_assignment
from .clusters import decode_cluster
from .entry import Entry, Key, Resource, Update, Whole, fingerprint
from .resources import ClusterLoadAssignment
from .routes import decode_routes
from .tables import Invalid
from .types import ASSIGNMENTS, CLUSTERS, LISTENERS, ROUTES, ResourceType, type_of

__all__ = ["decode_updates", "peek_name"]

Decoder = Callable[[bytes, Memo | None], Generator[int, None, Resource]]

_BIG = 16_384  # from here on a resource is worth remembering item by item


def _whole(decode: Callable[[bytes], Resource]) -> Decoder:
    def decoder(data: bytes, _: Memo | None) -> Generator[int, None, Resource]:
        return decode(data)
        yield  # never reached: it makes this a generator, of a single slice

    return decoder


def _listener(data: bytes) -> Resource:
    from .listeners import decode_listener  # a client asks for none

    return decode_listener(data)


_DECODERS: dict[ResourceType, Decoder] = {
    CLUSTERS: _whole(decode_cluster),
    ASSIGNMENTS: decode_assignment,
    LISTENERS: _whole(_listener),
    ROUTES: _whole(decode_routes),
}


def decode_updates(response: Response, machine: AdsMachine) -> Generator[int, None, list[Update]]:
    """The updates that a response brings, one per resource. Each yield is a place to pause at.

    Never raises for bad bytes: they become the ``reason`` of an update. A response of a type that is never asked for
    gives nothing.
    """
    kind = type_of(response.type_url)
    updates: list[Update] = []
    if kind is None:
        return updates
    for resource in response.resources:
        if resource.value or resource.type_url:  # a wrapper without a resource only prolongs a TTL
            update = yield from _update(kind, resource, machine)
            update.version = resource.version
            updates.append(update)
            yield 1
    return updates


def _update(kind: ResourceType, named: Named, machine: AdsMachine) -> Generator[int, None, Update]:
    data, name = named.value, named.name or peek_name(named.value)
    size, entry = len(data), machine.entry(kind, name)
    if named.type_url != kind.url:  # refused for its type alone: the same bytes may come again with the right one
        reason = f"a {named.type_url} in a response of {kind.url}"
        return Update(name, fingerprint(named.type_url.encode()), size, reason=reason)
    memo = _memo(entry, size)
    key = yield from _key(data, entry, memo)
    if entry is not None and (known := entry.recall(key, size)) is not None:
        return known
    try:
        resource = yield from _DECODERS[kind](data, memo)
    except (Invalid, DecodeError) as error:
        return Update(name, key, size, reason=str(error))
    own = _name(resource)
    if named.name and named.name != own:  # noise may be a valid message: almost every field of ours is optional
        return Update(named.name, key, size, reason=f"it calls itself {own!r}")
    return Update(own, key, size, resource=resource, memo=memo)


def _memo(entry: Entry | None, size: int) -> Memo | None:
    if entry is not None and isinstance(entry.memo, Memo):
        return entry.memo
    return Memo() if size > _BIG else None


def _key(data: bytes, entry: Entry | None, memo: Memo | None) -> Generator[int, None, Key]:
    """The fingerprint of ``data``: the entry's own where these are the bytes that it holds or refused."""
    key = fingerprint(data)
    if isinstance(key, Whole) and entry is not None:
        for known in (entry.key, entry.refused_key):
            if isinstance(known, Whole) and (yield from _same(known.data, data, memo)):
                return known
    return key


def _same(known: bytes, data: bytes, memo: Memo | None) -> Generator[int, None, bool]:
    """Whether these are the same; a memo that has to compare them anyhow, to decode, does it now."""
    if memo is not None and memo.data is known:
        return (yield from memo.compare(data))
    return known == data


def _name(resource: Resource) -> str:
    return resource.cluster_name if isinstance(resource, ClusterLoadAssignment) else resource.name


def peek_name(data: bytes) -> str:
    """The name of a resource without decoding it: field 1 of all our types, if it comes first; else "".

    Enough to find the entry that identical bytes belong to, and to name a resource that cannot be decoded.
    """
    if len(data) < 2 or data[0] != 0x0A:  # field 1, length-delimited
        return ""
    size, start = data[1], 2
    if size & 0x80 and len(data) > 2:
        size, start = size & 0x7F | data[2] << 7, 3
    return data[start : start + size].decode("utf-8", "replace")

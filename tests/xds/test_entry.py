"""The table of a watched resource's states, cell by cell, and what an entry remembers."""

from __future__ import annotations

import pytest

from meshkit.xds.entry import Entry, EntryState, Event, Update, Whole, fingerprint
from meshkit.xds.resources import RouteConfiguration

CONFIG = RouteConfiguration("r", (), {"x": 1})
GOOD = Update("r", b"good", 10, resource=CONFIG)
BAD = Update("r", b"bad", 5, reason="no good")
REQUESTED, RECEIVED, ABSENT, REFUSED = EntryState


def entry_in(state: EntryState) -> Entry:
    entry = Entry("r")
    if state is RECEIVED:
        entry.accept(GOOD, "1")
    elif state is ABSENT:
        entry.drop(Event.REMOVED, "gone")
    elif state is REFUSED:
        entry.accept(BAD, "1")
    assert entry.state is state
    return entry


@pytest.mark.parametrize(
    ("before", "valid", "invalid", "removed", "silence"),
    [
        (REQUESTED, RECEIVED, REFUSED, ABSENT, ABSENT),
        (RECEIVED, RECEIVED, RECEIVED, ABSENT, RECEIVED),
        (ABSENT, RECEIVED, ABSENT, ABSENT, ABSENT),
        (REFUSED, RECEIVED, REFUSED, ABSENT, REFUSED),
    ],
)
def test_every_event_in_every_state(
    before: EntryState, valid: EntryState, invalid: EntryState, removed: EntryState, silence: EntryState
) -> None:
    entry = entry_in(before)
    entry.accept(GOOD, "2")
    assert (entry.state, entry.resource, entry.error) == (valid, CONFIG, "")
    entry = entry_in(before)
    held = entry.resource
    entry.accept(BAD, "2")
    assert (entry.state, entry.resource, entry.error) == (invalid, held, "no good")
    entry = entry_in(before)
    entry.drop(Event.REMOVED, "removed")
    assert (entry.state, entry.resource) == (removed, None)
    entry = entry_in(before)
    assert entry.drop(Event.SILENCE, "silent") == (silence is not before)
    assert entry.state is silence


def test_only_what_is_new_counts_as_a_change() -> None:
    entry = Entry("r")
    assert entry.accept(GOOD, "1")
    assert not entry.accept(GOOD, "2")
    assert entry.accept(BAD, "3")
    assert not entry.accept(BAD, "4")
    assert entry.version == "2"
    assert entry.accept(GOOD, "5")  # the error is gone
    figures = entry.statistics()
    assert (figures.updates, figures.bytes, figures.version, figures.unobeyed) == (1, 40, "5", {"x": 1})
    assert "r" in repr(entry)
    assert "no good" in repr(BAD)


def test_a_bad_resource_without_a_name_may_be_what_is_waited_for() -> None:
    entry, held = Entry("r"), entry_in(RECEIVED)
    for one in (entry, held):
        one.suspect(BAD)
    assert (entry.state, entry.refused, entry.error) == (REQUESTED, True, "no good")
    assert not held.refused
    assert entry.drop(Event.SILENCE, "silent")
    assert (entry.state, entry.refused, entry.error) == (ABSENT, True, "no good")
    entry.accept(GOOD, "1")
    assert (entry.state, entry.refused, entry.error) == (RECEIVED, False, "")


def test_bytes_seen_before_are_recalled() -> None:
    entry = Entry("r")
    assert entry.recall(b"good", 10) is None
    entry.accept(GOOD, "1")
    entry.accept(BAD, "2")
    good, bad = entry.recall(b"good", 10), entry.recall(b"bad", 5)
    assert good is not None
    assert good.resource is CONFIG
    assert bad is not None
    assert bad.reason == "no good"
    assert entry.recall(b"other", 1) is None
    entry.drop(Event.REMOVED, "gone")
    assert entry.recall(b"good", 10) is None


def test_fingerprints() -> None:
    assert fingerprint(b"a") != fingerprint(b"b")
    assert len(fingerprint(b"a" * 1000)) == 16
    big = b"a" * 100_000
    whole = fingerprint(big)
    assert isinstance(whole, Whole) and whole.data is big

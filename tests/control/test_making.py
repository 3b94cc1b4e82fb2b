"""Messages made without pydantic are the messages that the constructors make."""

from __future__ import annotations

import pytest

from meshkit.control.actions import core, envoy  # envoy_data_plane by way of us: imported plainly it warns
from meshkit.control.encoding import encode
from meshkit.control.making import make

HeaderValue, HeaderMatcher, Route, RouteMatch = core.HeaderValue, envoy.HeaderMatcher, envoy.Route, envoy.RouteMatch


def test_a_message_has_the_values_given_and_the_defaults_of_its_fields():
    match = make(RouteMatch, prefix="/", headers=[make(HeaderMatcher, name="x", present_match=True)])
    expected = RouteMatch(prefix="/", headers=[HeaderMatcher(name="x", present_match=True)])
    assert match == expected
    assert encode(make(Route, name="a", match=match)) == encode(Route(name="a", match=expected))
    assert vars(make(HeaderValue)) == vars(HeaderValue())


def test_lists_and_mappings_are_not_shared():
    make(Route).request_headers_to_remove.append("x")
    assert make(Route).request_headers_to_remove == []


def test_a_field_that_is_none_is_an_error():
    with pytest.raises(TypeError, match="HeaderValue has no field keyy"):
        make(HeaderValue, keyy="x")  # type: ignore[call-arg]

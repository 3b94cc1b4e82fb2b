"""Names given out once."""

from meshkit_codegen.names import Names


def test_first_free_wish():
    names = Names({"Thing"})
    assert names.claim("Thing", "_a_Thing") == "_a_Thing"
    assert names.claim("Thing", "_a_Thing") == "_a_Thing_"
    assert names.claim("Thing", "_a_Thing") == "_a_Thing__"
    assert names.claim("Other") == "Other"

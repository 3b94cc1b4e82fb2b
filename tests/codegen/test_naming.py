"""Our names are betterproto2's names."""

import keyword

import pytest
from betterproto2_compiler.compile.naming import pythonize_class_name, pythonize_field_name, pythonize_method_name
from hypothesis import given
from hypothesis import strategies as st
from meshkit_codegen.naming import class_name, field_name, is_importable, method_name, module_stem, snake_case

WORDS = st.sampled_from(
    ["HTTP", "Http", "get", "Status", "v2", "2", "A", "x", "URLs", "iOS", "_", "__", "list", "None"]
)
NAMES = st.lists(WORDS, min_size=1, max_size=6).map("".join).filter(lambda name: not name[0].isdigit())
IDENTIFIERS = st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,15}", fullmatch=True)


@given(st.one_of(NAMES, IDENTIFIERS, st.lists(IDENTIFIERS, min_size=1, max_size=3).map(".".join)))
def test_classes_as_betterproto2(name: str):
    assert class_name(name) == pythonize_class_name(name)


@given(st.one_of(NAMES, IDENTIFIERS))
def test_fields_as_betterproto2(name: str):
    assert field_name(name) == pythonize_field_name(name)


@given(st.one_of(NAMES, IDENTIFIERS).filter(lambda name: not name.startswith(("__", "_mesh_"))))
def test_methods_as_betterproto2(name: str):
    assert method_name(name) == pythonize_method_name(name)


@given(st.one_of(NAMES, IDENTIFIERS))
def test_methods_are_usable_attributes(name: str):
    attribute = method_name(name)
    assert attribute.isidentifier()
    assert not keyword.iskeyword(attribute)
    assert not attribute.startswith(("__", "_mesh_unary(")) or attribute == "_"


@pytest.mark.parametrize(
    ("rpc", "attribute"),
    [
        ("GetHTTPStatus", "get_http_status"),
        ("Import", "import_"),
        ("List", "list"),
        ("Already_Snake", "Already_Snake"),
        ("__init__", "_init"),
        ("_mesh_unary", "_mesh_unary_"),
        ("_rpc", "_rpc"),
    ],
)
def test_methods(rpc: str, attribute: str):
    assert method_name(rpc) == attribute


def test_snake_case_keeps_names_with_underscores_and_without_capitals():
    assert [snake_case(name) for name in ("a_B", "abc2", "Http2Get")] == ["a_B", "abc2", "http_2_get"]


@pytest.mark.parametrize(
    ("proto", "stem"),
    [("a/greeter.proto", "greeter"), ("b-c.d.proto", "b_c_d"), ("2fa.proto", "_2fa"), ("x/class.proto", "class")],
)
def test_module_stem(proto: str, stem: str):
    assert module_stem(proto) == stem


def test_importable():
    assert is_importable("a1")
    assert not any(map(is_importable, ("class", "1a", "a-b", "")))

"""Source text of modules: any bytes, any comments, every combination of what a file may hold."""

import ast
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from meshkit_codegen.model import Embedded, Module, Rpc, Service
from meshkit_codegen.render import render

TEXT = st.text(max_size=40).map(str.strip)
OWN = {name: f"_{name}" for name in ("abc", "errors", "rpc", "deprecated", "file", "deps")}
RPCS = st.builds(
    Rpc,
    path=st.just("/a.S/Do"),
    attribute=st.just("do"),
    constant=st.just("_S_do"),
    request=st.just("M"),
    reply=st.just("M"),
    client_streaming=st.booleans(),
    server_streaming=st.booleans(),
    idempotency=st.sampled_from(["", "IDEMPOTENT"]),
    deprecated=st.booleans(),
    doc=TEXT,
    place=st.just("a.proto:1"),
)
SERVICES = st.builds(
    Service,
    name=st.just("a.S"),
    stem=st.just("S"),
    doc=TEXT,
    deprecated=st.booleans(),
    rpcs=st.lists(RPCS, max_size=2).map(tuple),
    place=st.just("a.proto:1"),
)
EMBEDDED = st.builds(Embedded, name=st.just("b.proto"), data=st.binary(max_size=300))
MODULES = st.builds(
    Module,
    path=st.just("a/a_mesh.py"),
    version=st.just("1.2.3"),
    own=st.just(OWN),
    imports=st.just(("from . import M",)),
    services=st.lists(SERVICES, min_size=1, max_size=2).map(tuple),
    file=EMBEDDED,
    dependencies=st.lists(EMBEDDED, max_size=2).map(tuple),
)


@given(MODULES)
def test_any_module_is_python_that_says_what_the_model_says(module: Module):
    source = render(module)
    tree = ast.parse(source)
    classes = [node for node in tree.body if isinstance(node, ast.ClassDef)]
    assert [each.name for each in classes] == [name for each in module.services for name in (each.base, each.client)]
    data = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant) and isinstance(node.value, bytes)]
    assert data == [module.file.data, *(each.data for each in module.dependencies)]
    assert ast.get_docstring(classes[0])


@given(MODULES)
def test_no_line_hides_or_trails(module: Module):
    source = render(module)
    assert source.endswith("\n")
    assert not source.endswith("\n\n")
    assert all(char == "\n" or char.isprintable() for char in source)


def test_templates_are_found_from_anywhere(tmp_path: Path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert render(Module("a_mesh.py", "1", OWN, (), (), Embedded("a.proto", b""), ()))

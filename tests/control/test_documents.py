"""YAML text -> nodes: 1.2 scalars, documents apart from each other, lines, duplicate and merge keys."""

from __future__ import annotations

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from meshkit.control.documents import describe, line_of, mapping_entries, read_documents, scalar


def _scalar(text: str):
    return scalar(yaml.compose(text, Loader=yaml.CSafeLoader))


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("true", True),
        ("False", False),
        ("yes", "yes"),
        ("on", "on"),
        ("No", "No"),
        ("1", 1),
        ("-7", -7),
        ("0x1F", 31),
        ("0o17", 15),
        ("010", 10),
        ("1.5", 1.5),
        ("1e3", 1000.0),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("2001-01-01", "2001-01-01"),
        ("~", None),
        ("null", None),
        ("'true'", "true"),
        ('"1"', "1"),
        ("v1", "v1"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text, value):
    assert _scalar(text) == value
    assert type(_scalar(text)) is type(value)


def test_a_document_that_does_not_parse_leaves_its_neighbours_alone():
    text = "a: 1\n---\nb: [1\n---\nc: 3\n"
    documents, problems = read_documents(text, "x.yaml")
    assert [entry.name for document in documents for entry in mapping_entries(document.root)[0]] == ["a", "c"]
    assert len(problems) == 1
    assert str(problems[0]).startswith("x.yaml:4: not valid YAML: ") or str(problems[0]).startswith("x.yaml:3: ")


def test_lines_count_from_the_start_of_the_file():
    documents, _ = read_documents("# comment\n---\na: 1\n---\n\nb: 2\n", "x.yaml")
    lines = [line_of(mapping_entries(one.root)[0][0].key, one.base) for one in documents]
    assert lines == [3, 6]


def test_a_marker_cuts_even_inside_a_block_scalar():
    documents, problems = read_documents("a: |\n  text\n---\nb: 1\n", "x.yaml")
    assert (len(documents), problems) == (2, [])


def test_directives_and_empty_documents_are_no_documents():
    documents, problems = read_documents("%YAML 1.2\n---\na: 1\n---\n# nothing\n---\n...\n", "x.yaml")
    assert (len(documents), problems) == (1, [])


def test_repeated_keys_are_told_and_merge_keys_resolved():
    text = "base: &b {x: 1, y: 2}\nuse:\n  <<: *b\n  x: 3\ntwice: {k: 1, k: 2}\n"
    (document,), _ = read_documents(text, "x.yaml")
    entries = {entry.name: entry.value for entry in mapping_entries(document.root)[0]}
    merged, repeated = mapping_entries(entries["use"])
    assert {entry.name: entry.value.value for entry in merged} == {"x": "3", "y": "2"}
    assert repeated == []
    assert [entry.name for entry in mapping_entries(entries["twice"])[1]] == ["k"]


def test_a_merge_key_that_names_itself_ends():
    (document,), _ = read_documents("a: &a\n  <<: *a\n  b: 1\n", "x.yaml")
    inner = mapping_entries(document.root)[0][0].value
    assert [entry.name for entry in mapping_entries(inner)[0]] == ["b"]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[1]", "a list"),
        ("{a: 1}", "a mapping"),
        ("1.0", "the number 1.0"),
        ("true", "the boolean true"),
        ("''", "the text ''"),
    ],
)
def test_nodes_are_described_in_words(text, words):
    assert describe(yaml.compose(text, Loader=yaml.CSafeLoader)) == words


@pytest.mark.parametrize("deep", ["[" * 200_000 + "]" * 200_000, "- " * 200_000, "a: {" * 9000])
def test_depth_without_end_is_a_problem_and_nothing_else(deep):
    documents, problems = read_documents(f"a: 1\n---\n{deep}\n---\nb: 1\n", "x.yaml")
    assert (len(documents), [str(one) for one in problems]) == (2, ["x.yaml:2: nested more than 200 levels deep"])


@given(st.text(alphabet=" \n-:[]{}#&*!|>'\"%@`,?abc123\t~<", max_size=80))
def test_no_text_makes_the_reader_fail(text):
    documents, problems = read_documents(text, "x.yaml")
    assert all(problem.file == "x.yaml" for problem in problems)
    assert len(documents) + len(problems) <= text.count("\n") + 2 + text.count("...")

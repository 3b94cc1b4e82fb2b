"""The folder: last good versions, files that come and go, and what is told about it."""

from __future__ import annotations

import pytest

from meshkit.control.library import Library, read_folder
from meshkit.control.problems import Problem, Severity


def virtual_service(name: str = "vs", host: str = "a.b", extra: str = "") -> bytes:
    return (
        f"apiVersion: networking.istio.io/v1\nkind: VirtualService\nmetadata: {{name: {name}}}\n"
        f"spec:\n  hosts: [{host}]\n  http: [{{route: [{{destination: {{host: c}}}}]}}]\n{extra}"
    ).encode()


BROKEN = virtual_service(extra="  htpp: []\n")


def hosts(library: Library) -> list[str]:
    return sorted(resource.hosts[0] for resource in library.resources.values())


def test_an_edit_is_taken_in_and_the_same_bytes_are_not_read_again():
    library = Library()
    assert library.update({"x.yaml": virtual_service()})
    before = dict(library.resources)
    assert not library.update({"x.yaml": virtual_service()})
    assert all(library.resources[key] is value for key, value in before.items())
    assert library.update({"x.yaml": virtual_service(host="c.d")})
    assert hosts(library) == ["c.d"]


@pytest.mark.parametrize("bad", [BROKEN, b"a: [", b"\xff\xfe", virtual_service().replace(b"name: vs", b"nam: vs")])
def test_the_last_good_version_stays_while_a_document_is_bad(bad):
    library = Library()
    library.update({"x.yaml": virtual_service(), "y.yaml": virtual_service("other", "e.f")})
    assert library.update({"x.yaml": bad, "y.yaml": virtual_service("other", "g.h")})
    assert hosts(library) == ["a.b", "g.h"]
    assert [problem.file for problem in library.problems if problem.severity is Severity.ERROR][:1] == ["x.yaml"]
    library.update({"x.yaml": virtual_service(host="i.j"), "y.yaml": virtual_service("other", "g.h")})
    assert (hosts(library), library.problems) == (["g.h", "i.j"], ())


def test_a_bad_document_leaves_the_rest_of_its_file_alone():
    library = Library()
    library.update({"x.yaml": BROKEN + b"---\n" + virtual_service("two", "c.d")})
    assert hosts(library) == ["c.d"]
    library.update({"x.yaml": b"a: [\n---\n" + virtual_service("two", "e.f")})
    assert hosts(library) == ["e.f"]


def test_the_last_good_version_follows_a_resource_to_another_file():
    library = Library()
    library.update({"x.yaml": virtual_service()})
    library.update({"y.yaml": BROKEN})
    assert hosts(library) == ["a.b"]


def test_what_is_gone_is_gone():
    library = Library()
    library.update({"x.yaml": virtual_service() + b"---\n" + virtual_service("two", "c.d")})
    library.update({"x.yaml": virtual_service("two", "c.d")})
    assert hosts(library) == ["c.d"]
    library.update({})
    assert hosts(library) == []


def test_of_two_with_one_name_the_first_counts_and_the_other_is_told():
    library = Library()
    library.update({"a.yaml": virtual_service(host="a.b"), "b.yaml": virtual_service(host="c.d")})
    assert hosts(library) == ["a.b"]
    assert str(library.problems[0]) == "b.yaml:1: VirtualService default/vs: is also in a.yaml:1, which counts"


def test_other_kinds_are_told_once_per_file():
    library = Library()
    other = (
        b"apiVersion: v1\nkind: Service\nmetadata: {name: x}\n---\napiVersion: v1\nkind: Service\nmetadata: {name: y}\n"
    )
    library.update({"a.yaml": other})
    assert [str(problem) for problem in library.problems] == ["a.yaml: not served by this control plane: Service (v1)"]
    assert library.problems[0].severity is Severity.UNSUPPORTED


def test_a_folder_is_read_with_its_folders_and_without_hidden_files(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / ".hidden").mkdir()
    for name in ("a.yaml", "b.yml", "c.txt", ".d.yaml", "sub/e.yaml", ".hidden/f.yaml"):
        (tmp_path / name).write_text("x")
    (tmp_path / "g.yaml").symlink_to(tmp_path / "c.txt")
    (tmp_path / "gone.yaml").symlink_to(tmp_path / "nowhere")
    (tmp_path / "sub" / "up").symlink_to(tmp_path)
    assert sorted(read_folder(tmp_path)) == ["a.yaml", "b.yml", "g.yaml", "sub/e.yaml"]


def test_a_file_that_cannot_be_read_is_told(tmp_path):
    (tmp_path / "a.yaml").symlink_to("/proc/self/mem")
    assert read_folder(tmp_path)["a.yaml"] == Problem("a.yaml", 0, "", "cannot be read: Input/output error")


def test_an_unreadable_file_keeps_what_it_gave():
    library = Library()
    library.update({"a.yaml": virtual_service()})
    library.update({"a.yaml": Problem("a.yaml", 0, "", "cannot be read: Permission denied")})
    assert hosts(library) == ["a.b"]
    assert [str(problem) for problem in library.problems] == ["a.yaml: cannot be read: Permission denied"]

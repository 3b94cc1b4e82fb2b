from meshkit.route.paths import PathIndex
from meshkit.xds.resources import PathMatch, StringMatch


def index(*matches: PathMatch) -> PathIndex:
    paths = PathIndex()
    for number, match in enumerate(matches):
        paths.add(number, match)
    return paths


EXACT, PREFIX, REGEX = StringMatch.EXACT, StringMatch.PREFIX, StringMatch.REGEX


def test_all_kinds_in_the_order_of_routes() -> None:
    paths = index(
        PathMatch(REGEX, "/a/.*"),
        PathMatch(EXACT, "/a/b"),
        PathMatch(PREFIX, ""),
        PathMatch(EXACT, "/A/B", case_sensitive=False),
        PathMatch(EXACT, "/a/b"),
    )
    assert paths.find("/a/b") == [0, 1, 2, 3, 4]
    assert paths.find("/A/b") == [2, 3]
    assert paths.find("/a/") == [0, 2]
    assert paths.find("") == [2]


def test_separated_prefix_ends_at_a_slash() -> None:
    paths = index(PathMatch(PREFIX, "/pkg.Svc", separated=True))
    assert paths.find("/pkg.Svc") == [0]
    assert paths.find("/pkg.Svc/M") == [0]
    assert paths.find("/pkg.Svc2/M") == []
    assert paths.find("/PKG.Svc/M") == []


def test_separated_prefix_without_case() -> None:
    paths = index(PathMatch(PREFIX, "/pkg.Svc", separated=True, case_sensitive=False))
    assert paths.find("/PKG.svc/M") == [0]
    assert paths.find("/PKG.svcs") == []


def test_prefix_without_case() -> None:
    assert index(PathMatch(PREFIX, "/Pkg", case_sensitive=False)).find("/pKG.Svc/M") == [0]


def test_pattern_must_fit_the_whole_path() -> None:
    assert index(PathMatch(REGEX, "/a")).find("/a/b") == []


def test_many_exact_paths_are_not_searched() -> None:
    paths = index(*(PathMatch(EXACT, f"/{number}") for number in range(1000)))
    assert paths.find("/500") == [500]
    assert paths.find("/x") == []

from meshkit.balance.picker import weights_of
from tests.support.backends import backends


def test_weights_matter_only_where_they_differ() -> None:
    assert weights_of(backends([4, 4, 4])) is None
    assert weights_of(backends([4])) is None
    assert weights_of(backends([4, 5])) == [4, 5]

"""The generator writes what the golden files say. Their types are checked by ``python -m tests.golden check``."""

import pytest
from meshkit_codegen import Messages

from tests.golden.__main__ import KINDS, differences


@pytest.mark.parametrize("messages", KINDS)
def test_golden(messages: Messages):
    assert not differences(messages)

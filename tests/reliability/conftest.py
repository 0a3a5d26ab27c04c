"""The helpers assert as well: their assertions tell what differs."""

import pytest

pytest.register_assert_rewrite("changing", "killing")

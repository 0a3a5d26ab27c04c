"""Let pytest explain failed assertions in the helpers as well."""

import pytest

pytest.register_assert_rewrite("changing_dataset", "killing")

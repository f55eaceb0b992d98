import pytest

from edge.spool.budget import OVERHEAD, Budget
from gateway.errors import StorageFull


def test_the_reserve_is_kept_to_the_byte():
    budget = Budget(1000)
    budget.check(1000 + OVERHEAD + 500, 500)
    with pytest.raises(StorageFull):
        budget.check(1000 + OVERHEAD + 499, 500)


def test_days_left():
    assert Budget(1000).days_left(3000, 500) == 4
    assert Budget(1000).days_left(500, 500) == 0
    assert Budget(1000).days_left(3000, 0) is None

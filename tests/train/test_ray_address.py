"""Addresses of clusters, asked before Ray is, which would wait for minutes."""

import pytest

from train.competition.ray_pool import RayError, _knock


@pytest.mark.parametrize(
    "address", ["127.0.0.1:1", "127.0.0.1:99999999999999999999", "127.0.0.1", "nowhere", "", "ray://127.0.0.1:1"]
)
def test_one_where_nobody_answers_is_named_with_what_to_do(address):
    with pytest.raises(RayError, match=f"no Ray cluster answers at '{address}' .*ray start --head"):
        _knock(address)

import lightgbm
import numpy as np
import pytest
from implicit.cpu.als import AlternatingLeastSquares
from scipy import sparse

from benchmarks.cost import Cost, bare_fits, implicit_seconds_per_list
from tests.training.recommender.tiny import purchases

VALUES = np.arange(40.0).reshape(20, 2)


def test_bare_fits_are_counted_by_library_within_the_block_and_not_after() -> None:
    train, fit = lightgbm.train, AlternatingLeastSquares.fit
    with bare_fits() as seconds:
        lightgbm.train({"verbose": -1, "num_threads": 1}, lightgbm.Dataset(VALUES, VALUES[:, 0]), 3)
        counted = seconds["LightGBM"]
        AlternatingLeastSquares(factors=2, num_threads=1).fit(sparse.csr_matrix(VALUES), show_progress=False)
    assert counted > 0
    assert seconds["implicit"] > 0
    assert seconds["LightGBM"] == counted
    assert (lightgbm.train, AlternatingLeastSquares.fit) == (train, fit)


def test_a_fit_that_fails_is_counted_too_and_the_libraries_are_as_they_were() -> None:
    train = lightgbm.train
    with pytest.raises(TypeError), bare_fits():
        lightgbm.train()
    assert lightgbm.train is train


def test_the_cost_is_told_beside_its_parts() -> None:
    words = Cost(30.0, {"LightGBM": 15.0, "implicit": 5.0}, 0.004, 0.0005).words
    assert "30.0 s, 1.50 times the bare fits in it (LightGBM 15.0 s, implicit 5.0 s)" in words
    assert "250 customers a second and core; implicit's recommend, its factors alone: 2,000" in words


def test_implicit_is_asked_for_the_lists_of_the_customers_given() -> None:
    shop = purchases({f"c{n}": [(1.0, "ab"), (2.0, "bcd")] for n in range(30)}, products="abcd")
    assert implicit_seconds_per_list(shop, np.arange(30, dtype=np.int32), 2, factors=2) > 0

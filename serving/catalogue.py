"""Products as the server looks them up: by id, by what filters ask for, in the order they fill a list."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

#: The columns a request may filter by equality.
FILTERED = ("department", "category", "brand")
NO_VALUE = -1


@dataclass(frozen=True)
class Attribute:
    """One text column as codes, so that a filter compares integers; NO_VALUE where a product has none."""

    values: Sequence[str]
    codes: Mapping[str, int]
    of_product: NDArray[np.int32]


@dataclass(frozen=True)
class Catalogue:
    """One entry per product; a product's code is its position."""

    ids: Sequence[str]
    codes: Mapping[str, int]
    names: Sequence[str | None]
    prices: Sequence[float | None]
    in_stock: NDArray[np.bool_]
    attributes: Mapping[str, Attribute]  # of FILTERED
    by_popularity: NDArray[np.int32]  # every product: the popular ones, best first, then the rest
    popular_count: int  # how many of `by_popularity` were measured as popular
    sellable: bytes  # `in_stock`, one byte a product: looking one up costs less than in an array
    categories: Sequence[str | None]
    popular: Sequence[int]  # the first `popular_count` of `by_popularity`

    def label(self, code: int) -> str:
        """What to call a product: its name, else its id."""
        return self.names[code] or self.ids[code]

    def value(self, attribute: str, code: int) -> str | None:
        """The department, category or brand of a product."""
        column = self.attributes[attribute]
        position = int(column.of_product[code])
        return None if position == NO_VALUE else column.values[position]

    def details(self, code: int, fields: Sequence[str]) -> dict[str, Any]:
        """What is known of a product, of the fields asked for."""
        return {
            name: bool(self.sellable[code]) if name == "in_stock" else self.value(name, code)
            for name in dict.fromkeys(fields)
        }

    def has(self, attribute: str, value: str) -> NDArray[np.bool_]:
        """(products,) whether each product's department, category or brand is `value`."""
        column = self.attributes[attribute]
        position = column.codes.get(value)
        if position is None:
            return np.zeros(len(self.ids), dtype=bool)
        return np.asarray(column.of_product == position)


def make_catalogue(products: pa.Table, popular: NDArray[np.int32]) -> Catalogue:
    """From the product table of the ranked lists. An empty `in_stock` means that it can be sold."""
    ids = products["product_id"].to_pylist()
    first = np.asarray(popular, dtype=np.int32)
    rest = np.setdiff1d(np.arange(len(ids), dtype=np.int32), first)
    in_stock = np.array([flag is not False for flag in products["in_stock"].to_pylist()], dtype=bool)
    return Catalogue(
        ids=ids,
        codes={product: code for code, product in enumerate(ids)},
        names=products["name"].to_pylist(),
        prices=products["price"].to_pylist(),
        in_stock=in_stock,
        attributes={name: _attribute(products[name]) for name in FILTERED},
        by_popularity=np.concatenate([first, rest]),
        popular_count=len(first),
        sellable=in_stock.tobytes(),
        categories=products["category"].to_pylist(),
        popular=first.tolist(),
    )


def _attribute(column: pa.ChunkedArray) -> Attribute:
    encoded = column.cast(pa.string()).combine_chunks().dictionary_encode()
    values = encoded.dictionary.to_pylist()
    positions = encoded.indices.fill_null(NO_VALUE).to_numpy(zero_copy_only=False).astype(np.int32)
    return Attribute(values=values, codes={value: code for code, value in enumerate(values)}, of_product=positions)

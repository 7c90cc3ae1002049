"""Products as the server looks them up: by id, by what filters ask for, in the order they fill a list."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

#: The columns a request may filter by equality.
FILTERED = ("department", "category", "brand")
NO_VALUE = -1
_EVER = float("inf")


@dataclass(frozen=True)
class Attribute:
    """One text column as codes, so that a filter compares integers; NO_VALUE where a product has none."""

    values: Sequence[str]
    codes: Mapping[str, int]
    of_product: NDArray[np.int32]


class Offer(NamedTuple):
    """What may be shown from `since` to `until` (seconds since 1970): `shown`, and `sellable` of it, as mask and bytes.

    Looking one product up costs less in bytes than in an array.
    """

    shown: NDArray[np.bool_]
    sellable: NDArray[np.bool_]
    sellable_bytes: bytes
    since: float
    until: float


class Offers:
    """Which products are on offer at a moment: listed by then, not expired, not hidden.

    `in_stock` is what the product file said, until told otherwise.
    """

    def __init__(
        self,
        in_stock: NDArray[np.bool_],
        hidden: NDArray[np.bool_],
        listed: NDArray[np.float64],
        expires: NDArray[np.float64],
    ) -> None:
        self.in_stock = in_stock
        self._filed, self._hidden, self._listed, self._expires = in_stock, hidden, listed, expires
        self._changing = threading.Lock()
        times = np.unique(np.concatenate((listed[np.isfinite(listed)], expires[np.isfinite(expires)])))
        self._changes = times
        self._last = self._make(-_EVER if len(times) else 0.0)

    def at(self, moment: float) -> Offer:
        """What is on offer at a moment (seconds since 1970); made anew only when a date has passed."""
        offer = self._last
        if not offer.since <= moment < offer.until:
            with self._changing:
                offer = self._last = self._make(moment)
        return offer

    def tell_stock(self, words: Mapping[int, bool | None]) -> None:
        """Whether products (codes) are in stock from now on; None: as the product file said. The rest stays."""
        if not words:
            return
        codes = np.fromiter(words, dtype=np.int64, count=len(words))
        said = np.array([self._filed[code] if word is None else word for code, word in words.items()], dtype=bool)
        with self._changing:
            in_stock = self.in_stock.copy()
            in_stock[codes] = said
            self.in_stock = in_stock
            self._last = self._last._replace(since=_EVER)  # of no moment: the next question makes it anew

    def _make(self, moment: float) -> Offer:
        after = int(np.searchsorted(self._changes, moment, side="right"))
        shown = ~self._hidden & (self._listed <= moment) & (moment < self._expires)
        sellable = shown & self.in_stock
        return Offer(
            shown=shown,
            sellable=sellable,
            sellable_bytes=sellable.tobytes(),
            since=float(self._changes[after - 1]) if after else -_EVER,
            until=float(self._changes[after]) if after < len(self._changes) else _EVER,
        )


class Card(NamedTuple):
    """What every answer says of a product, kept together: each look elsewhere is one at memory that no cache holds."""

    product_id: str
    name: str | None
    category: str | None
    price: float | None


@dataclass(frozen=True)
class Catalogue:
    """One entry per product; a product's code is its position."""

    products: pa.Table  # what it was made from
    ids: Sequence[str]
    codes: Mapping[str, int]
    names: Sequence[str | None]
    price_of: NDArray[np.float64]  # NaN where there is none
    offers: Offers
    listed: NDArray[np.float64]  # seconds since 1970; NaN where it is not known
    attributes: Mapping[str, Attribute]  # of FILTERED
    by_popularity: NDArray[np.int32]  # every product: the popular ones, best first, then the rest
    place: NDArray[np.int32]  # of each product in `by_popularity`
    popular_count: int  # how many of `by_popularity` were measured as popular
    categories: Sequence[str | None]
    cards: Sequence[Card]
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
            name: bool(self.offers.in_stock[code]) if name == "in_stock" else self.value(name, code)
            for name in dict.fromkeys(fields)
        }

    def tell_stock(self, words: Mapping[str, bool | None]) -> None:
        """Whether products are in stock from now on, by id; see Offers. Ids that it does not know are passed over."""
        self.offers.tell_stock({self.codes[product]: word for product, word in words.items() if product in self.codes})

    def has(self, attribute: str, value: str) -> NDArray[np.bool_]:
        """(products,) whether each product's department, category or brand is `value`."""
        column = self.attributes[attribute]
        position = column.codes.get(value)
        if position is None:
            return np.zeros(len(self.ids), dtype=bool)
        return np.asarray(column.of_product == position)


def make_catalogue(products: pa.Table, popular: NDArray[np.int32], before: Catalogue | None = None) -> Catalogue:
    """From the product table of the ranked lists. An empty `in_stock` means that it can be sold.

    What is as it was in the catalogue `before` is taken from it: workers share those objects, and make no new ones.
    """

    def kept(name: str) -> Catalogue | None:
        """The catalogue before, where that column is as it was there. Compared in Arrow, which touches no object."""
        same = before is not None and name in before.products.column_names and name in products.column_names
        return before if same and before is not None and before.products[name].equals(products[name]) else None

    of_ids, of_names, of_prices, of_categories = map(kept, ("product_id", "name", "price", "category"))
    unchanged = all(column is not None for column in (of_ids, of_names, of_prices, of_categories))
    ids = products["product_id"].to_pylist() if of_ids is None else of_ids.ids
    n = products.num_rows
    first = np.asarray(popular, dtype=np.int32)
    rest = np.setdiff1d(np.arange(n, dtype=np.int32), first)
    by_popularity = np.concatenate([first, rest])
    place = np.empty(n, dtype=np.int32)
    place[by_popularity] = np.arange(n, dtype=np.int32)
    in_stock = _flags(products, "in_stock", empty=True)
    listed = _seconds(products, "listed_at")
    expires = _seconds(products, "expires_at")
    offers = Offers(
        in_stock,
        _flags(products, "hidden", empty=False),
        np.where(np.isnan(listed), -_EVER, listed),
        np.where(np.isnan(expires), _EVER, expires),
    )
    attributes = {}
    for name in FILTERED:
        found = kept(name)
        attributes[name] = _attribute(products[name]) if found is None else found.attributes[name]
    texts_before = ((), ()) if before is None else (before.names, before.categories)
    names = _texts(products["name"], texts_before[0]) if of_names is None else of_names.names
    categories = _texts(products["category"], texts_before[1]) if of_categories is None else of_categories.categories
    prices = products["price"].to_pylist() if of_prices is None else [card.price for card in of_prices.cards]
    return Catalogue(
        products=products,
        ids=ids,
        codes={product: code for code, product in enumerate(ids)} if of_ids is None else of_ids.codes,
        names=names,
        price_of=_numbers(products["price"]) if of_prices is None else of_prices.price_of,
        offers=offers,
        listed=listed,
        attributes=attributes,
        by_popularity=by_popularity,
        place=place,
        popular_count=len(first),
        categories=categories,
        cards=before.cards if before is not None and unchanged else list(map(Card, ids, names, categories, prices)),
        popular=first.tolist(),
    )


def _flags(products: pa.Table, name: str, *, empty: bool) -> NDArray[np.bool_]:
    """(products,) a column of flags; `empty` where there is none."""
    if name not in products.column_names:
        return np.full(products.num_rows, empty)
    column = products[name].cast(pa.bool_()).combine_chunks().fill_null(empty)
    return np.array(column.to_numpy(zero_copy_only=False), dtype=bool)


def _numbers(column: pa.ChunkedArray) -> NDArray[np.float64]:
    """(products,) the numbers of a column; NaN where there is none."""
    found: NDArray[np.float64] = column.cast(pa.float64()).combine_chunks().fill_null(np.nan).to_numpy()
    return found


def _texts(column: pa.ChunkedArray, before: Sequence[str | None]) -> Sequence[str | None]:
    """The texts of a column; equal ones, and those there were before, are one object."""
    encoded = column.cast(pa.string()).combine_chunks().dictionary_encode()
    known = dict(zip(before, before, strict=True))
    values = [known.get(value, value) for value in encoded.dictionary.to_pylist()]
    return [None if code is None else values[code] for code in encoded.indices.to_pylist()]


def _seconds(products: pa.Table, name: str) -> NDArray[np.float64]:
    """(products,) a time column in seconds since 1970; NaN where it is empty, or in lists of an earlier release."""
    if name not in products.column_names:
        return np.full(products.num_rows, np.nan)
    column = products[name].cast(pa.timestamp("us")).combine_chunks().cast(pa.int64())
    found: NDArray[np.float64] = column.cast(pa.float64(), safe=False).fill_null(np.nan).to_numpy() / 1e6
    return found


def _attribute(column: pa.ChunkedArray) -> Attribute:
    encoded = column.cast(pa.string()).combine_chunks().dictionary_encode()
    values = encoded.dictionary.to_pylist()
    positions = encoded.indices.fill_null(NO_VALUE).to_numpy(zero_copy_only=False).astype(np.int32)
    return Attribute(values=values, codes={value: code for code, value in enumerate(values)}, of_product=positions)

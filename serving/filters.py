"""Which products a request allows."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from serving.catalogue import FILTERED, Catalogue
from serving.schemas import Filters


class Eligible:
    """The products that may be returned: the filters hold, and each is neither excluded nor in `never`.

    Asked one by one it costs nothing per product of the catalogue; `mask` answers for all at once.
    """

    def __init__(self, catalogue: Catalogue, filters: Filters, *, never: Iterable[str] = ()) -> None:
        self.catalogue = catalogue
        self.filters = filters
        codes = catalogue.codes
        self._never = {codes[product] for product in (*filters.exclude, *never) if product in codes}
        self._sellable = catalogue.sellable if filters.in_stock else None
        self._wanted = [(name, value) for name in FILTERED if (value := getattr(filters, name)) is not None]
        #: One byte a product: whether the filters hold. Looking one up costs less than in an array.
        self.passed = self._passing().tobytes() if self._wanted or self._sellable is None else self._sellable

    @property
    def never(self) -> set[int]:
        """Codes of products that may not be returned whatever the filters say; a set of the caller's own."""
        return set(self._never)

    def _passing(self) -> NDArray[np.bool_]:
        every = np.ones(len(self.catalogue.ids), dtype=bool)
        mask = every if self._sellable is None else every & self.catalogue.in_stock
        for attribute, value in self._wanted:
            mask &= self.catalogue.has(attribute, value)
        return mask

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """(products,) whether each may be returned."""
        mask = self._passing()
        mask[list(self._never)] = False
        return mask

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

    def __contains__(self, code: int) -> bool:
        """Whether the product of that code may be returned."""
        if code in self._never or (self._sellable is not None and not self._sellable[code]):
            return False
        return not self._wanted or bool(self.mask[code])

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """(products,) whether each may be returned."""
        mask = (
            np.ones(len(self.catalogue.ids), dtype=bool) if self._sellable is None else self.catalogue.in_stock.copy()
        )
        for attribute, value in self._wanted:
            mask &= self.catalogue.has(attribute, value)
        mask[list(self._never)] = False
        return mask

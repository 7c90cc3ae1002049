"""Which products a request allows."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from serving.catalogue import FILTERED, Catalogue, Offer
from serving.schemas import Filters


def narrows(filters: Filters) -> bool:
    """Whether the filters say what is wanted, and not only what is not."""
    return (
        filters.category is not None
        or filters.department is not None
        or filters.brand is not None
        or filters.min_price is not None
        or filters.max_price is not None
    )


class Eligible:
    """The products that may be returned: on offer, the filters hold, and each is neither excluded nor in `never`.

    Asked one by one it costs nothing per product of the catalogue; `mask` answers for all at once.
    """

    def __init__(
        self,
        catalogue: Catalogue,
        filters: Filters,
        *,
        offer: Offer,
        hidden: NDArray[np.bool_] | None = None,
        never: Iterable[str] = (),
        never_codes: Iterable[int] = (),
    ) -> None:
        self.catalogue = catalogue
        self.filters = filters
        self._hidden = hidden
        self._offer = offer
        codes = catalogue.codes
        self._never = {codes[product] for product in (*filters.exclude, *never) if product in codes}
        self._never.update(never_codes)
        plain = filters.in_stock and hidden is None and not narrows(filters)
        #: One byte a product: whether the filters hold. Looking one up costs less than in an array.
        self.passed = self._offer.sellable_bytes if plain else self._passing.tobytes()

    def widened(self, filters: Filters) -> Eligible:
        """The same with other filters; what may not be returned stays so."""
        return Eligible(self.catalogue, filters, offer=self._offer, hidden=self._hidden, never_codes=self._never)

    @property
    def never(self) -> set[int]:
        """Codes of products that may not be returned whatever the filters say; a set of the caller's own."""
        return set(self._never)

    def __contains__(self, code: int) -> bool:
        return bool(self.passed[code]) and code not in self._never

    @cached_property
    def _passing(self) -> NDArray[np.bool_]:
        filters, catalogue = self.filters, self.catalogue
        mask = (self._offer.sellable if filters.in_stock else self._offer.shown).copy()
        if self._hidden is not None:
            mask &= ~self._hidden
        for attribute in FILTERED:
            value = getattr(filters, attribute)
            if value is not None:
                mask &= catalogue.has(attribute, value)
        # A product without a price passes no price range: NaN compares false.
        if filters.min_price is not None:
            mask &= catalogue.price_of >= filters.min_price
        if filters.max_price is not None:
            mask &= catalogue.price_of <= filters.max_price
        return mask

    @cached_property
    def mask(self) -> NDArray[np.bool_]:
        """(products,) whether each may be returned."""
        mask = self._passing.copy()
        mask[list(self._never)] = False
        return mask

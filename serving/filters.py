"""Which products a request allows."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

import numpy as np
from numpy.typing import NDArray

from serving.candidates import Candidate
from serving.catalogue import FILTERED, Catalogue
from serving.schemas import Filters


def allowed(catalogue: Catalogue, filters: Filters, *, never: Iterable[str] = ()) -> NDArray[np.bool_]:
    """(products,) whether each may be returned: the filters hold, and it is neither excluded nor in `never`."""
    mask = catalogue.in_stock.copy() if filters.in_stock else np.ones(len(catalogue.ids), dtype=bool)
    for attribute in FILTERED:
        wanted = getattr(filters, attribute)
        if wanted is not None:
            mask &= catalogue.has(attribute, wanted)
    for product in (*filters.exclude, *never):
        code = catalogue.codes.get(product)
        if code is not None:
            mask[code] = False
    return mask


def choose(chain: Iterable[Candidate], mask: NDArray[np.bool_], *, k: int) -> list[Candidate]:
    """The first `k` candidates that are allowed, each product once."""
    return list(islice(_distinct(chain, mask), min(k, int(mask.sum()))))


def _distinct(chain: Iterable[Candidate], mask: NDArray[np.bool_]) -> Iterator[Candidate]:
    seen: set[int] = set()
    for candidate in chain:
        if candidate.code not in seen and mask[candidate.code]:
            seen.add(candidate.code)
            yield candidate

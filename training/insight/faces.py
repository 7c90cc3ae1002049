"""The faces of the cube: what was sold in each place of two dimensions. Read without pandas, for the server too."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

CUSTOMER, PRODUCT, BEHAVIOUR = "customer", "product", "behaviour"
#: Of dimensions: all values not told apart, and no value; and how those begin that are attributes of customers.
OTHER, NOT_KNOWN, ATTRIBUTE = "other", "not_known", "attribute_"
#: What is counted; the others follow from them.
COUNTED = ("customers", "orders", "units", "spend", "margin")
#: A measure that divides one by another.
RATIOS = {
    "spend_per_customer": ("spend", "customers"),
    "spend_per_order": ("spend", "orders"),
    "orders_per_customer": ("orders", "customers"),
}
MEASURES = (*COUNTED, *RATIOS)
#: The dimension with one value, against which each other stands alone.
ALL = "all"
SCHEMA = pa.schema(
    [pa.field(name, pa.string()) for name in ("rows", "columns")]
    + [pa.field(name, pa.int16()) for name in ("row", "column")]
    + [pa.field(name, pa.int64()) for name in ("customers", "orders")]
    + [pa.field(name, pa.float64()) for name in ("units", "spend", "margin")]
)


@dataclass(frozen=True)
class Dimension:
    """One dimension: what it describes (CUSTOMER, PRODUCT or BEHAVIOUR), and its values in the order shown.

    `codes` (customers,) numbers the values of each customer; only of a dimension of customers.
    """

    name: str
    kind: str
    values: tuple[str, ...]
    codes: NDArray[np.int16] | None = None


@dataclass(frozen=True)
class Cube:
    """`cells` (SCHEMA): one row per pair of dimensions and place where anything was sold, by the codes of their values.

    Of each pair the earlier dimension is that of the rows; each dimension stands alone against ALL too.
    """

    dimensions: Sequence[Dimension]
    cells: pa.Table

    def face(self, rows: str, columns: str, measure: str) -> NDArray[np.float64]:
        """(values of `rows`, values of `columns`) of one of MEASURES; NaN where nothing was sold, or it is not known.

        Formula: customers and orders with something bought, units, spend and margin net of returns, in orders of the
        last 364 days; each of RATIOS divides one by another.
        Source: Gray et al., Data Cube, Data Mining and Knowledge Discovery 1 (1), 1997.
        """
        if measure in RATIOS:
            part, whole = (self.face(rows, columns, name) for name in RATIOS[measure])
            return np.divide(part, whole, out=np.full_like(part, np.nan), where=whole > 0)
        names = [*(one.name for one in self.dimensions), ALL]
        sizes = [*(len(one.values) for one in self.dimensions), 1]
        first, second = sorted((names.index(rows), names.index(columns)))
        here = pc.and_(pc.equal(self.cells["rows"], names[first]), pc.equal(self.cells["columns"], names[second]))
        part = self.cells.filter(here)
        found = np.full((sizes[first], sizes[second]), np.nan)
        found[part["row"].to_numpy(), part["column"].to_numpy()] = part[measure].to_numpy().astype(float)
        return found if names[first] == rows else found.T

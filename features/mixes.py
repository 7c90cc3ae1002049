"""The mixes of what customers buy: columns of products whose commonest values have a share each."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from features.schema import PRODUCTS, C


@dataclass(frozen=True)
class Mix:
    """A column of products of which the `most` commonest values have a share of what a customer buys each."""

    column: str
    most: int

    @property
    def needs(self) -> str:
        """The column as a snapshot knows it."""
        return f"{PRODUCTS.name}.{self.column}"


MIXES = (Mix(C.DEPARTMENT, 8), Mix(C.BRAND, 5))


def mix_values(tables: Mapping[str, Any], mix: Mix) -> dict[str, str]:
    """The values with the most products -> what they are called in names of columns.

    From the catalogue alone: no order takes part, so none can leak.
    """
    if PRODUCTS.name not in tables:
        return {}
    products = tables[PRODUCTS.name]
    named = products.filter(products[mix.column].notnull())
    counted = named.group_by(mix.column).aggregate(n=named.count())
    chosen = counted.order_by([counted.n.desc(), counted[mix.column]]).limit(mix.most)
    return slugs(chosen[mix.column].to_pyarrow().to_pylist())


def known_column(mix: Mix) -> str:
    """The total of order lines of products whose value of the mix is known."""
    # Two underscores, as no value's name has: a department may be called Known.
    return f"{mix.column}__known"


def slugs(names: Sequence[str]) -> dict[str, str]:
    """Each name as a part of a column's name: lower case, anything but letters and digits as one underscore.

    Names that would come out alike are numbered from the second on.
    """
    given: dict[str, str] = {}
    for name in names:
        words = "".join(letter if letter.isalnum() else " " for letter in name.lower()).split()
        plain = short = "_".join(words) or "unnamed"
        number = 2
        while short in given.values():
            short = f"{plain}_{number}"
            number += 1
        given[name] = short
    return given

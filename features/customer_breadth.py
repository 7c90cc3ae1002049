"""How broadly a customer buys, in which mix, and what campaigns did."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from features.definitions import Feature
from features.measures import BRAND, CATEGORY, CONTACTED, RESPONDED, exact_sum, per, real
from features.schema import PRODUCTS, C
from features.snapshot import Relation, Snapshot


def _lost(bought: Any, at: Snapshot) -> Any:
    return (bought.lines_90d == 0).sum(where=bought.last_at >= at.before(180))


def breadth_features() -> list[Feature]:
    """Products and categories: how many, how new, how lost, how evenly."""
    products, categories = Relation.PRODUCTS, Relation.CATEGORIES
    return [
        Feature("products_life", products, lambda p, _: p.count(), "Different products ever bought.", "products", 0.0),
        Feature(
            "products_90d",
            products,
            lambda p, _: (p.lines_90d > 0).sum(),
            "Different products bought in the last 90 days.",
            "products",
            0.0,
            window_days=90,
        ),
        Feature(
            "new_products_30d",
            products,
            lambda p, at: (p.first_at >= at.before(30)).sum(),
            "Products bought for the first time in the last 30 days.",
            "products",
            0.0,
            window_days=30,
        ),
        Feature(
            "repeated_product_share_life",
            products,
            lambda p, _: real((p.lines > 1).mean()),
            "Of the products ever bought, those bought more than once.",
            "share",
        ),
        Feature(
            "categories_life",
            categories,
            lambda c, _: c.count(),
            "Different categories ever bought.",
            "categories",
            0.0,
            needs=(CATEGORY,),
        ),
        Feature(
            "categories_90d",
            categories,
            lambda c, _: (c.lines_90d > 0).sum(),
            "Different categories bought in the last 90 days.",
            "categories",
            0.0,
            needs=(CATEGORY,),
            window_days=90,
        ),
        Feature(
            "categories_lost_90d",
            categories,
            _lost,
            "Categories bought in the 90 days before the last 90, and not since.",
            "categories",
            0.0,
            needs=(CATEGORY,),
            window_days=180,
        ),
        Feature(
            "brands_180d",
            Relation.BRANDS,
            lambda brands, _: (brands.lines_180d > 0).sum(),
            "Different brands bought in the last 180 days.",
            "brands",
            0.0,
            needs=(BRAND,),
            window_days=180,
        ),
        Feature(
            "category_entropy_life",
            categories,
            _entropy,
            "How evenly purchases spread over categories (Shannon entropy of order lines, natural logarithm).",
            "nats",
            needs=(CATEGORY,),
        ),
    ]


def _entropy(bought: Any, _: Snapshot) -> Any:
    total = real(bought.lines.sum())
    return total.ln() - exact_sum(real(bought.lines) * real(bought.lines).ln()) / total


def campaign_features() -> list[Feature]:
    """Contacts by campaigns, and responses."""
    return [
        Feature(
            "contacts_90d",
            Relation.CONTACTS,
            lambda contacts, at: (contacts[C.CONTACTED_AT] >= at.before(90)).sum(),
            "Contacts by campaigns in the last 90 days.",
            "contacts",
            0.0,
            needs=(CONTACTED,),
            window_days=90,
        ),
        Feature(
            "days_since_last_contact",
            Relation.CONTACTS,
            lambda contacts, at: at.days_since(contacts[C.CONTACTED_AT].max()),
            "Time since a campaign last contacted the customer.",
            "days",
            needs=(CONTACTED,),
        ),
        Feature(
            "responses_365d",
            Relation.RESPONSES,
            lambda responses, at: (responses[C.RESPONDED_AT] >= at.before(365)).sum(),
            "Responses to campaigns in the last 365 days.",
            "responses",
            0.0,
            needs=(RESPONDED,),
            window_days=365,
        ),
    ]


@dataclass(frozen=True)
class Mix:
    """A column of products of which the `most` commonest values have a share of what a customer buys each."""

    column: str
    relation: Relation
    most: int

    @property
    def needs(self) -> str:
        """The column as a snapshot knows it."""
        return f"{PRODUCTS.name}.{self.column}"


MIXES = (Mix(C.DEPARTMENT, Relation.DEPARTMENTS, 8), Mix(C.BRAND, Relation.BRANDS, 5))


def mix_features(mix: Mix, values: Sequence[str]) -> list[Feature]:
    """Of the order lines of the last 180 days, the share of each of these values; departments, or own brands."""
    return [
        Feature(
            f"{mix.column}_share_{short}",
            mix.relation,
            _share_of(mix.column, value),
            f"Of the order lines of the last 180 days, those of {mix.column} {value}.",
            "share",
            needs=(mix.needs,),
            window_days=180,
        )
        for value, short in slugs(values).items()
    ]


def _share_of(column: str, value: str) -> Callable[[Any, Snapshot], Any]:
    return lambda bought, _: per(
        bought.lines_180d.sum(where=bought[column] == value).fill_null(0), bought.lines_180d.sum()
    )


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

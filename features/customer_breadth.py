"""How broadly a customer buys, in which mix, and what campaigns did."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ibis

from features.definitions import Feature
from features.ledger import LOGS
from features.measures import BRAND, CATEGORY, CONTACTED, RESPONDED, per, real, share_since, since
from features.mixes import Mix, known_column
from features.schema import C
from features.snapshot import Relation, Snapshot

CUSTOMERS = Relation.CUSTOMERS


def breadth_features() -> list[Feature]:
    """Products and categories: how many, how new, how lost, how evenly."""
    return [
        Feature(
            "products_life",
            CUSTOMERS,
            lambda totals, _: totals.products,
            "Different products ever bought.",
            "products",
            0.0,
        ),
        Feature(
            "products_90d",
            CUSTOMERS,
            lambda totals, _: totals.products_90d,
            "Different products bought in the last 90 days.",
            "products",
            0.0,
            window_days=90,
        ),
        Feature(
            "new_products_30d",
            CUSTOMERS,
            since(30, "products"),
            "Products bought for the first time in the last 30 days.",
            "products",
            0.0,
            window_days=30,
        ),
        Feature(
            "repeated_product_share_life",
            CUSTOMERS,
            lambda totals, _: per(totals.repeated_products, totals.products),
            "Of the products ever bought, those bought more than once.",
            "share",
        ),
        Feature(
            "categories_life",
            CUSTOMERS,
            lambda totals, _: totals.categories,
            "Different categories ever bought.",
            "categories",
            0.0,
            needs=(CATEGORY,),
        ),
        Feature(
            "categories_90d",
            CUSTOMERS,
            lambda totals, _: totals.categories_90d,
            "Different categories bought in the last 90 days.",
            "categories",
            0.0,
            needs=(CATEGORY,),
            window_days=90,
        ),
        Feature(
            "categories_lost_90d",
            CUSTOMERS,
            lambda totals, _: totals.categories_180d - totals.categories_90d,
            "Categories bought in the 90 days before the last 90, and not since.",
            "categories",
            0.0,
            needs=(CATEGORY,),
            window_days=180,
        ),
        Feature(
            "brands_180d",
            CUSTOMERS,
            lambda totals, _: totals.brands_180d,
            "Different brands bought in the last 180 days.",
            "brands",
            0.0,
            needs=(BRAND,),
            window_days=180,
        ),
        Feature(
            "category_entropy_life",
            CUSTOMERS,
            _entropy,
            "How evenly purchases spread over categories (Shannon entropy of order lines, natural logarithm).",
            "nats",
            needs=(CATEGORY,),
        ),
    ]


def _entropy(totals: Any, _: Snapshot) -> Any:
    lines = totals.category_lines
    spread = real(lines).ln() - real(totals.category_n_ln_n) / float(LOGS) / real(lines)
    return ibis.cases((lines > 0, spread), else_=None)


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


def mix_features(mix: Mix, values: Mapping[str, str]) -> list[Feature]:
    """Of the order lines of the last 180 days, the share of each of these values (with names for columns)."""
    return [
        Feature(
            f"{mix.column}_share_{short}",
            CUSTOMERS,
            share_since(180, f"{mix.column}_{short}", known_column(mix)),
            f"Of the order lines of the last 180 days, those of {mix.column} {value}.",
            "share",
            needs=(mix.needs,),
            window_days=180,
        )
        for value, short in values.items()
    ]

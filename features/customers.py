"""The customer features: how often, how lately, how much, how broadly, and how that has been changing."""

from __future__ import annotations

from features.customer_breadth import breadth_features, campaign_features
from features.customer_orders import order_features
from features.customer_rhythm import change_features, rhythm_features
from features.customer_spend import spend_features
from features.definitions import Feature

CUSTOMER_FEATURES: tuple[Feature, ...] = (
    *order_features(),
    *spend_features(),
    *rhythm_features(),
    *change_features(),
    *breadth_features(),
    *campaign_features(),
)

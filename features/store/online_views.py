"""What is kept online: the few features of a customer that an answer can use while the customer waits.

Scores, reasons and profiles of customers come from the scoring's own files, and models read snapshots; neither reads
here. What is here is for the moment of the visit: how far the customer is in their own rhythm, what they are worth
lately, and what they did in the last minutes.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any

from feast import Entity, FeatureService, FeatureView, Field, FileSource, PushSource
from feast.data_format import ParquetFormat
from feast.types import Float64, String

from features.schema import C

ONLINE_VIEW = "customer_online"
LIVE_VIEW = "customer_live"
LIVE_SOURCE = "live_events"
SERVICE = "serving"
#: Of the customer's snapshot, where the shop's data allow them.
ONLINE = ("days_since_last_order", "days_to_expected_order", "lifecycle_stage", "orders_90d", "spend_90d")
#: Pushed from live events: name and meaning.
LIVE = {
    "views_1h": "Products viewed in the hour before the last event.",
    "carts_1h": "Products put into the cart in the hour before the last event, and not bought since.",
    "purchases_24h": "Products bought in the day before the last event.",
}
LIVE_TIME = "event_timestamp"


def online_definitions(
    customer: Entity, snapshots: FileSource, fields: Sequence[Field], *, live_files: str
) -> list[Any]:
    """The online views and the service of both. `fields` are those of the customer's snapshot."""
    key = Field(name=C.CUSTOMER_ID, dtype=String)
    chosen = [field for field in fields if field.name in ONLINE]
    snapshot = FeatureView(
        name=ONLINE_VIEW,
        entities=[customer],
        ttl=timedelta(0),
        schema=[key, *chosen],
        source=snapshots,
        online=True,
        description="Of the newest snapshot, what is kept to be read one customer at a time.",
        owner="regulars",
    )
    pushed = PushSource(
        name=LIVE_SOURCE,
        batch_source=FileSource(
            name=f"{LIVE_SOURCE}_kept",
            path=live_files,
            file_format=ParquetFormat(),
            timestamp_field=LIVE_TIME,
        ),
        description="What customers do on the site, pushed as it happens.",
    )
    live = FeatureView(
        name=LIVE_VIEW,
        entities=[customer],
        ttl=timedelta(0),
        schema=[key, *(Field(name=name, dtype=Float64, description=text) for name, text in LIVE.items())],
        source=pushed,
        online=True,
        description="What the customer did last on the site.",
        owner="regulars",
    )
    return [snapshot, pushed, live, FeatureService(name=SERVICE, features=[snapshot, live])]

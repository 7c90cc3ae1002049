"""Contacts as the lake has them, with what was known of the customer before each, and whether they responded."""

from __future__ import annotations

import math
from datetime import datetime, timedelta
from typing import Any

import pandas as pd

from features.engine import connect
from features.errors import DataError
from features.labels import RESPONDED, contact_labels
from features.schema import CONTACTS, RESPONSES, C
from training.dataset import features_of
from training.outcome_backtest import MOST_ROWS, sampled
from training.protocols import Context
from training.response import CHANNEL

#: Moments as of which features are read, at most. A shop that contacts somebody every day has them read every few days.
MOST_MOMENTS = 40
WHAT_TO_LOG = (
    "Load whom each campaign contacted (contacts: campaign_id, customer_id, contacted_at, channel) and who responded "
    "to it (responses: campaign_id, customer_id, responded_at), or record outcomes of contact lists: those saved count "
    "as responses. docs/contacting.md tells more."
)


def read_contacts(context: Context, horizon_days: int) -> pd.DataFrame:
    """One row per campaign and customer contacted whose horizon has passed, the oldest first: features.labels'
    contact_labels, and `as_of`, the midnight at or before the contact as of which features are read.

    Raises DataError, with what to log, where there are none.
    """
    tables = context.lake.tables(connect(context.settings))
    for contract, what in ((CONTACTS, "contacts"), (RESPONSES, "responses to contacts")):
        if contract.name not in tables:
            raise DataError(f"No {what} are loaded, so there is nothing to learn a response from. {WHAT_TO_LOG}")
    last = datetime.fromisoformat(context.lake.manifest["last_order_at"])
    found: pd.DataFrame = contact_labels(tables, until=last, horizon_days=horizon_days).to_pandas()
    if found.empty:
        raise DataError(
            f"No contact is {horizon_days} days old yet, or the orders since are not loaded, so nobody knows who "
            f"responded. {WHAT_TO_LOG}"
        )
    found = found.sort_values([C.CONTACTED_AT, C.CAMPAIGN_ID, C.CUSTOMER_ID], kind="stable", ignore_index=True)
    return found.assign(**{C.AS_OF: _moments(found[C.CONTACTED_AT])})


def days_apart(contacts: pd.DataFrame) -> timedelta:
    """How long after the moment as of which its features are read a contact may lie."""
    return timedelta(days=_step(contacts[C.CONTACTED_AT]))


def with_features(context: Context, contacts: pd.DataFrame, horizon_days: int) -> pd.DataFrame:
    """The contacts of customers who had ordered before, with features as of their moments and CHANNEL, in their order.

    In a large shop of a sample of customers, the same at every moment.
    """
    share = MOST_ROWS / max(len(contacts), 1)
    if share < 1:
        contacts = contacts[sampled(contacts[C.CUSTOMER_ID], share)]
    found = contacts.merge(features_of(context, contacts, horizon_days), on=[C.CUSTOMER_ID, C.AS_OF])
    if found.empty:
        raise DataError("Nobody contacted had ordered before, so nothing is known of them to learn a response from.")
    return found.rename(columns={C.CHANNEL: CHANNEL}).astype({RESPONDED: bool})


def usual_channel(contacts: pd.DataFrame) -> str | None:
    """The channel of most contacts of the last year known; of equals the first by name, None where none is told."""
    newest = contacts[C.CONTACTED_AT].max()
    lately = contacts.loc[contacts[C.CONTACTED_AT] > newest - pd.Timedelta(days=365), C.CHANNEL].dropna()
    counts = lately.astype(str).value_counts()
    return min(counts[counts == counts.max()].index) if len(counts) else None


def _step(at: pd.Series[Any]) -> int:
    """Days between the moments: one, or as many as MOST_MOMENTS ask for."""
    days = at.dt.floor("D")
    if days.nunique() <= MOST_MOMENTS:
        return 1
    span = int((days.max() - days.min()).days) + 1
    return math.ceil(span / MOST_MOMENTS)


def _moments(at: pd.Series[Any]) -> pd.Series[Any]:
    """The midnight at or before each contact; in steps counted from the first one where days are many."""
    days, step = at.dt.floor("D"), _step(at)
    since = (days - days.min()).dt.days
    moments: pd.Series[Any] = days - pd.to_timedelta(since % step, unit="D")
    return moments.astype("datetime64[us]")

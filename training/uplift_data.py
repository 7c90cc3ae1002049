"""Contacts drawn by lot, as the lake has them: who was contacted, who left alone, what was known then, who stayed.

A campaign counts where customers were held out, its horizon has passed, and a lottery may have parted its arms.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.engine import connect
from features.errors import DataError
from features.labels import BOUGHT, assigned_labels
from features.schema import CONTACTS, C
from training.contact_results import MOST_CAMPAIGNS
from training.dataset import examples
from training.protocols import Context
from training.randomised import Balance, balance
from training.uplift_metrics import Contacts

#: Fewest customers in each arm over all campaigns, and on the rarer side (stayed or not) of each, to learn from.
LEAST_IN_ARM, LEAST_RARER = 100, 20
#: With fewer in an arm, a campaign is left out: its lottery cannot be looked at.
LEAST_IN_CAMPAIGN = 20
WHAT_TO_LOG = (
    "Let part of each campaign alone by lot:  regulars contact-list NAME … --record  holds a tenth out and "
    "remembers whom; for campaigns made elsewhere, load contacts with treated = false for everyone drawn by lot and "
    "not contacted, with the same campaign_id and the moment of the draw as contacted_at (both arms are followed from "
    "the campaign's first moment on). When the horizon has passed, "
    "load the orders since and ask again. docs/contacting.md tells more."
)


@dataclass(frozen=True)
class Campaign:
    """One campaign that held customers out: its arms, and whether a lottery may have parted them."""

    campaign_id: str
    first_contact_at: datetime
    contacted: int
    held_out: int
    balance: Balance | None
    left_out: str | None  # why nothing is learned from it

    def as_json(self) -> dict[str, Any]:
        """Plain values."""
        return {
            "campaign_id": self.campaign_id,
            "first_contact_at": self.first_contact_at.isoformat(),
            "contacted": self.contacted,
            "held_out": self.held_out,
            "p": None if self.balance is None else self.balance.p,
            "left_out": self.left_out,
        }


@dataclass(frozen=True)
class Randomised:
    """What can be learned from: (rows, columns) of features as of each campaign's day, and the contacts with them."""

    frame: pd.DataFrame
    contacts: Contacts
    campaign: NDArray[np.object_]  # (rows,)
    campaigns: tuple[Campaign, ...]

    @property
    def used(self) -> tuple[Campaign, ...]:
        """The campaigns that rows come from."""
        return tuple(one for one in self.campaigns if one.left_out is None)


def randomised_contacts(context: Context, *, horizon_days: int, rng: np.random.Generator) -> Randomised:
    """One row per campaign and customer, of campaigns drawn by lot whose horizon has passed.

    Features are as of the midnight before the campaign's first contact, so they know nothing of it. Raises DataError
    that says what is missing and what to log.
    """
    found = [_read(context, name, first, horizon_days, rng) for name, first in _campaigns(context)]
    campaigns = tuple(campaign for campaign, _ in found)
    parts = [part for campaign, part in found if campaign.left_out is None and part is not None]
    if not parts:
        raise DataError(f"{_why_none(campaigns)} {WHAT_TO_LOG}")
    rows = pd.concat(parts, ignore_index=True)
    treated, kept = rows[C.TREATED].to_numpy(bool), rows[_KEPT].to_numpy(bool)
    _check_floors(treated, kept)
    contacts = Contacts(treated, kept, rows[_CHANCE].to_numpy(float), pd.factorize(rows[C.CUSTOMER_ID])[0])
    features = rows.drop(columns=[C.TREATED, _KEPT, _CHANCE, C.CAMPAIGN_ID])
    return Randomised(features, contacts, rows[C.CAMPAIGN_ID].to_numpy(object), campaigns)


_KEPT, _CHANCE = "kept_after", "chance_of_contact"


def _campaigns(context: Context) -> list[tuple[str, datetime]]:
    """Campaigns with somebody held out, and their first contact; the newest first. Raises DataError where none is."""
    tables = context.lake.tables(connect(context.settings))
    if CONTACTS.name not in tables:
        raise DataError(f"No contacts are loaded, so there is nothing to learn an uplift from. {WHAT_TO_LOG}")
    contacts = tables[CONTACTS.name]
    alone = ~contacts[C.TREATED].fill_null(True)
    begun = contacts.group_by(C.CAMPAIGN_ID).aggregate(first=contacts[C.CONTACTED_AT].min(), alone=alone.any())
    rows = begun.order_by(begun.first.desc()).to_pyarrow().to_pylist()
    held_out = [(row[C.CAMPAIGN_ID], row["first"]) for row in rows if row["alone"]]
    if not held_out:
        raise DataError(
            f"{len(rows):,} campaigns are loaded and none left anybody alone (contacts with treated = false), so what "
            f"those contacted would have done without is not known. {WHAT_TO_LOG}"
        )
    return held_out[:MOST_CAMPAIGNS]


def _read(
    context: Context, name: str, first: datetime, horizon_days: int, rng: np.random.Generator
) -> tuple[Campaign, pd.DataFrame | None]:
    labels = _labels(context, name, first, horizon_days)
    counts = [int((labels[C.TREATED] == side).sum()) for side in (True, False)]

    def campaign(left_out: str | None, found: Balance | None = None) -> Campaign:
        return Campaign(name, first, counts[0], counts[1], found, left_out)

    last = datetime.fromisoformat(context.lake.manifest["last_order_at"])
    if first + timedelta(days=horizon_days) > last:
        return campaign(f"its {horizon_days} days have not passed yet, or their orders are not loaded"), None
    if min(counts) < LEAST_IN_CAMPAIGN:
        return campaign(f"an arm has fewer than {LEAST_IN_CAMPAIGN} customers"), None
    # Midnight, so that campaigns of one day share a snapshot; what a customer did since is of neither side.
    midnight = first.replace(hour=0, minute=0, second=0, microsecond=0)
    known = examples(context, [midnight], horizon_days, customers=labels[C.CUSTOMER_ID])
    rows = known.merge(labels, on=C.CUSTOMER_ID)
    treated = rows[C.TREATED].to_numpy(bool)
    if not 0 < treated.sum() < len(treated):
        return campaign("one arm had never ordered before it, so nothing is known of it"), None
    found = balance(rows, treated, rng=rng)
    if found.p is None:
        return campaign(f"whether its arms were drawn by lot cannot be seen: {found.told()}", found), None
    if not found.is_plausible:
        return campaign(f"its arms were not drawn by lot: {found.told()} (p = {found.p:.4f})", found), None
    return campaign(None, found), rows.assign(**{C.CAMPAIGN_ID: name, _CHANCE: treated.mean()})


def _labels(context: Context, name: str, first: datetime, horizon_days: int) -> pd.DataFrame:
    """customer_id, treated and whether they ordered within the horizon after the campaign's first moment."""
    tables = context.lake.tables(connect(context.settings))
    labels = assigned_labels(tables, name, first, horizon_days=horizon_days)
    found: pd.DataFrame = labels.select(C.CUSTOMER_ID, C.TREATED, labels[BOUGHT].name(_KEPT)).to_pandas()
    return found


def _why_none(campaigns: tuple[Campaign, ...]) -> str:
    said = "; ".join(f"'{one.campaign_id}': {one.left_out}" for one in campaigns)
    return f"No campaign can be learned from. {said}."


def _check_floors(treated: NDArray[np.bool_], kept: NDArray[np.bool_]) -> None:
    for name, side in (("contacted", treated), ("held out", ~treated)):
        stayed, rows = int(kept[side].sum()), int(side.sum())
        rarer = min(stayed, rows - stayed)
        if rows < LEAST_IN_ARM or rarer < LEAST_RARER:
            raise DataError(
                f"Too few customers {name} by lot to learn an uplift from: {rows:,}, of whom {stayed:,} stayed and "
                f"{rows - stayed:,} did not; at least {LEAST_IN_ARM} are needed, {LEAST_RARER} of each. Keep holding "
                "customers out, a larger share of them if you can:  regulars contact-list NAME … --holdout 0.3 --record"
            )

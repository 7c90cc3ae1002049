"""A made-up shop that called half of its customers, by lot: calls save who was slipping, and annoy who was not."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pandas as pd

from features.home import Home
from features.ingest import ingest
from features.lake import read_lake
from features.settings import load_settings
from training.protocols import Context

START, CALLED, LAST = datetime(2024, 1, 1), 150, 200
HORIZON = 28
MAPPING = """
[order_lines]
path = "orders.csv"
order_id = "order"
customer_id = "customer"
product_id = "product"
ordered_at = "at"
amount = "paid"
"""
CONTACTS = """
[contacts]
path = "contacts.csv"
campaign_id = "campaign"
customer_id = "customer"
contacted_at = "at"
treated = "treated"
"""

#: (customers that slip, rng) -> whether each is contacted; None: the shop loads no contacts.
Lot = Callable[[np.ndarray, np.random.Generator], np.ndarray]


def by_lot(slips: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    return rng.random(len(slips)) < 0.5


def campaign_shop(
    root: Path, lot: Lot | None, *, customers: int = 600, last: int = LAST, mailed_after: int = 0
) -> Context:
    """Customers come every week or two until the call. Of those who slip, 60% come back if called and 10% if not; of
    those long gone 5% whatever is done; of the others 80% and 95%.

    Who is called is stamped `mailed_after` days after the lot was drawn.
    """
    rng = np.random.default_rng(3)
    slips, gone = rng.permutation(customers) % 3 == 0, np.zeros(customers, dtype=bool)
    gone[rng.choice(np.flatnonzero(~slips), customers // 3, replace=False)] = True
    called = by_lot(slips, rng) if lot is None else lot(slips, rng)
    steady = np.where(gone, 0.05, np.where(called, 0.8, 0.95))
    stays = rng.random(customers) < np.where(slips, np.where(called, 0.6, 0.1), steady)
    orders = []
    for customer in range(customers):
        gap, silent = rng.uniform(6, 12), rng.uniform(18, 26) if slips[customer] else rng.uniform(0.5, 6)
        silent += 40 * gone[customer]
        days = np.arange(CALLED - silent, 0, -gap).tolist()
        if stays[customer]:
            days += np.arange(CALLED + rng.uniform(1, 20), last, gap).tolist()
        orders += [(customer, START + timedelta(days=day)) for day in days]
    orders += [(0, START + timedelta(days=last))]
    rows = [f"{who}-{at:%Y%m%d%H},c{who:03},p{who % 7},{at:%Y-%m-%d %H:%M:%S},10" for who, at in orders]
    folder = root / "files"
    folder.mkdir(parents=True)
    (folder / "orders.csv").write_text("\n".join(["order,customer,product,at,paid", *dict.fromkeys(rows)]))
    drawn_at = START + timedelta(days=CALLED, hours=9)
    at = [drawn_at + timedelta(days=mailed_after * int(called[who])) for who in range(customers)]
    lines = [f"june,c{who:03},{at[who]:%Y-%m-%d %H:%M:%S},{str(bool(called[who])).lower()}" for who in range(customers)]
    (folder / "contacts.csv").write_text("\n".join(["campaign,customer,at,treated", *lines]))
    (folder / "shop.toml").write_text(MAPPING + (CONTACTS if lot is not None else ""))
    settings = load_settings(home=root / "home", threads=1, seed=1, horizon_days=HORIZON)
    ingest("files", settings, mapping=folder / "shop.toml", now=START + timedelta(days=last + 1))
    home = Home(settings.home)
    return Context(settings=settings, home=home, lake=read_lake(home))


def drawn(rows: int, seed: int, *, share: float = 0.5) -> tuple[pd.DataFrame, np.ndarray, np.ndarray, np.ndarray]:
    """Features, who was contacted, who stayed, and the true uplift: +0.4 for who is late, -0.1 for who is not."""
    rng = np.random.default_rng(seed)
    late = rng.random(rows) < 0.5
    frame = pd.DataFrame(
        {
            "days_since_last_order": np.where(late, rng.uniform(20, 40, rows), rng.uniform(0, 10, rows)),
            "weeks_active_12w": rng.integers(1, 13, rows).astype(float),
            "attribute_age": rng.choice(np.array(["20-39", "40-59", None], dtype=object), rows),
        }
    )
    uplift = np.where(late, 0.4, -0.1)
    treated = rng.random(rows) < share
    kept = rng.random(rows) < np.where(late, 0.3, 0.8) + uplift * treated
    return frame, treated, kept, uplift

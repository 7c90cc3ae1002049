"""A made-up shop that writes to everybody, then calls many, and so on: who is keen answers, most by telephone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np

from features.home import Home
from features.ingest import ingest
from features.lake import read_lake
from features.settings import load_settings
from training.protocols import Context

START, LAST, HORIZON = datetime(2024, 1, 1), 260, 14
#: Days of the campaigns; every second one is by telephone.
CAMPAIGNS = tuple(range(40, 245, 20))
#: Who answers, by mail and by telephone: keen customers and the others.
TRUTH = {"mail": (0.5, 0.05), "phone": (0.8, 0.15)}
MAPPING = """
[order_lines]
path = "orders.csv"
order_id = "order"
customer_id = "customer"
product_id = "product"
ordered_at = "at"
amount = "paid"

[contacts]
path = "contacts.csv"
campaign_id = "campaign"
customer_id = "customer"
contacted_at = "at"
channel = "channel"
"""
RESPONSES = """
[responses]
path = "responses.csv"
campaign_id = "campaign"
customer_id = "customer"
responded_at = "at"
"""


@dataclass(frozen=True)
class Shop:
    """The shop as loaded, and which customers are keen."""

    context: Context
    keen: dict[str, bool]


def mailing_shop(
    root: Path, *, customers: int = 240, campaigns: tuple[int, ...] = CAMPAIGNS, until: int = LAST, told: bool = True
) -> Shop:
    """Keen customers order every week, the others every two or three. `until`: nothing later is loaded.

    Without `told` nobody says who answered.
    """
    rng = np.random.default_rng(5)
    keen = rng.random(customers) < 0.3
    orders, contacts, answers = [], [], []
    for who, is_keen in enumerate(keen):
        days = np.arange(rng.uniform(0, 7), LAST, rng.uniform(5, 9) if is_keen else rng.uniform(12, 24))
        orders += [f"{who}-{day:.0f},c{who:03},p{who % 7},{at(day)},10" for day in days if day < until]
    for place, day in enumerate(campaigns):
        channel = ("mail", "phone")[place % 2]
        called = rng.random(customers) < (1.0 if channel == "mail" else 0.6)
        answered = called & (rng.random(customers) < np.where(keen, *TRUTH[channel]))
        delay = rng.uniform(1, HORIZON - 1, customers)
        contacts += [f"k{place},c{who:03},{at(day + 0.4)},{channel}" for who in np.flatnonzero(called) if day < until]
        answers += [
            f"k{place},c{who:03},{at(day + 0.4 + delay[who])}"
            for who in np.flatnonzero(answered)
            if day + 0.4 + delay[who] < until
        ]
    orders.append(f"last,c000,p0,{at(until)},10")
    folder = root / "files"
    folder.mkdir(parents=True)
    (folder / "orders.csv").write_text("\n".join(["order,customer,product,at,paid", *orders]))
    (folder / "contacts.csv").write_text("\n".join(["campaign,customer,at,channel", *contacts]))
    (folder / "responses.csv").write_text("\n".join(["campaign,customer,at", *answers]))
    (folder / "shop.toml").write_text(MAPPING + (RESPONSES if told else ""))
    settings = load_settings(home=root / "home", threads=1, seed=1, horizon_days=HORIZON)
    ingest("files", settings, mapping=folder / "shop.toml", now=START + timedelta(days=LAST + 1))
    home = Home(settings.home)
    context = Context(settings=settings, home=home, lake=read_lake(home))
    return Shop(context, {f"c{who:03}": bool(is_keen) for who, is_keen in enumerate(keen)})


def at(day: float) -> str:
    return f"{START + timedelta(days=float(day)):%Y-%m-%d %H:%M:%S}"

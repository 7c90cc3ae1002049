"""The catalogue of what reasons say, by language: whole phrases with named places, so that a language can be added.

A key ending in _one is taken where the number it is about is 1. The numbers come formatted from training.reasons.
"""

from __future__ import annotations

from collections.abc import Mapping

ENGLISH: Mapping[str, str] = {
    # How the sign is told: what raises the risk stands plainly, what lowers it says so.
    "raises": "{phrase}",
    "lowers": "in favour: {phrase}",
    "days": "{number} days",
    "days_one": "1 day",
    "days_none": "less than a day",
    "every": "{number} days",
    "every_one": "day",
    "silent": "orders every {gap}, silent for {silence}",
    "on_time": "orders every {gap}, the last time {silence} ago",
    "once": "ordered on one day so far, {silence} ago",
    "regularity": "the longest time between orders was {longest}",
    "weeks": "ordered in {number} of the last 12 weeks",
    "orders_down": "orders down {percent}% on the 90 days before",
    "orders_up": "orders up {percent}% on the 90 days before",
    "spend": "spent {amount} in the last 90 days",
    "spend_down": "spend down {percent}% on the 90 days before",
    "spend_up": "spend up {percent}% on the 90 days before",
    "products": "{number} different products in the last 90 days",
    "products_one": "1 product in the last 90 days",
    "lost": "nothing for 90 days from {number} categories bought before",
    "lost_one": "nothing for 90 days from 1 category bought before",
    "basket": "{number} products an order on average",
    "basket_one": "1 product an order on average",
    "tenure": "first ordered {days} ago",
    "discount": "{percent}% off the full price in the last 180 days",
    "returns": "{percent}% of spend returned",
    "contacts": "contacted {number} times in the last 90 days",
    "contacts_one": "contacted once in the last 90 days",
    "weekend": "{percent}% of orders at the weekend",
    "department": "{percent}% of purchases in {name}",
    "attribute": "{name} {value}",
}

LANGUAGES: Mapping[str, Mapping[str, str]] = {"en": ENGLISH}

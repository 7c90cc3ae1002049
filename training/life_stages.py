"""The stages of a customer's life, by name, with nothing imported; `training.customer_scores` says who is in which."""

from __future__ import annotations

NEW, REGULAR, SLIPPING, LAPSED, LOST = "new", "regular", "slipping", "lapsed", "lost"
#: In the order a customer who drifts away passes through them.
STAGES = (NEW, REGULAR, SLIPPING, LAPSED, LOST)

"""The notebook on the recommender, on a small shop."""

from __future__ import annotations

import re

from features.home import Home
from tests.notebooks.executed import executed, text_of


def test_a_recommender_candidate_by_candidate(home: Home) -> None:
    said = text_of(executed("03-a-recommender-candidate-by-candidate", pictures=2))
    assert re.search(r"^\d+ customers, 40 products", said, re.MULTILINE)
    tried = re.findall(r"^([a-zA-Z' ]+?) {2,}(0\.\d+) +\d\.\d+$", said, re.MULTILINE)
    alone = {name: float(recall) for name, recall in tried}
    assert {"own history", "ALS", "item to item", "what follows what", "popular"} <= set(alone)
    # The ranker's own table and the one beside the plain rules measure the same lists.
    ours = [re.search(rf"^{name} +(0\.\d+) ", said, re.MULTILINE) for name in ("all", "regulars")]
    ranked, beside = (float(found[1]) for found in ours if found is not None)
    assert ranked == beside > alone["popular"]
    assert not home.models.exists()  # it looks, and keeps nothing

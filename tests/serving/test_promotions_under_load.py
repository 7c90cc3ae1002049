"""Scores that change under a real server while it is asked: no request fails, and no answer mixes two versions."""

import dataclasses
import threading
import time
from pathlib import Path

from features.home import Home, write_text
from serving.client import Client
from serving.schemas import RecommendationRequest, Recommendations
from serving.server import free_port, running

HOST = "127.0.0.1"


class Asker(threading.Thread):
    """Asks without pause, and keeps every answer and every failure."""

    def __init__(self, port: int) -> None:
        super().__init__(daemon=True)
        self.client = Client(HOST, port, timeout=10)
        self.answers: list[Recommendations] = []
        self.failures: list[Exception] = []
        self.stopping = threading.Event()

    def run(self) -> None:
        while not self.stopping.is_set():
            try:
                self.answers.append(self.client.recommend(RecommendationRequest(customer_id="ann", k=2)))
            except Exception as error:
                self.failures.append(error)


def test_promotions_and_rollbacks_under_load_fail_no_request_and_mix_no_versions(
    home: Home, write_scores, ranked_lists, tmp_path: Path
) -> None:
    # Version 9 puts ann's products in another order, so that an answer shows which lists made it.
    swapped = dataclasses.replace(ranked_lists, lists=ranked_lists.lists[:, [2, 1, 0, 3]])
    write_scores(home, "v2", ranking=swapped, models={"recommender": 9})
    write_scores(home, "v1", ranking=ranked_lists)
    port = free_port(HOST, 24500)
    with running(host=HOST, port=port, home=home.root, log=tmp_path / "serve.log"):
        askers = [Asker(port) for _ in range(3)]
        for asker in askers:
            asker.start()
        took = []
        for version, number in (("v2", 9), ("v1", 3), ("v2", 9), ("v1", 3)):
            write_text(home.scores / "CURRENT", version)
            started = time.monotonic()
            while askers[0].answers[-1:] == [] or askers[0].answers[-1].model_version != number:
                assert time.monotonic() - started < 30
                time.sleep(0.02)
            took.append(time.monotonic() - started)
        for asker in askers:
            asker.stopping.set()
        for asker in askers:
            asker.join(15)
    answers = [answer for asker in askers for answer in asker.answers]
    assert [failure for asker in askers for failure in asker.failures] == []
    assert {answer.model_version for answer in answers} == {3, 9}
    order = {3: ["p1", "p2"], 9: ["p2", "p1"]}
    assert all([item.product_id for item in answer.items] == order[answer.model_version] for answer in answers)
    assert all(f"~{answer.model_version}~" in answer.request_id for answer in answers)
    assert max(took) < 10

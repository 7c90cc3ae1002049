"""The collector's settings on a real server: what is loaded is frozen, and no request waits for a full collection."""

import gc
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from features.home import Home
from serving.collector import THRESHOLDS, Pauses, freeze
from serving.metrics import Metrics
from serving.server import free_port, running

HOST = "127.0.0.1"


@pytest.fixture
def restored() -> Iterator[None]:
    before = gc.get_threshold()
    yield
    gc.unfreeze()
    gc.set_threshold(*before)


def test_what_is_loaded_is_frozen_and_full_collections_are_rare(restored) -> None:
    loaded = [[] for _ in range(10_000)]
    freeze()
    assert gc.get_threshold() == THRESHOLDS == (50_000, 50, 1_000)
    assert gc.get_freeze_count() >= len(loaded)
    assert not any(one is loaded for one in gc.get_objects())
    # A full collection comes after so many younger ones that no request of a day waits for it.
    assert THRESHOLDS[0] * THRESHOLDS[1] * THRESHOLDS[2] == 2_500_000_000


def test_collections_are_counted_by_generation_with_their_time(restored) -> None:
    gc.disable()
    metrics, pauses = Metrics(), Pauses()
    pauses.start()
    try:
        gc.collect(0)
        gc.collect(2)
        gc.collect(2)
        pauses.tell(metrics)
        pauses.tell(metrics)  # nothing came since
    finally:
        pauses.stop()
        gc.enable()
    sample = metrics.registry.get_sample_value
    counts = [sample("regulars_gc_collections_total", {"generation": str(one)}) for one in range(3)]
    assert counts == [1, 0, 2]
    assert sample("regulars_gc_seconds_total", {"generation": "1"}) == 0
    assert 0 < sample("regulars_gc_seconds_total", {"generation": "2"}) == pauses.seconds[2]


def test_a_server_under_load_freezes_what_it_loaded_and_makes_no_full_collection(
    scored_home: Home, tmp_path: Path
) -> None:
    port = free_port(HOST, 24800)

    def ask(number: int) -> None:
        with httpx.Client(base_url=f"http://{HOST}:{port}") as client:
            for at in range(200):
                # Events and problems leave cycles behind, as recommendations do not.
                client.post("/v1/recommendations", json={"customer_id": f"c{number}-{at}", "session": ["p1"]})
                client.post("/v1/recommendations", json={"k": "none"})

    with running(host=HOST, port=port, home=scored_home.root, log=tmp_path / "serve.log"):
        threads = [threading.Thread(target=ask, args=(number,)) for number in range(3)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        text = httpx.get(f"http://{HOST}:{port}/metrics").text
    found = dict(re.findall(r"^(regulars_gc_\w+(?:\{[^}]*\})?) (\S+)$", text, re.MULTILINE))
    assert float(found["regulars_gc_frozen_objects"]) > 100_000
    assert float(found['regulars_gc_collections_total{generation="2"}']) == 0
    assert 'status="200"' in text
    assert float(found['regulars_gc_seconds_total{generation="2"}']) == 0

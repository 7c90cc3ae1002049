import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import msgspec
import pytest

from features.errors import RegularsError
from features.home import Home
from features.settings import load_settings
from serving.client import Client
from serving.demo import ask
from serving.schemas import RecommendationRequest
from serving.server import answers, free_port, running, serve

HOST = "127.0.0.1"


def a_free_port() -> int:
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


def test_the_real_server_answers_takes_up_new_scores_and_leaves_nothing_behind(
    scored_home: Home, write_scores, ranked_lists, tmp_path: Path, capsys
) -> None:
    port = a_free_port()
    with running(host=HOST, port=port, home=scored_home.root, log=tmp_path / "serve.log") as process:
        client = Client(HOST, port)
        assert client.recommend(RecommendationRequest(customer_id="ann", k=1)).items[0].product_id == "p1"
        with pytest.raises(RegularsError, match="answered 422"):
            client.at_risk(limit=0)
        ask(client)
        assert "What goes with" in capsys.readouterr().out
        write_scores(scored_home, "v2", ranking=ranked_lists)
        until = time.monotonic() + 20
        while client.models().scores_version != "v2" and time.monotonic() < until:
            time.sleep(0.2)
        assert client.models().scores_version == "v2"
        with pytest.raises(RegularsError, match=f"Port {port} on {HOST} is in use"):
            serve(host=HOST, port=port, settings=load_settings(home=scored_home.root))
        assert free_port(HOST, port) > port
    assert not answers(HOST, port)
    with pytest.raises(ProcessLookupError):
        os.killpg(process.pid, 0)


def test_a_server_that_cannot_start_says_what_its_log_says(home: Home, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("REGULARS_EXPERIMENTS_FILE", str(tmp_path / "nowhere.toml"))
    with (
        pytest.raises(RegularsError, match=r"did not answer(.|\n)*nowhere\.toml"),
        running(host=HOST, port=a_free_port(), home=home.root, log=tmp_path / "serve.log"),
    ):
        raise AssertionError("it must not start")


def test_serve_becomes_a_server_that_ctrl_c_ends(scored_home: Home) -> None:
    port = a_free_port()
    process = subprocess.Popen(
        [sys.executable, "-c", "from serving.cli import main; main()", "serve", "--port", str(port)],
        env=os.environ | {"REGULARS_HOME": str(scored_home.root)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    until = time.monotonic() + 60
    while not answers(HOST, port) and process.poll() is None and time.monotonic() < until:
        time.sleep(0.1)
    assert Client(HOST, port).models().scores_version == "v1"
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(20) == 0
    assert not answers(HOST, port)


def test_requests_encode_as_the_server_reads_them() -> None:
    request = RecommendationRequest(customer_id="ann", cart=["p1"], k=3)
    assert msgspec.json.decode(msgspec.json.encode(request), type=RecommendationRequest) == request

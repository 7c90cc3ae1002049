import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from features.errors import RegularsError
from features.home import Home
from features.settings import load_settings
from serving import demo as demo_module
from serving.server import answers, free_port

#: Runs the demo on scores that are there already, so that only serving and asking are tried.
SERVE_ALONE = """
import sys
from features.settings import load_settings
from serving import demo
demo._prepare = lambda settings, home: None
demo.demo(load_settings(), once=False)
"""


def test_demo_does_not_mix_its_data_into_a_shops_own(home: Home) -> None:
    version = home.lake / "versions" / "mine"
    version.mkdir(parents=True)
    (version / "manifest.json").write_text(json.dumps({"rows": {}, "has_amounts": True, "sources": ["files"]}))
    (home.lake / "CURRENT").write_text("mine")
    with pytest.raises(RegularsError, match="holds other data \\(files\\)"):
        demo_module.demo(load_settings(home=home.root), once=True)


def test_demo_asks_every_question_and_stops_its_server(
    scored_home: Home, monkeypatch, capsys: pytest.CaptureFixture
) -> None:
    monkeypatch.setattr(demo_module, "_prepare", lambda settings, home: None)
    port = free_port("127.0.0.1", 23710)
    demo_module.demo(load_settings(home=scored_home.root, port=port), once=True)
    said = capsys.readouterr().out
    for question in (
        "buy next?",
        "in the cart?",
        "never seen before?",
        "about to stop, with most to lose?",
        "Customer ann",
    ):
        assert question in said
    assert not answers("127.0.0.1", port)


@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
def test_demo_ends_well_when_stopped_and_takes_its_server_with_it(
    scored_home: Home, tmp_path: Path, sign: signal.Signals
) -> None:
    port = free_port("127.0.0.1", 23810)
    log = tmp_path / "demo.log"
    with log.open("wb") as file:
        process = subprocess.Popen(
            [sys.executable, "-c", SERVE_ALONE],
            env=os.environ | {"REGULARS_HOME": str(scored_home.root), "REGULARS_PORT": str(port)},
            stdout=file,
            stderr=subprocess.STDOUT,
        )
    until = time.monotonic() + 60
    while b"Ctrl-C stops it" not in log.read_bytes() and process.poll() is None and time.monotonic() < until:
        time.sleep(0.1)
    assert answers("127.0.0.1", port)
    process.send_signal(sign)
    assert process.wait(20) == 0
    assert not answers("127.0.0.1", port)

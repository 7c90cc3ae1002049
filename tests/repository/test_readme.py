"""What the README and the documents say to type works as written."""

from __future__ import annotations

import json
import re
import shlex
from datetime import datetime
from pathlib import Path

import msgspec
import pytest
import typer.core
import typer.main

from features.ingest import ingest
from features.settings import load_settings
from serving.cli import app
from serving.openapi import openapi
from serving.schemas import RecommendationRequest
from serving.schemas_customers import AudienceRequest

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text(encoding="utf-8")
DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md"), ROOT / "mlflow" / "README.md"])
BLOCK = re.compile(r"^```(?:console|sh|bash)\n(.*?)^```", re.MULTILINE | re.DOTALL)
REQUESTS = {"/v1/recommendations": RecommendationRequest, "/v1/audiences": AudienceRequest}
LINK = re.compile(r"\]\(([^)#\s]+)(#[^)]*)?\)")


def typed_lines() -> list[str]:
    """The lines of every block to type, without prompts and with continued lines joined."""
    found = []
    for path in DOCUMENTS:
        for block in BLOCK.findall(path.read_text(encoding="utf-8")):
            found += [line.removeprefix("$ ") for line in block.replace("\\\n", " ").splitlines()]
    return found


def commands_of(program: str) -> list[list[str]]:
    """The words of every command that begins with the program, without comments and what it is piped into."""
    found = set()
    for line in typed_lines():
        words = shlex.split(line, comments=True)
        ends = [place for place, word in enumerate(words) if word in ("|", ">", "&&")]
        words = words[: ends[0]] if ends else words
        if words and words[0] == program:
            found.add(tuple(words[1:]))
    return [list(words) for words in sorted(found)]


@pytest.mark.parametrize("words", commands_of("make"), ids=" ".join)
def test_every_make_target_exists(words: list[str]) -> None:
    makefile = (ROOT / "Makefile").read_text()
    for target in (word for word in words if "=" not in word):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize("words", commands_of("regulars"), ids=" ".join)
def test_every_command_and_option_exists(words: list[str]) -> None:
    command = typer.main.get_command(app)
    while isinstance(command, typer.core.TyperGroup):
        assert words[0] in command.commands, f"there is no command {words[0]}"
        command, words = command.commands[words[0]], words[1:]
    known = {option for parameter in command.params for option in parameter.opts}
    assert {word.split("=")[0] for word in words if word.startswith("--")} <= known | {"--help"}


@pytest.mark.parametrize("words", commands_of("curl"), ids=" ".join)
def test_every_request_is_one_the_server_knows(words: list[str]) -> None:
    (address,) = [word for word in words if word.startswith("localhost:3000")]
    path, _, query = address.removeprefix("localhost:3000").partition("?")
    described = openapi()["paths"]
    matching = [known for known in described if re.fullmatch(re.sub(r"\{[^}]*\}", "[^/]+", known), path)]
    assert matching, f"there is no route {path}"
    route = path if path in matching else matching[0]
    if "-d" in words:
        body = words[words.index("-d") + 1]
        msgspec.convert(json.loads(body), REQUESTS[route])
        assert "post" in described[route]
    elif query:
        method = "post" if "--json" in words else "get"
        allowed = {parameter["name"] for parameter in described[route][method]["parameters"]}
        assert {pair.split("=")[0] for pair in query.split("&")} <= allowed


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_link_inside_the_repository_leads_somewhere(path: Path) -> None:
    for target, _ in LINK.findall(path.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (path.parent / target).exists(), f"{path.name} links to {target}"


def test_the_mapping_shown_loads_a_file_of_that_shape(tmp_path: Path) -> None:
    (mapping,) = re.findall(r"^```toml\n(.*?)^```", README, re.MULTILINE | re.DOTALL)
    (tmp_path / "shop.toml").write_text(mapping)
    (tmp_path / "orders.csv").write_text(
        "InvoiceNo,StockCode,Quantity,InvoiceDate,Price,Customer ID\n"
        "536365,85123A,6,01/12/2010 08:26,2.55,17850\n"
        "536366,22633,2,01/12/2010 08:28,1.85,17850\n"
    )
    settings = load_settings(home=tmp_path / "home")
    report = ingest("files", settings, mapping=tmp_path / "shop.toml", replace=False, now=datetime(2024, 1, 1))
    assert [(table.table, table.added, table.quarantined) for table in report.tables] == [("order_lines", 2, {})]


def test_every_figure_names_a_command_that_exists() -> None:
    section = README.split("## Figures")[1].split("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    cells_of = [[cell.strip() for cell in row] for row in rows]
    assert len(cells_of) > 2
    for row in cells_of[2:]:
        cells = dict(zip(cells_of[0], row, strict=True))
        assert all(cells[name] for name in ("data", "split", "metric", "command"))
        words = shlex.split(cells["command"].strip("`"))
        assert words[:2] == [".venv/bin/python", "-m"], cells["command"]
        package, _, module = words[2].partition(".")
        assert package == "benchmarks"
        assert (ROOT / "benchmarks" / f"{module}.py").is_file()


def test_figures_stand_nowhere_else() -> None:
    """A number with a decimal point is a figure, apart from versions and the output of the demo."""
    prose = re.sub(r"<!-- (demo output|figures): begin -->.*?<!-- \1: end -->|```.*?```", "", README, flags=re.DOTALL)
    assert set(re.findall(r"\d+\.\d+", prose)) <= {"3.11", "3.12", "2.0", "84.51"}

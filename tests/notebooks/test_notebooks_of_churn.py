"""The notebooks on churn, on whom to contact, and on features and models of one's own, on a small shop."""

from __future__ import annotations

import re

from features.home import Home
from tests.notebooks.executed import executed, text_of


def test_churn_you_can_bet_on(home: Home) -> None:
    said = text_of(executed("04-churn-you-can-bet-on", pictures=2))
    assert re.search(r"^\d+ active customers, \d+\.\d% stopped$", said, re.MULTILINE)
    assert {"regulars", "rfm_logistic", "recency_rank"} <= set(re.findall(r"^(\w+) ", said, re.MULTILINE))
    assert re.search(r"^auc ahead of \w+ by .*\n(Surely|Not surely) ahead$", said, re.MULTILINE)
    assert "of the last 12 weeks" in said
    assert not home.models.exists()


def test_who_to_contact_on_a_budget(home: Home) -> None:
    said = text_of(executed("05-who-to-contact-on-a-budget", pictures=2))
    assert "- A contact costs 1.00." in said
    rows = re.findall(r"^(no limit|a budget of 50|20 calls) +(\d+)\S* +(-?[\d.]+) +(-?[\d.]+)", said, re.MULTILINE)
    chosen = {name: (int(calls), float(profit), float(riskiest)) for name, calls, profit, riskiest in rows}
    assert chosen["20 calls"][0] <= 20
    assert chosen["a budget of 50"][0] <= 50
    assert all(profit >= riskiest for _, profit, riskiest in chosen.values())
    assert chosen["no limit"][1] >= chosen["a budget of 50"][1]
    assert "Verdict: kept" in said
    assert (home.scores / "CURRENT").is_file()


def test_your_own_feature_and_model(home: Home) -> None:
    said = text_of(executed("06-your-own-feature-and-model", pictures=0))
    assert "1 feature of ours, 0 moved" in said
    assert "Champion: 1" in said
    assert re.findall(r"^\d +notebook +(promoted|rolled back|refused) +(\d)", said, re.MULTILINE) == [
        ("promoted", "1"),
        ("promoted", "2"),
        ("rolled back", "1"),
        ("refused", "3"),
    ]
    assert not home.models.exists()  # what it trained stays in a folder of its own
    assert not home.mlflow.exists()

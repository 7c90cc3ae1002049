"""The command about who responds to a contact: response."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from features.terminal import out, print_json, print_table
from training.cli_arguments import AsJson
from training.cli_evaluate import OURS, result_rows
from training.cli_learned import learned_or_champion
from training.protocols import RESPONSE

if TYPE_CHECKING:
    from training.versions import ModelVersion

#: Of the metrics, what stands in the table.
SHOWN = ("auc", "average_precision", "lift@10%", "capture@10%", "brier", "log_loss", "ece")


def response(
    show: Annotated[bool, typer.Option("--show", help="Train nothing; show the champion's back-test.")] = False,
    as_json: AsJson = False,
) -> None:
    """Learn who responds when contacted, from earlier contacts and the responses to them.

    Measured on the newest contacts, of which the tested model knew nothing, beside
    the share that responded by channel, past responses alone, and a logistic
    regression. After the next regulars score each customer has the probability of a
    response to a contact now, by the usual channel; lists can be sorted by it.
    """
    version, bundle, stands = learned_or_champion(RESPONSE, show=show)
    found = {**stands, **told(version, bundle)}
    if as_json:
        print_json(found)
    else:
        _show(found)


def told(version: ModelVersion, bundle: Path) -> dict[str, Any]:
    """What was learned from, and how well it did: `results` of ours and of each peer, `intervals` of ours."""
    from training.bundle import read_manifest

    about = read_manifest(bundle, kind=RESPONSE, verify=False)
    results: dict[str, dict[str, float]] = {OURS: {}}
    ends: dict[str, dict[str, float]] = {}
    for name, value in version.metrics.items():
        base, _, end = name.rpartition("_")
        if name.startswith("peer."):
            _, peer, metric = name.split(".", 2)
            results.setdefault(peer, {})[metric] = value
        elif end in ("low", "high") and base in version.metrics:
            ends.setdefault(base, {})[end] = value
        else:
            results[OURS][name] = value
    of_data = ("channel", "contacts", "responded", "campaigns", "tested_campaigns", "horizon_days")
    return {
        "model": RESPONSE,
        "test_as_of": f"{version.test_as_of:%Y-%m-%d}",
        **{name: about[name] for name in of_data},
        "results": results,
        "intervals": ends,
        "notes": list(version.notes),
    }


def _show(found: Mapping[str, Any]) -> None:
    out.print(
        f"{found['contacts']:,} contacts by {found['campaigns']} campaigns, {found['responded']:,} responded within "
        f"{found['horizon_days']} days; tested on {found['tested_campaigns']} campaigns from {found['test_as_of']} on. "
        "[green]*[/] marks the best."
    )
    headers = [name.replace("_", "\n").replace("@", "\n@") for name in SHOWN]
    print_table("", ("model", *headers), result_rows(found["results"], SHOWN))
    auc = found["intervals"].get("auc")
    if auc is not None:
        out.print(f"\n95% interval of the AUC of {OURS}: {auc['low']:.4f} to {auc['high']:.4f}")
    by = "" if found["channel"] is None else f" by {escape(found['channel'])}"
    stands = "is champion" if found["champion"] == found["version"] else "is not champion"
    why = "" if found["decision"] is None else f" ({escape(found['decision'])})"
    out.print(f"version {found['version']} {stands}{why}: customers are scored as if contacted{by}.", highlight=False)
    for note in found["notes"]:
        out.print(f"[yellow]note[/] {escape(note)}")

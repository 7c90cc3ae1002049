"""The words of a notice: what happened in a nightly run, what failed, and what to do. Nobody is named in it."""

from __future__ import annotations

import socket
from dataclasses import dataclass
from typing import Any

from serving.nightly.record import SCHEMA, RunRecord, Status

_TITLES = {
    Status.OK: "all right",
    Status.WARNED: "done, with something to look at",
    Status.HELD: "held back",
    Status.FAILED: "failed",
}
#: What goes on meanwhile, so that nobody gets up at night for it.
_MEANWHILE = {
    Status.WARNED: "The new scores are served.",
    Status.HELD: "What is served stays good: nothing that was held back is used.",
    Status.FAILED: "The last good scores and models stay served.",
}


@dataclass(frozen=True)
class Notice:
    """A subject, a text for people, and the same for programs."""

    subject: str
    text: str
    payload: dict[str, Any]


def notice_of(run: RunRecord, *, shop: str | None = None) -> Notice:
    """The notice on a run whose result is known. `shop` names whose it is, where there are several."""
    result = run.result or Status.FAILED
    host = socket.gethostname()
    subject = f"Regulars nightly on {host}{'' if shop is None else f' for {shop}'}: {_TITLES[result]}"
    lines = [subject, f"Run {run.run}" + (f", resumed {run.resumed} times" if run.resumed else "")]
    if result in _MEANWHILE:
        lines.append(_MEANWHILE[result])
    for step in run.steps.values():
        if step.status is Status.OK and step.of_run:
            continue
        lines.append(f"\n{step.name}: {step.status}" + (f", {step.seconds:.0f} s" if step.seconds >= 1 else ""))
        lines += [f"  {said}" for said in step.said]
        lines += [f"  What to do: {do}" for do in step.do]
    lines.append(f"\nThe report is nightly/runs/{run.run}/report.html in the data home;  regulars nightly --status")
    text = "\n".join(lines)
    payload = {
        "schema": SCHEMA,
        "event": "nightly",
        "host": host,
        **({} if shop is None else {"tenant": shop}),
        "run": run.run,
        "started_at": run.started_at,
        "result": result,
        "title": subject,
        "text": text,  # what chat programs show of an incoming webhook
        "steps": [
            {"name": s.name, "status": s.status, "seconds": round(s.seconds, 1), "said": s.said, "do": s.do}
            for s in run.steps.values()
        ],
    }
    return Notice(subject, text, payload)

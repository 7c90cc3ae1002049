"""The profit curve of a contact plan as a picture, or as a page with a slider over the length of the list."""

from __future__ import annotations

import json
from dataclasses import asdict
from html import escape
from pathlib import Path
from string import Template

from features.errors import ConfigError
from features.home import new_file
from training.contact_curve import Cut, shown
from training.contact_plan import ContactPlan
from training.plots import DPI, FAINT, INK, MUTED, OURS

FORMS = (".png", ".html")


def check_form(path: Path) -> None:
    """Raises ConfigError for a file name of a form that is not drawn."""
    if path.suffix.lower() not in FORMS:
        raise ConfigError(f"{path}: a curve is drawn as {' or '.join(FORMS)}. Name the file so.")


def draw(path: Path, plan: ContactPlan, *, title: str, currency: str = "") -> Path:
    """Writes the curve, as the name of the file ends: .png, or .html with a slider and no outside address."""
    check_form(path)
    points = shown(plan)
    with new_file(path) as aside:
        if path.suffix.lower() == ".png":
            _png(aside, plan, points, title=title, currency=currency)
        else:
            aside.write_text(_page(plan, points, title=title, currency=currency), encoding="utf-8")
    return path


def _png(path: Path, plan: ContactPlan, points: list[Cut], *, title: str, currency: str) -> None:
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6.8, 5.8), dpi=DPI, layout="constrained", facecolor="white")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=(3, 2))
    contacts = [cut.contacts for cut in points]
    rate = plan.save_rate
    if rate.low is not None and rate.high is not None and plan.prospects.uplift is None:
        ends = [_at_rate(plan, points, value) for value in (rate.low, rate.high)]
        upper.fill_between(contacts, *ends, color=OURS, alpha=0.15, label="95 % interval of the save rate")
    upper.plot(contacts, [cut.profit for cut in points], color=OURS, linewidth=2, label="expected profit")
    upper.axhline(0, color=MUTED, linewidth=0.8)
    chosen, best = len(plan.contacted), plan.best
    upper.axvline(chosen, color=INK, linewidth=1, label=f"this list: {chosen:,}")
    upper.axvline(best, color=MUTED, linewidth=1, dashes=(4, 3), label=f"most profit: {best:,}")
    if plan.break_even is not None:
        upper.axvline(
            plan.break_even, color=MUTED, linewidth=1, dashes=(1, 2), label=f"break-even: {plan.break_even:,}"
        )
    upper.set(ylabel=f"expected profit {currency}".rstrip())
    lower.plot(contacts, [cut.churners for cut in points], color=OURS, linewidth=1.6, label="churners caught")
    lower.plot(contacts, [cut.false_alarms for cut in points], color=MUTED, linewidth=1.4, label="false alarms")
    lower.set(xlabel="customers contacted, most profitable first", ylabel="customers (expected)")
    for axes in (upper, lower):
        axes.spines[["top", "right"]].set_visible(False)
        axes.tick_params(colors=MUTED, labelcolor=INK, labelsize=8, length=3)
        axes.grid(color=FAINT, linewidth=0.7)
        axes.legend(frameon=False, fontsize=8, labelcolor=INK)
    figure.suptitle(title, x=0.02, ha="left", fontsize=10.5, color=INK)
    FigureCanvasAgg(figure).print_png(str(path), metadata={"Software": None})


def _at_rate(plan: ContactPlan, points: list[Cut], save_rate: float) -> list[float]:
    import numpy as np

    who = plan.order[~plan.held_out]
    profit = np.concatenate(([0.0], np.cumsum(plan.prospects.profit(plan.economics, save_rate)[who])))
    fixed = plan.economics.fixed_cost
    return [float(profit[cut.contacts]) - (fixed if cut.contacts else 0.0) for cut in points]


def _page(plan: ContactPlan, points: list[Cut], *, title: str, currency: str) -> str:
    width, height, left = 860, 300, 70
    profits, last = [cut.profit for cut in points], max(points[-1].contacts, 1)
    top, bottom = max(*profits, 0.0), min(*profits, 0.0)
    span = (top - bottom) or 1.0

    def place(contacts: int, profit: float) -> str:
        return f"{left + (width - left - 10) * contacts / last:.1f},{10 + (height - 20) * (top - profit) / span:.1f}"

    line = " ".join(place(cut.contacts, cut.profit) for cut in points)
    zero = place(0, 0.0).split(",")[1]
    start = min(range(len(points)), key=lambda at: abs(points[at].contacts - len(plan.contacted)))
    # A slash of a closing tag inside a script would end it.
    data = json.dumps([asdict(cut) for cut in points]).replace("</", "<\\/")
    return _PAGE.substitute(
        title=escape(title),
        currency=json.dumps(currency).replace("</", "<\\/"),
        width=width,
        height=height,
        left=left,
        right=width - 10,
        zero=zero,
        line=line,
        top=f"{top:,.0f}",
        bottom=f"{bottom:,.0f}",
        lowest=height - 10,
        last=len(points) - 1,
        start=start,
        data=data,
        chosen=len(plan.contacted),
        best=plan.best,
        colour=OURS,
        ink=INK,
        muted=MUTED,
    )


_PAGE = Template("""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>$title</title><style>
body{font:15px system-ui,sans-serif;color:$ink;max-width:900px;margin:2rem auto;padding:0 1rem}
input{width:100%} td{padding:.15rem 1.2rem .15rem 0} td+td{text-align:right;font-variant-numeric:tabular-nums}
svg text{font-size:12px;fill:$ink}
</style></head><body><h1 style="font-size:1.2rem">$title</h1>
<svg viewBox="0 0 $width $height" role="img" aria-label="Expected profit by customers contacted">
<line x1="$left" x2="$right" y1="$zero" y2="$zero" stroke="$muted"/>
<polyline points="$line" fill="none" stroke="$colour" stroke-width="2"/>
<line id="mark" y1="10" y2="$lowest" stroke="$ink"/>
<text x="4" y="20">$top</text><text x="4" y="$lowest">$bottom</text></svg>
<label>Customers contacted, most profitable first
<input id="at" type="range" min="0" max="$last" value="$start"></label>
<table><tbody id="told"></tbody></table>
<p>The list takes $chosen; most profit is expected at $best. Churners and false alarms are expected numbers, from the
calibrated probabilities.</p>
<script>
const cuts = $data, currency = $currency, most = Math.max(cuts[cuts.length - 1].contacts, 1);
const number = (value, digits) => value.toLocaleString("en", {maximumFractionDigits: digits});
function show() {
  const cut = cuts[+document.getElementById("at").value];
  const x = $left + ($right - $left) * cut.contacts / most;
  const mark = document.getElementById("mark");
  mark.setAttribute("x1", x); mark.setAttribute("x2", x);
  const rows = [["customers contacted", number(cut.contacts, 0)],
    ["expected profit", number(cut.profit, 2) + " " + currency],
    ["expected cost", number(cut.cost, 2) + " " + currency], ["churners caught", number(cut.churners, 1)],
    ["of all churners", number(cut.caught_share * 100, 1) + " %"], ["false alarms", number(cut.false_alarms, 1)],
    ["customers kept", number(cut.saved, 2)]];
  const told = document.getElementById("told");
  told.replaceChildren(...rows.map(([name, value]) => {
    const row = document.createElement("tr");
    for (const text of [name, value]) row.append(Object.assign(document.createElement("td"), {textContent: text}));
    return row;
  }));
}
document.getElementById("at").addEventListener("input", show); show();
</script></body></html>
""")

"use strict";
// The pages work without this file; it adds dialogs, keys and charts.
(function () {
  const dialog = document.getElementById("dialog");
  document.addEventListener("htmx:afterSwap", function (event) {
    if (event.detail.target.id === "panel" && dialog && !dialog.open) { dialog.showModal(); }
    draw(document);
  });
  document.addEventListener("recorded", function () { if (dialog) { dialog.close(); } });
  document.addEventListener("htmx:sendError", function () { say(document.documentElement.lang.startsWith("zh") ? "服务器没有回应。" : "The server does not answer."); });
  if (dialog) { dialog.addEventListener("click", function (event) { if (event.target === dialog) { dialog.close(); } }); }

  function say(text) {
    const notes = document.getElementById("notes"), note = document.createElement("p");
    if (!notes) { return; }
    note.className = "note bad"; note.textContent = text; notes.replaceChildren(note);
  }

  function rows() { return Array.from(document.querySelectorAll("tr.who .open")); }
  document.addEventListener("keydown", function (event) {
    const typing = /^(INPUT|SELECT|TEXTAREA)$/.test(event.target.tagName) || event.ctrlKey || event.metaKey || event.altKey;
    if (typing || document.querySelector("dialog[open]")) { return; }
    const all = rows(), row = document.activeElement.closest && document.activeElement.closest("tr.who");
    const at = row ? all.indexOf(row.querySelector(".open")) : -1;
    if (event.key === "/") { event.preventDefault(); const menu = document.querySelector(".menu"); if (menu) { menu.open = true; } document.getElementById("find").focus(); }
    else if (event.key === "j" && all.length) { all[Math.min(at + 1, all.length - 1)].focus(); }
    else if (event.key === "k" && all.length) { all[Math.max(at - 1, 0)].focus(); }
    else if (event.key === "r" && row) { event.preventDefault(); row.querySelector(".record").click(); }
    else if (event.key === "?") { document.getElementById("keys").showModal(); }
  });

  function colour(name) { return getComputedStyle(document.documentElement).getPropertyValue(name).trim(); }
  function format(value) { return value.toLocaleString("en", { maximumFractionDigits: Math.abs(value) < 10 ? 2 : 0 }); }

  // Each series on top of those after it: the highest is drawn first, and the others over it.
  function cumulated(series) {
    const sums = series[0].y.map(function () { return 0; });
    return series.slice().reverse().map(function (one) { one.y.forEach(function (y, at) { sums[at] += y; }); return sums.slice(); }).reverse();
  }
  function stacked(place, told, stack, axis) {
    const label = function (_, all) { return all.map(function (at) { return Number.isInteger(at) ? told.labels[at] : ""; }); };
    const chart = new window.uPlot({
      width: place.clientWidth, height: place.clientHeight, legend: { show: false }, cursor: { y: false }, scales: { x: { time: false }, y: { range: function (_, low, high) { return [0, high * 1.02]; } } },
      axes: [Object.assign({ values: label, space: 110 }, axis), Object.assign({ size: 64, values: function (_, all) { return all.map(format); } }, axis)],
      series: [{}].concat(stack.map(function (_, at) { return { stroke: colour("--c" + at), fill: colour("--c" + at), width: 1, points: { show: false } }; }))
    }, [told.x].concat(stack), place);
    new ResizeObserver(function () { if (place.clientWidth) { chart.setSize({ width: place.clientWidth, height: place.clientHeight }); } }).observe(place);
    return chart;
  }

  // One bar a name, with the ends of its interval where there is one.
  function barred(place, told, axis, show) {
    const x = told.bars.map(function (_, at) { return at; }), low = told.low || [], high = told.high || [];
    const most = Math.max.apply(null, told.bars.concat(high).map(Number)), least = Math.min.apply(null, [0].concat(told.bars, low).map(Number));
    const chart = new window.uPlot({
      width: place.clientWidth, height: place.clientHeight, legend: { show: false }, cursor: { show: false },
      scales: { x: { time: false, range: [-0.6, x.length - 0.4] }, y: { range: [least * 1.05, most * 1.05 || 1] } },
      axes: [Object.assign({ space: 34, incrs: [1, 2, 5, 10], values: function (_, all) { return all.map(function (at) { return told.labels[at] || ""; }); } }, axis, { grid: { show: false } }),
             Object.assign({ size: 72, values: function (_, all) { return all.map(show); } }, axis)],
      series: [{}, { stroke: colour("--accent"), fill: colour("--accent"), width: 0, paths: window.uPlot.paths.bars({ size: [0.6, 44] }), points: { show: false } }],
      hooks: { draw: [function (u) {
        u.ctx.save(); u.ctx.strokeStyle = colour("--ink"); u.ctx.lineWidth = 2;
        high.forEach(function (end, at) {
          if (end === null || low[at] === null) { return; }
          const across = Math.round(u.valToPos(at, "x", true));
          u.ctx.beginPath(); u.ctx.moveTo(across, u.valToPos(low[at], "y", true)); u.ctx.lineTo(across, u.valToPos(end, "y", true)); u.ctx.stroke();
        });
        u.ctx.restore();
      }] }
    }, [x, told.bars], place);
    new ResizeObserver(function () { if (place.clientWidth) { chart.setSize({ width: place.clientWidth, height: place.clientHeight }); } }).observe(place);
  }

  function draw(within) {
    if (!window.uPlot) { return; }
    within.querySelectorAll("[data-plot]").forEach(function (place) {
      if (place.dataset.drawn) { return; }
      place.dataset.drawn = "true";
      const told = JSON.parse(place.dataset.plot), percent = place.dataset.unit === "percent";
      const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "12px Inter, sans-serif" };
      const show = function (value) { return percent ? Math.round(value * 100) + "%" : format(value); };
      if (told.bars) { barred(place, told, axis, place.dataset.unit === "share" ? function (value) { return Math.round(value * 1000) / 10 + "%"; } : format); return; }
      const stack = told.stack && cumulated(told.stack);
      if (stack) { place.uplot = stacked(place, told, stack, axis); return; }
      const chart = new window.uPlot({
        width: place.clientWidth, height: place.clientHeight, legend: { show: false }, cursor: { y: false },
        scales: { x: { time: false }, y: percent ? { range: [0, 1] } : {} },
        axes: [Object.assign({ values: function (_, all) { return all.map(format); } }, axis, { size: 28, label: place.dataset.x, labelFont: "12px Inter, sans-serif", labelSize: 18, labelGap: 2 }),
               Object.assign({ size: 64, values: function (_, all) { return all.map(show); } }, axis)],
        series: [{}, { stroke: colour("--accent"), width: 2, fill: percent ? colour("--accent-soft") : undefined, points: { show: false } }],
        hooks: { draw: [function (u) {
          [["cut", "--warn"], ["best", "--info"]].forEach(function (mark) {
            const value = told[mark[0]];
            if (value === undefined || value === null) { return; }
            const x = Math.round(u.valToPos(value, "x", true));
            u.ctx.save(); u.ctx.strokeStyle = colour(mark[1]); u.ctx.lineWidth = 2; u.ctx.setLineDash([5, 4]);
            u.ctx.beginPath(); u.ctx.moveTo(x, u.bbox.top); u.ctx.lineTo(x, u.bbox.top + u.bbox.height); u.ctx.stroke(); u.ctx.restore();
          });
        }] }
      }, [told.x, told.y], place);
      new ResizeObserver(function () { if (place.clientWidth) { chart.setSize({ width: place.clientWidth, height: place.clientHeight }); } }).observe(place);
    });
  }
  // On a small screen the list comes first; on a wide one there is nothing to open the filters with.
  const box = document.querySelector(".filter-box"), small = window.matchMedia("(max-width: 820px)");
  function fold() { if (box) { box.open = !small.matches || Boolean(box.dataset.keep); } }
  fold();
  small.addEventListener("change", fold);
  draw(document);
  // What is drawn has the colours of its moment.
  window.matchMedia("(prefers-color-scheme: dark)").addEventListener("change", function () {
    document.querySelectorAll("[data-drawn]").forEach(function (place) { delete place.dataset.drawn; place.replaceChildren(); });
    draw(document);
  });
})();

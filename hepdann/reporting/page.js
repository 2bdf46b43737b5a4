"use strict";
(() => {
  const NS = "http://www.w3.org/2000/svg";
  const root = document.documentElement;

  // Everything that comes from a run enters as text or as a number, never as markup.
  function make(tag, attributes, text, ns) {
    const node = ns ? document.createElementNS(ns, tag) : document.createElement(tag);
    for (const [key, value] of Object.entries(attributes || {})) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    return node;
  }
  const draw = (parent, tag, attributes, text) =>
    parent.appendChild(make(tag, attributes, text, NS));

  // --- theme -------------------------------------------------------------------------------
  const themeButton = document.getElementById("theme");
  const systemDark = matchMedia("(prefers-color-scheme: dark)");
  const isDark = () => (root.dataset.theme ? root.dataset.theme === "dark" : systemDark.matches);
  function showTheme() {
    themeButton.setAttribute("aria-pressed", String(isDark()));
    themeButton.textContent = isDark() ? "Light" : "Dark";
  }
  themeButton.addEventListener("click", () => {
    root.dataset.theme = isDark() ? "light" : "dark";
    showTheme();
  });
  systemDark.addEventListener("change", showTheme);
  showTheme();

  // --- sortable tables ---------------------------------------------------------------------
  function sortKey(row, column) {
    const cell = row.cells[column];
    if (cell.dataset.value === undefined) return cell.textContent.trim().toLowerCase();
    return cell.dataset.value === "" ? NaN : Number(cell.dataset.value);
  }
  function order(a, b) {
    if (typeof a === "string") return a.localeCompare(b, undefined, { numeric: true });
    return a - b;
  }
  function sortBy(table, header, column) {
    const rising = header.getAttribute("aria-sort") !== "ascending";
    for (const other of table.tHead.rows[0].cells) other.setAttribute("aria-sort", "none");
    header.setAttribute("aria-sort", rising ? "ascending" : "descending");
    const body = table.tBodies[0];
    const keyed = [...body.rows].map((row) => [sortKey(row, column), row]);
    const empty = (key) => typeof key === "number" && Number.isNaN(key);
    keyed.sort(([a], [b]) => {
      if (empty(a) || empty(b)) return Number(empty(a)) - Number(empty(b));
      return (rising ? 1 : -1) * order(a, b);
    });
    for (const [, row] of keyed) body.append(row);
  }
  for (const table of document.querySelectorAll("table.sortable")) {
    [...table.tHead.rows[0].cells].forEach((header, column) => {
      const button = make("button", { type: "button" }, header.textContent);
      header.replaceChildren(button);
      header.setAttribute("aria-sort", "none");
      button.addEventListener("click", () => sortBy(table, header, column));
    });
  }

  addEventListener("beforeprint", () => {
    for (const details of document.querySelectorAll("details")) details.open = true;
  });

  // --- enlarged figure ---------------------------------------------------------------------
  const viewer = document.getElementById("viewer");
  const stage = viewer.querySelector(".stage");
  let zoom = 0;
  function setZoom(level) {
    zoom = Math.max(0, Math.min(3, level));
    stage.className = zoom ? `stage z${zoom}` : "stage";
  }
  for (const button of document.querySelectorAll("button.zoom")) {
    button.addEventListener("click", () => {
      const image = button.querySelector("img");
      const large = stage.querySelector("img");
      large.src = image.src;
      large.alt = image.alt;
      const link = viewer.querySelector("a.download");
      link.href = image.src;
      link.download = image.dataset.name;
      viewer.querySelector(".caption").textContent = image.alt;
      setZoom(0);
      viewer.showModal();
    });
  }
  viewer.addEventListener("click", (event) => {
    const target = event.target;
    if (target === viewer || target.hasAttribute("data-close")) viewer.close();
    if (target.dataset.zoom) setZoom(zoom + Number(target.dataset.zoom));
  });

  // --- charts ------------------------------------------------------------------------------
  const W = 640, H = 400, LEFT = 66, RIGHT = 14, TOP = 12, BOTTOM = 48;
  const short = (value) =>
    value === null ? "-" : Math.abs(value) >= 1e5 || (value && Math.abs(value) < 1e-3)
      ? value.toExponential(2) : String(Number(value.toPrecision(4)));

  function scale(low, high, from, to, log) {
    const f = log ? Math.log10 : (v) => v;
    const a = f(low), b = f(high);
    return (v) => from + ((f(v) - a) / (b - a)) * (to - from);
  }
  function ticks(low, high, log) {
    if (log) {
      const out = [];
      for (let p = Math.ceil(Math.log10(low) - 1e-9); 10 ** p <= high * 1.0001; p += 1) out.push(10 ** p);
      if (out.length > 2) return out;
      return [1, 2, 5, 10, 20, 50, 100].filter((v) => v >= low && v <= high);
    }
    const raw = (high - low) / 5;
    const power = 10 ** Math.floor(Math.log10(raw));
    const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= raw);
    const out = [];
    for (let v = Math.ceil(low / step) * step; v <= high + 1e-9 * step; v += step) out.push(Number(v.toPrecision(12)));
    return out;
  }
  function frame(box, title, x, y) {
    box.append(make("h4", {}, title));
    const svg = make("svg", { viewBox: `0 0 ${W} ${H}`, tabindex: "0", role: "img", "aria-label": `${title}; arrow keys move the cursor` }, undefined, NS);
    box.append(svg);
    const sx = scale(x.low, x.high, LEFT, W - RIGHT, x.log);
    const sy = scale(y.low, y.high, H - BOTTOM, TOP, y.log);
    for (const v of ticks(x.low, x.high, x.log)) {
      draw(svg, "line", { class: "grid", x1: sx(v), x2: sx(v), y1: TOP, y2: H - BOTTOM });
      draw(svg, "text", { x: sx(v), y: H - BOTTOM + 18, "text-anchor": "middle" }, short(v));
    }
    for (const v of ticks(y.low, y.high, y.log)) {
      draw(svg, "line", { class: "grid", x1: LEFT, x2: W - RIGHT, y1: sy(v), y2: sy(v) });
      draw(svg, "text", { x: LEFT - 6, y: sy(v) + 4, "text-anchor": "end" }, short(v));
    }
    draw(svg, "path", { class: "axis", fill: "none", d: `M${LEFT} ${TOP}V${H - BOTTOM}H${W - RIGHT}` });
    draw(svg, "text", { x: W - RIGHT, y: H - 8, "text-anchor": "end" }, x.title);
    draw(svg, "text", { transform: `translate(14 ${TOP}) rotate(-90)`, "text-anchor": "end" }, y.title);
    return { svg, sx, sy };
  }
  function cursor(box, plot, count, place, describe) {
    const line = draw(plot.svg, "line", { class: "cursor", y1: TOP, y2: H - BOTTOM, visibility: "hidden" });
    const readout = box.appendChild(make("p", { class: "readout", "aria-live": "polite" }));
    let at = -1;
    function moveTo(index) {
      at = Math.max(0, Math.min(count - 1, index));
      const x = plot.sx(place(at));
      for (const key of ["x1", "x2"]) line.setAttribute(key, x);
      line.setAttribute("visibility", "visible");
      readout.textContent = describe(at);
    }
    plot.svg.addEventListener("pointermove", (event) => {
      const area = plot.svg.getBoundingClientRect();
      const x = ((event.clientX - area.left) / area.width) * W;
      let best = 0;
      for (let i = 1; i < count; i += 1) {
        if (Math.abs(plot.sx(place(i)) - x) < Math.abs(plot.sx(place(best)) - x)) best = i;
      }
      moveTo(best);
    });
    plot.svg.addEventListener("keydown", (event) => {
      const step = { ArrowLeft: -1, ArrowRight: 1, PageUp: -10, PageDown: 10 }[event.key];
      if (step === undefined && event.key !== "Home" && event.key !== "End") return;
      event.preventDefault();
      moveTo(event.key === "Home" ? 0 : event.key === "End" ? count - 1 : at + step);
    });
  }
  function key(list, name, colour, mark) {
    const item = list.appendChild(make("li"));
    const svg = item.appendChild(make("svg", { viewBox: "0 0 16 10", "aria-hidden": "true" }, undefined, NS));
    if (mark === "line") draw(svg, "line", { x1: 0, x2: 16, y1: 5, y2: 5, stroke: colour, "stroke-width": 3 });
    else if (mark === "point") draw(svg, "circle", { cx: 8, cy: 5, r: 3.5, class: "data" });
    else draw(svg, "rect", { width: 16, height: 10, fill: colour, "fill-opacity": 0.6 });
    item.append(name);
  }

  function rocChart(box, chart) {
    let top = 2;
    for (const c of chart.curves) for (const v of c.y) top = Math.max(top, v);
    const x = { low: 0, high: 1, title: `${chart.signal} efficiency` };
    const y = { low: 1, high: top * 1.3, log: true, title: "background rejection" };
    const plot = frame(box, chart.title, x, y);
    const keys = make("ul", { class: "keys" });
    for (const c of chart.curves.filter((curve) => curve.band)) {
      const up = c.x.map((v, i) => `${plot.sx(v).toFixed(1)} ${plot.sy(Math.min(c.high[i], y.high)).toFixed(1)}`);
      const down = c.x.map((v, i) => `${plot.sx(v).toFixed(1)} ${plot.sy(Math.max(c.low[i], 1)).toFixed(1)}`).reverse();
      draw(plot.svg, "path", { d: `M${up.join("L")}L${down.join("L")}Z`, fill: c.color, "fill-opacity": 0.18 });
    }
    for (const c of chart.curves) {
      const d = c.x.map((v, i) => `${plot.sx(v).toFixed(1)} ${plot.sy(c.y[i]).toFixed(1)}`).join("L");
      draw(plot.svg, "path", { d: `M${d}`, fill: "none", stroke: c.color, "stroke-width": 2.2 });
      const area = c.auc === null ? "n/a" : c.auc.toFixed(4) + (c.auc_error === null ? "" : ` ± ${c.auc_error.toFixed(4)}`);
      key(keys, `${c.name}: AUC ${area}`, c.color, "line");
    }
    const STEPS = 99;
    function at(c, efficiency) {
      let i = c.x.findIndex((v) => v >= efficiency);
      if (i < 0) i = c.x.length - 1;
      return i;
    }
    cursor(box, plot, STEPS, (i) => (i + 1) / (STEPS + 1), (i) => {
      const efficiency = (i + 1) / (STEPS + 1);
      const parts = chart.curves.map((c) => {
        const k = at(c, efficiency);
        const error = (c.high[k] - c.low[k]) / 2;
        return `${c.name} ${short(c.y[k])} ± ${short(Number(error.toPrecision(2)))} (score > ${short(c.threshold[k])})`;
      });
      return `efficiency ${efficiency.toFixed(2)}: rejection ${parts.join("; ")}`;
    });
    box.append(keys);
  }

  function steps(plot, edges, y, base) {
    const p = (v, w) => `${plot.sx(v).toFixed(1)} ${plot.sy(w).toFixed(1)}`;
    const out = [p(edges[0], base)];
    y.forEach((v, i) => out.push(p(edges[i], Math.max(v, base)), p(edges[i + 1], Math.max(v, base))));
    out.push(p(edges[edges.length - 1], base));
    return `M${out.join("L")}`;
  }
  function scoreChart(box, chart) {
    const edges = chart.edges, data = chart.data;
    let top = 0;
    for (const v of chart.mc.y) top = Math.max(top, v);
    data.y.forEach((v, i) => { top = Math.max(top, v + data.high[i]); });
    const x = { low: edges[0], high: edges[edges.length - 1], title: "score" };
    const middle = [...chart.mc.y].sort((a, b) => a - b)[Math.floor(chart.mc.y.length / 2)];
    const log = middle > 0 && top > 10 * middle; // a spike at an end would hide all else
    const floor = log ? 0.5 * Math.min(1, ...chart.mc.y.filter((v) => v > 0)) : 0;
    const y = { low: floor, high: (top || 1) * (log ? 2 : 1.08), log, title: chart.scaled ? "events (MC scaled)" : "events" };
    const plot = frame(box, chart.title, x, y);
    const keys = make("ul", { class: "keys" });
    for (const part of chart.stack) {
      draw(plot.svg, "path", { d: `${steps(plot, edges, part.y, floor)}Z`, fill: part.color, "fill-opacity": 0.5, stroke: part.color });
      key(keys, part.name, part.color, "box");
    }
    draw(plot.svg, "path", { class: "total", d: steps(plot, edges, chart.mc.y, floor), "stroke-width": 1.4 });
    data.y.forEach((v, i) => {
      if (v <= floor) return;
      const c = plot.sx((edges[i] + edges[i + 1]) / 2);
      draw(plot.svg, "line", { class: "data", x1: c, x2: c, y1: plot.sy(Math.max(v - data.low[i], floor)), y2: plot.sy(v + data.high[i]) });
      draw(plot.svg, "circle", { class: "data", cx: c, cy: plot.sy(v), r: 3 });
    });
    key(keys, chart.data_name, "", "point");
    cursor(box, plot, data.y.length, (i) => (edges[i] + edges[i + 1]) / 2, (i) => {
      const parts = chart.stack.map((part) => `${part.name} ${short(part.y[i])}`);
      const ratio = chart.mc.y[i] > 0 ? `; ratio ${short(data.y[i] / chart.mc.y[i])}` : "";
      return `score ${short(edges[i])} to ${short(edges[i + 1])}: ${chart.data_name} ${short(data.y[i])} +${short(data.high[i])} −${short(data.low[i])}; MC ${short(chart.mc.y[i])} ± ${short(chart.mc.error[i])} (${parts.join(", ")})${ratio}`;
    });
    box.append(keys);
  }

  const numbers = JSON.parse(document.getElementById("numbers").textContent);
  for (const place of document.querySelectorAll(".charts")) {
    for (const chart of numbers[place.dataset.run]) {
      const box = place.appendChild(make("div", { class: "chart" }));
      (chart.kind === "roc" ? rocChart : scoreChart)(box, chart);
    }
  }
})();

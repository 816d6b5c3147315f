// Draws the figures of a page, and keeps the page up to date by requests for changes.
"use strict";
(() => {
  const root = document.documentElement;
  const given = JSON.parse(document.getElementById("given").textContent);
  const figures = given.figures, hashes = given.hashes, shown = new Set(), near = new Set();
  const config = { displayModeBar: false, responsive: true, doubleClick: "reset+autosize", showTips: false };
  const byTime = new Set();
  let live = given.live, failures = 0, timer = 0, paper = 0;

  // ---- light and dark
  const stored = () => { try { return localStorage.getItem("mend-theme"); } catch { return null; } };
  const preferred = matchMedia("(prefers-color-scheme: dark)");
  const printing = matchMedia("print");
  function theme() {
    const wanted = printing.matches ? "light" : stored() || (preferred.matches ? "dark" : "light");
    if (root.dataset.theme === wanted) return;
    root.dataset.theme = wanted;
    for (const id of shown) draw(id);
  }
  root.dataset.theme = stored() || (preferred.matches ? "dark" : "light");
  preferred.addEventListener("change", theme);
  printing.addEventListener("change", theme);
  document.getElementById("theme")?.addEventListener("click", () => {
    try { localStorage.setItem("mend-theme", root.dataset.theme === "dark" ? "light" : "dark"); } catch { /* private window */ }
    theme();
  });

  // ---- figures
  function coloured(value, styles) {
    if (typeof value === "string") return value.startsWith("--") ? styles.getPropertyValue(value).trim() : value;
    if (Array.isArray(value)) return typeof value[0] === "object" ? value.map((item) => coloured(item, styles)) : value;
    if (value && typeof value === "object")
      return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, coloured(item, styles)]));
    return value;
  }
  function draw(id) {
    const node = document.getElementById(id), figure = figures[id];
    if (!node || !figure || !window.Plotly) return;
    const styles = getComputedStyle(root);
    const data = coloured(figure.data, styles), layout = coloured(figure.layout, styles);
    if (byTime.has(id)) {
      for (const trace of data) if (trace.meta?.time) trace.x = trace.meta.time;
      layout.xaxis.type = "date";
      layout.xaxis.title.text = "time";
      layout.uirevision = "time";
    }
    for (const trace of data) delete trace.meta;
    const meta = figure.layout.meta || {};
    node.style.minWidth = meta.width && !paper ? `${meta.width}px` : "";
    if (paper) layout.width = paper;
    node.setAttribute("role", "img");
    node.setAttribute("aria-label", meta.alt || "");
    if (!shown.has(id)) {
      node.textContent = "";
      Plotly.newPlot(node, data, layout, config);
      node.on("plotly_click", (event) => follow(id, event.points[0]));
      shown.add(id);
    } else Plotly.react(node, data, layout, config);
  }
  function follow(id, point) {
    const trace = figures[id].data[point.curveNumber];
    const number = trace.meta?.trial ? trace.x[point.pointIndex] : trace.meta?.number ? trace.text[point.pointIndex] : null;
    if (number !== null && given.base) location.href = `${given.base}trial/${number}`;
  }
  // a figure below the screen is drawn when it comes near
  const seen = new IntersectionObserver((entries) => {
    for (const entry of entries) if (entry.isIntersecting) { seen.unobserve(entry.target); near.add(entry.target.id); draw(entry.target.id); }
  }, { rootMargin: "300px" });

  // print every figure, as wide as an A4 page between its margins
  function drawAll() { for (const node of document.querySelectorAll(".chart")) { near.add(node.id); draw(node.id); } }
  addEventListener("beforeprint", () => { paper = 680; drawAll(); });
  addEventListener("afterprint", () => { paper = 0; drawAll(); });

  document.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-axis]");
    if (!button) return;
    const ids = button.dataset.of.split(" ");
    for (const id of ids) { button.dataset.axis === "time" ? byTime.add(id) : byTime.delete(id); draw(id); }
    for (const other of button.parentElement.querySelectorAll("button"))
      other.setAttribute("aria-pressed", String(other === button));
  });

  // ---- times in the zone of the browser
  const clock = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" });
  const exact = new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit", second: "2-digit", timeZoneName: "short" });
  const full = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
  const day = new Intl.DateTimeFormat(undefined, { month: "short", day: "numeric", hour: "2-digit", minute: "2-digit" });
  function times(within) {
    for (const node of within.querySelectorAll("time[datetime]")) {
      const at = new Date(node.dateTime);
      if (isNaN(at)) continue;
      const today = Math.abs(at - Date.now()) < 6e7;
      node.textContent = (today ? (node.classList.contains("exact") ? exact : clock) : day).format(at);
      node.title = full.format(at);
    }
  }

  // ---- updates
  function put(id, html) {
    const node = document.getElementById(id);
    if (!node) return;
    const open = new Set([...node.querySelectorAll("details[open]")].map((item) => item.id));
    const focused = node.contains(document.activeElement) ? document.activeElement.id : "";
    const tops = [...node.querySelectorAll("pre, .scroll")].map((item) => [item.scrollTop, item.scrollLeft]);
    node.innerHTML = html;
    for (const item of node.querySelectorAll("details")) if (item.id && open.has(item.id)) item.open = true;
    [...node.querySelectorAll("pre, .scroll")].forEach((item, index) => { if (tops[index]) [item.scrollTop, item.scrollLeft] = tops[index]; });
    if (focused) document.getElementById(focused)?.focus();
    times(node);
  }
  function unreachable(reason) {
    const node = document.getElementById("unreachable");
    node.hidden = !reason;
    const text = reason ? `${reason} The page shows ${clock.format(fresh)}. Trying again…` : "";
    if (node.textContent !== text) node.textContent = text;
  }
  let fresh = new Date();
  async function update() {
    clearTimeout(timer);
    if (document.hidden) return;
    try {
      const answer = await fetch(`${given.api}?have=${Object.values(hashes).join(",")}`, { headers: { Accept: "application/json" } });
      if (answer.status === 401 || (answer.status === 404 && given.found)) return location.reload();
      const body = await answer.json();
      if (!answer.ok) throw new Error(body.unreachable || "The dashboard cannot answer.");
      if (!given.found || body.shape !== given.shape) return location.reload();  // the page has other elements now
      for (const [id, part] of Object.entries(body.parts)) { hashes[id] = part.hash; put(id, part.html); }
      for (const [id, figure] of Object.entries(body.figures)) {
        hashes[`figure ${id}`] = figure.hash;
        figures[id] = figure.figure;
        if (near.has(id)) draw(id);
      }
      live = body.live; fresh = new Date(); failures = 0; unreachable("");
      stamp();
    } catch (error) {
      failures += 1;
      unreachable(error instanceof TypeError ? "The dashboard does not answer." : error.message);
    }
    timer = setTimeout(update, Math.min(15000, (live || failures ? given.every : 10 * given.every) * (failures ? failures : 1)));
  }
  function stamp() {
    const node = document.getElementById("fresh");
    if (node) { node.dateTime = fresh.toISOString(); node.textContent = full.format(fresh); }
  }

  times(document);
  stamp();
  for (const node of document.querySelectorAll(".chart")) seen.observe(node);
  if (given.api) {
    if (given.unreachable) unreachable(given.unreachable);
    timer = setTimeout(update, given.every);
    document.addEventListener("visibilitychange", () => { if (!document.hidden) update(); });
  }
})();

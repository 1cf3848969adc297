// The live page: draws once per frame whatever has come, and says how fresh it is.

import { Curve } from "./chart.js";
import { Connection } from "./connection.js";
import { Grids } from "./grids.js";
import { MetricGrid } from "./metrics.js";
import { LiveModel } from "./model.js";

const STALE_S = 10;
const ENDED = ["done", "failed", "cancelled"];
const query = new URLSearchParams(location.search);
const runId = query.get("run_id");
const at = (id) => document.getElementById(id);
const model = new LiveModel();
const preferred = matchMedia("(prefers-color-scheme: dark)");
let isConnected = false;
let drawnAt = [];

function applyTheme() {
  const isDark = query.get("theme") ? query.get("theme") === "dark" : preferred.matches;
  document.documentElement.dataset.theme = isDark ? "dark" : "light";
}

applyTheme();
if (query.get("ticket")) document.documentElement.dataset.embedded = "";
const grids = new Grids(at("tiles"), at("predictions"));
const chart = new Curve(at("chart"), {
  onZoom: (isZoomed) => {
    at("unzoom").hidden = !isZoomed;
  },
});
const metricGrid = new MetricGrid(at("metrics"), figure, (shown, all) => {
  at("metrics-count").textContent = shown === all ? "" : `${shown} of ${all}`;
  at("metrics-filter").hidden = all < 4;
});
preferred.addEventListener("change", () => {
  applyTheme();
  chart.build();
  metricGrid.rebuild();
});

function count(number) {
  return number == null ? "–" : number.toLocaleString("en");
}

function figure(number) {
  if (typeof number !== "number") return number ?? "–";
  if (number === 0) return "0";
  return Math.abs(number) >= 1e-3 && Math.abs(number) < 1e5 ? Number(number.toPrecision(5)).toString() : number.toExponential(3);
}

function ago(seconds) {
  if (seconds < 2) return "just now";
  if (seconds < 90) return `${Math.floor(seconds)} s ago`;
  return seconds < 5400 ? `${Math.round(seconds / 60)} min ago` : `${Math.round(seconds / 3600)} h ago`;
}

function showState(state) {
  at("iteration").textContent = count(state.iteration);
  at("loss").textContent = figure(state.loss);
  at("batch").textContent = count(state.batch_size);
  at("delay").textContent = state.iteration == null ? "–" : `${figure(state.delay_ms)} ms`;
  at("badge").dataset.state = state.is_ready ? "ready" : "aggregating";
  at("badge").textContent = state.is_ready ? "ready 16/16" : `aggregating ${state.aggregated}/16`;
}

function showMosaic(mosaic) {
  const right = grids.show(mosaic);
  at("right").textContent = right === null ? "" : `${right} of 16 right`;
}

function showRun() {
  const run = model.run;
  at("run").hidden = !run;
  if (!run) return;
  const last = [...model.epochs.values()].pop();
  const parts = [run.name, run.status].filter(Boolean);
  if (run.num_epochs) parts.push(`epoch ${run.epochs_done} of ${run.num_epochs}`);
  if (last) {
    parts.push(`test accuracy ${(100 * last.test_accuracy).toFixed(2)} %`, `test loss ${figure(last.test_loss)}`);
    if (last.energy_kwh != null) parts.push(`${figure(1000 * last.energy_kwh)} Wh in the last epoch`);
  }
  at("run").textContent = parts.join(" · ");
}

// A script's run may have metrics alone: then there is no place for pictures that never come.
function showMetrics(changed) {
  const hasMetrics = model.metrics.size > 0;
  at("metrics-section").hidden = !hasMetrics;
  metricGrid.draw(model.metrics, changed, model.epochs.size > 0 ? "epoch" : "step");
}

function choosePlaces() {
  const hasBatches = model.iterations.length > 0 || model.mosaic !== null;
  document.documentElement.toggleAttribute("data-metrics-only", model.metrics.size > 0 && !hasBatches);
}

// What the connection and the producer are up to, in one word.
function describe(ageS) {
  if (!isConnected) return model.state ? ["reconnecting", "reconnecting"] : ["connecting", "connecting"];
  if (model.isPaused) return ["paused", model.heldPoints ? `paused, ${count(model.heldPoints)} points held` : "paused"];
  if (model.isStoreAway) return ["away", "Redis is away"];
  if (ENDED.includes(model.run?.status)) return ["ended", model.run.status];
  if (ageS === null) return ["waiting", "waiting for updates"];
  return ageS > STALE_S ? ["stale", "stale"] : ["live", "live"];
}

function showFreshness(nowS) {
  const ageS = model.ageS(nowS);
  const [state, text] = describe(ageS);
  at("connection").dataset.state = state;
  if (at("connection").textContent !== text) at("connection").textContent = text;
  at("updated").textContent = ageS === null ? "–" : ago(ageS);
  at("view").classList.toggle("is-stale", ["stale", "away", "reconnecting"].includes(state));
}

function draw(timeMs) {
  const changed = model.advance();
  if (changed.metrics) showMetrics(changed.metrics);
  if (changed.metrics || changed.points || changed.mosaic) choosePlaces();
  if (changed.points || changed.metrics?.size) drawnAt.push(timeMs);
  if (changed.points) {
    chart.draw(model.iterations, model.losses);
    at("empty").hidden = model.iterations.length > 0;
  }
  if (changed.state) showState(model.state);
  if (changed.mosaic) showMosaic(model.mosaic);
  if (changed.run) showRun();
  drawSoon();
}

// Who asks for less motion sees once a second what has changed, instead of in every frame.
const isCalm = matchMedia("(prefers-reduced-motion: reduce)");

function drawSoon() {
  if (isCalm.matches) setTimeout(requestAnimationFrame, 1000, draw);
  else requestAnimationFrame(draw);
}

function everyQuarterSecond() {
  const nowMs = performance.now();
  drawnAt = drawnAt.filter((timeMs) => timeMs > nowMs - 1000);
  at("fps").textContent = `${drawnAt.length} fps`;
  showFreshness(Date.now() / 1000);
}

at("pause").addEventListener("click", () => {
  model.isPaused = !model.isPaused;
  at("pause").textContent = model.isPaused ? "Resume" : "Pause";
  at("pause").setAttribute("aria-pressed", model.isPaused);
  showFreshness(Date.now() / 1000);
});
at("unzoom").addEventListener("click", () => chart.unzoom());
at("metrics-filter").addEventListener("input", () => {
  metricGrid.filter = at("metrics-filter").value.trim().toLowerCase();
  showMetrics(new Set());
});
if (runId) {
  at("title").textContent = `Live run ${runId.slice(0, 8)}`;
  document.title = `${at("title").textContent} · Wattle`;
}

const address = new URL("/ws", location.href);
address.protocol = location.protocol === "https:" ? "wss:" : "ws:";
if (runId) address.searchParams.set("run_id", runId);
new Connection(
  address.href,
  (message) => model.take(message, Date.now() / 1000),
  (state) => {
    isConnected = state === "open";
    showFreshness(Date.now() / 1000);
  },
);
setInterval(everyQuarterSecond, 250);
requestAnimationFrame(draw);

// The frame around the views: which one is shown, live refresh, token, theme.

import { ask, onAnswer, setToken, token } from "./api.js";
import { announce, el, field, problem, setServerTime, span, stamp, now, swap, visible } from "./dom.js";
import * as alerts from "./alerts.js";
import * as closure from "./closure.js";
import * as evidence from "./evidence.js";
import * as health from "./health.js";
import * as history from "./history.js";
import * as intake from "./intake.js";
import * as overview from "./overview.js";
import * as plan from "./plan.js";
import * as recoveries from "./recoveries.js";
import * as slots from "./slots.js";
import * as sources from "./sources.js";

const REFRESH_SECONDS = 15;
const VIEWS = {
  overview: { title: "Overview", ...overview },
  health: { title: "Retry Health", ...health },
  plan: { title: "Plan Executive Retry", ...plan },
  recoveries: { title: "Recoveries", ...recoveries },
  closure: { title: "Closure", ...closure },
  alerts: { title: "Alerts", ...alerts },
  slots: { title: "Scheduled runs", ...slots },
  sources: { title: "Sources", ...sources },
  evidence: { title: "Evidence", ...evidence },
  history: { title: "History", ...history },
  intake: { title: "Quarantine and findings", short: "Quarantine", ...intake },
};

const $ = (id) => document.getElementById(id);
let isPaused = false;
let shown = 0;
const context = { status: null };

function address() {
  const [name, text] = location.hash.replace(/^#\/?/, "").split("?");
  return { name: VIEWS[name] ? name : "overview", params: Object.fromEntries(new URLSearchParams(text || "")) };
}

async function show() {
  const { name, params } = address();
  const view = VIEWS[name];
  const mine = ++shown;
  document.title = `${view.title} · Evidence Console`;
  for (const link of $("views").querySelectorAll("a")) {
    if (link.dataset.view === name) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const heading = el("h1", { tabindex: "-1" }, view.title);
  const root = el("div", {}, el("p", { class: "soft" }, "Loading …"));
  $("main").replaceChildren(heading, root);
  $("main").setAttribute("aria-busy", "true");
  if (mine > 1) heading.focus({ preventScroll: true });
  await fresh();
  await draw(view, root, params, mine);
  if (mine === shown) $("main").removeAttribute("aria-busy");
}

async function draw(view, root, params, mine) {
  try {
    const nodes = await view.render(params, context, root);
    if (mine === shown && nodes) swap(root, nodes);
  } catch (error) {
    if (mine === shown) swap(root, problem(error));
    if (error.status === 401) askForToken();
  }
}

async function fresh() {
  try {
    context.status = await ask("/status");
  } catch (error) {
    if (error.status === 401) {
      $("token").hidden = false;
      askForToken();
    }
    return;
  }
  const { status } = context;
  setServerTime(status.now);
  $("token").hidden = status.access !== "tokens";
  $("service").textContent = visible(`cavra-pipeline ${status.version}; you are ${status.actor}. ${status.notice}`);
  const links = [["Lineage", "/asset-groups"], ["Runs", "/runs"], ["Automation", "/overview/automation"]];
  $("dagster").replaceChildren("Dagster: ", ...links.flatMap(([text, path], at) => [at ? ", " : "",
    el("a", { href: status.dagster.url + path, rel: "noreferrer" }, text)]));
}

onAnswer((headers) => {
  const at = headers.get("Cavra-Evidence-Copied-At");
  if (!at) return;
  const behind = headers.get("Cavra-Evidence-Is-Behind") === "true" ? "; a run is writing newer evidence" : "";
  $("freshness").textContent = `Evidence as of ${stamp(at)}${behind}.`;
});

async function refresh() {
  const { name, params } = address();
  if (isPaused || document.hidden || document.querySelector("dialog[open]") || !VIEWS[name].isLive) return;
  const [root] = $("main").querySelectorAll(":scope > div");
  if (root) await draw(VIEWS[name], root, params, shown);
}

function tick() {
  for (const one of document.querySelectorAll("[data-until]")) {
    const left = Date.parse(one.dataset.until) - now();
    one.textContent = left > 0 ? `in ${span(left)}` : "due now";
  }
}

let isAsking = false;
function askForToken() {
  if (isAsking) return;
  isAsking = true;
  const input = el("input", { name: "secret", type: "password", autocomplete: "off", spellcheck: "false", required: true });
  const done = (value) => {
    setToken(value);
    box.close();
    show();
  };
  const form = el("form", { onsubmit: (event) => { event.preventDefault(); done(input.value.trim()); } },
    el("h2", { id: "token-title" }, "Token"),
    field("The token that this service asks for", input, "Kept until this tab is closed."),
    el("p", { class: "acts" }, el("button", { class: "main" }, "Use it"),
      token() && el("button", { type: "button", onclick: () => done(null) }, "Forget it"),
      el("button", { type: "button", onclick: () => box.close() }, "Cancel")));
  const box = el("dialog", { "aria-labelledby": "token-title" }, form);
  box.addEventListener("close", () => { box.remove(); isAsking = false; });
  document.body.append(box);
  box.showModal();
}

function begin() {
  $("views").append(...Object.entries(VIEWS).map(([name, view]) => el("li", {}, el("a", { href: `#/${name}`, "data-view": name }, view.short ?? view.title))));
  $("skip").addEventListener("click", (event) => { event.preventDefault(); $("main").focus(); });
  $("token").addEventListener("click", askForToken);
  $("pause").addEventListener("click", () => {
    isPaused = !isPaused;
    $("pause").setAttribute("aria-pressed", String(isPaused));
    announce(isPaused ? "Live refresh is paused" : "Live refresh is on");
    if (!isPaused) refresh();
  });
  const theme = $("theme");
  theme.value = localStorage.getItem("theme") || "";
  const paint = () => { document.documentElement.dataset.theme = theme.value; };
  theme.addEventListener("change", () => { localStorage.setItem("theme", theme.value); paint(); });
  paint();
  window.addEventListener("hashchange", show);
  setInterval(refresh, REFRESH_SECONDS * 1000);
  setInterval(tick, 1000);
  show();
}

begin();

// The frame around the views: routing, the instant shown, live refresh, token and theme.

import { ask, onAnswer, setToken, token } from "./api.js";
import { LANES, announce, closeDialogs, clock, el, field, hash, loading, emptyState, problem, setServerTime, span, stamp, swap, visible } from "./dom.js";
import { asOf, followAddress, goToNow, isPast, momentControl } from "./moment.js";
import { drawNavigation, panelButton } from "./nav.js";
import * as alert from "./alert.js";
import * as alerts from "./alerts.js";
import * as closure from "./closure.js";
import * as delivery from "./delivery.js";
import * as escalation from "./escalation.js";
import * as evidence from "./evidence.js";
import * as executive from "./executive.js";
import * as forecast from "./forecast.js";
import * as health from "./health.js";
import * as history from "./history.js";
import * as incident from "./incident.js";
import * as incidents from "./incidents.js";
import * as intake from "./intake.js";
import * as overview from "./overview.js";
import * as plan from "./plan.js";
import * as recoveries from "./recoveries.js";
import * as reference from "./reference.js";
import * as slots from "./slots.js";
import * as sources from "./sources.js";
import { forgetOrders } from "./table.js";
import { withMessages } from "./validity.js";
import * as worker from "./worker.js";

const REFRESH_SECONDS = 15;
const VIEWS = {
  overview: { title: "Overview", ...overview },
  incidents: { title: "Incidents", ...incidents },
  incident: { title: "Incident", ...incident },
  delivery: { title: "Delivery", ...delivery },
  alerts: { title: "Alerts", ...alerts },
  alert: { title: "Alert", ...alert },
  plan: { title: "Retry plan", ...plan },
  worker: { title: "Worker", ...worker },
  forecast: { title: "Forecast", ...forecast },
  recoveries: { title: "Recoveries", ...recoveries },
  escalation: { title: "Escalation plan", ...escalation },
  closure: { title: "Closure", ...closure },
  health: { title: "Retry health", ...health },
  slots: { title: "Scheduled runs", ...slots },
  sources: { title: "Sources", ...sources },
  evidence: { title: "Evidence", ...evidence },
  intake: { title: "Quarantine and findings", ...intake },
  executive: { title: "Executive report", ...executive },
  history: { title: "History", ...history },
  api: { title: "API reference", ...reference },
};

/** The view of an unknown address. */
const MISSING = { title: "Unknown address", render: () => emptyState("The console has no page at this address.", el("a", { href: hash("overview") }, "Go to the overview"), " or choose a view from the menu.") };

const $ = (id) => document.getElementById(id);
let isPaused = false;
let viewCount = 0;
let markView = () => {};
let markMoment = () => {};
const context = { status: null };

/** Parses the address into view and parameters; a repeated parameter becomes a list. */
function address() {
  const [name, text] = location.hash.replace(/^#\/?/, "").split("?");
  const searchParams = new URLSearchParams(text || "");
  const params = Object.fromEntries([...new Set(searchParams.keys())].map((key) => {
    const values = searchParams.getAll(key);
    return [key, values.length > 1 ? values : values[0]];
  }));
  return { name: name || "overview", params };
}

/** The view of an address; of a lane that is none, a view that says so. */
function viewOf({ name, params }) {
  if (!Object.hasOwn(VIEWS, name)) return MISSING;
  const unknownLane = [params.lane ?? []].flat().find((lane) => lane && !LANES.includes(lane));
  if (!unknownLane) return VIEWS[name];
  return { title: VIEWS[name].title, render: () => emptyState(`There is no lane ${unknownLane}.`, el("a", { href: hash("overview") }, "Go to the overview"), ", which lists every lane.") };
}

async function show() {
  const { name, params: addressParams } = address();
  const params = followAddress(addressParams);
  // Marks this history entry as shown: going back to it restores its instant, a new link keeps the current one.
  window.history.replaceState({ isShown: true }, "", params.as_of === addressParams.as_of ? location.href : hash(name, params));
  const view = viewOf({ name, params });
  const viewNumber = ++viewCount;
  document.title = `${view.title} · Evidence Console`;
  closeDialogs();
  forgetOrders();
  markView(name);
  markMoment();
  const heading = el("h1", { tabindex: "-1" }, view.title);
  const root = el("div", {}, loading(view.title.toLowerCase()));
  $("main").replaceChildren(heading, root);
  $("main").setAttribute("aria-busy", "true");
  if (viewNumber > 1) {
    heading.focus({ preventScroll: true });
    scrollTo(0, 0);
  }
  await loadStatus(name === "overview");
  await draw(view, root, params, viewNumber);
  if (viewNumber === viewCount) $("main").removeAttribute("aria-busy");
}

async function draw(view, root, params, viewNumber) {
  try {
    const nodes = await view.render(params, context, root);
    if (viewNumber === viewCount && nodes) swap(root, nodes);
  } catch (error) {
    if (viewNumber === viewCount) swap(root, problem(error));
    if (error.status === 401) askForToken();
  }
}

/** Loads the service status; only the first page shows its notice about access. */
async function loadStatus(isStart) {
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
  $("service").textContent = visible(`cavra-pipeline ${status.version}; signed in as ${status.actor}.${isStart ? ` ${status.notice}` : ""}`);
  const links = [["Lineage", "/asset-groups"], ["Runs", "/runs"], ["Automation", "/overview/automation"]];
  $("dagster").replaceChildren("Dagster: ", ...links.flatMap(([text, path], at) => [at ? ", " : "",
    el("a", { href: status.dagster.url + path, rel: "noreferrer" }, text)]));
}

onAnswer((headers) => {
  const at = headers.get("Cavra-Evidence-Copied-At");
  if (!at) return;
  const staleNote = headers.get("Cavra-Evidence-Is-Behind") === "true" ? "; a run is writing newer evidence" : "";
  $("freshness").textContent = `Shows what was ingested up to ${stamp(at)}${staleNote}.`;
});

async function refresh() {
  const { name, params } = address();
  const view = viewOf({ name, params });
  if (isPaused || isPast() || document.hidden || document.querySelector("dialog[open]") || !view.isLive) return;
  const [root] = $("main").querySelectorAll(":scope > div");
  if (root) await draw(view, root, params, viewCount);
}

function tick() {
  for (const countdown of document.querySelectorAll("[data-until]")) {
    const milliseconds = Date.parse(countdown.dataset.until) - clock();
    countdown.textContent = milliseconds > 0 ? `in ${span(milliseconds)}` : "due now";
  }
}

let isAsking = false;
function askForToken() {
  if (isAsking) return;
  isAsking = true;
  const input = el("input", { name: "secret", type: "password", autocomplete: "off", spellcheck: "false", required: true });
  const useToken = (value) => {
    setToken(value);
    box.close();
    show();
  };
  const form = el("form", { onsubmit: (event) => { event.preventDefault(); useToken(input.value.trim()); } },
    el("h2", { id: "token-title" }, "Token"),
    field("The token that this service asks for", input, "Kept until this tab is closed."),
    el("p", { class: "acts" }, el("button", { class: "main" }, "Use it"),
      token() && el("button", { type: "button", onclick: () => useToken(null) }, "Forget it"),
      el("button", { type: "button", onclick: () => box.close() }, "Cancel")));
  const box = el("dialog", { "aria-labelledby": "token-title" }, withMessages(form));
  box.addEventListener("close", () => { box.remove(); isAsking = false; });
  document.body.append(box);
  box.showModal();
}

/** Shows the current view for the chosen instant. */
function goTo() {
  const { name, params } = address();
  const target = hash(name, { ...params, as_of: asOf()?.slice(0, 19) });
  if (location.hash === target) show();
  else location.hash = target;
}

function begin() {
  markView = drawNavigation($("nav"), VIEWS);
  markMoment = momentControl($("moment"), goTo);
  $("skip").addEventListener("click", (event) => { event.preventDefault(); $("main").focus(); });
  $("token").addEventListener("click", askForToken);
  panelButton($("controls"), $("top"));
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
  window.addEventListener("popstate", ({ state }) => { if (state?.isShown && !address().params.as_of) goToNow(); });
  window.addEventListener("hashchange", show);
  setInterval(refresh, REFRESH_SECONDS * 1000);
  setInterval(tick, 1000);
  show();
}

begin();

// Each lane at a glance: how it is, what is wrong, since when, what to do next.

import { ask, query } from "./api.js";
import { LANES, ago, announce, el, facts, plural, span, now, setServerTime, stamp, swap, tag, time, words } from "./dom.js";
import { dayStrip } from "./pictures.js";
import { refreshPart } from "./refresh.js";

export const isLive = true;

/** Which records an alert rests on, by the words of its category. */
export function evidenceOf(category) {
  if (/_execution$/.test(category)) return "execution";
  if (/^(missed|disabled)_/.test(category)) return "worker_run";
  if (/^stale_/.test(category)) return "retry_plan";
  return "delivery";
}

export const evidenceLink = (lane, category, key) => el("a", {
  href: `#/evidence${query({ lane, record_type: evidenceOf(category) })}`, "data-key": key,
}, "Open its evidence");

export function alertItems(lane, alerts) {
  return el("ul", { class: "alerts" }, alerts.map((one) => el("li", {},
    el("p", {}, tag(one.severity), " ", el("strong", {}, words(one.category))),
    el("p", {}, one.message), el("p", {}, el("strong", {}, "Next: "), one.action),
    el("p", {}, evidenceLink(lane, one.category, `evidence-${lane}-${one.category}`)))));
}

let before = null;

export async function render(params, context, root) {
  const [{ as_of: asOf, lanes, recoveries, closure }, { partitions }, sources] = await Promise.all([ask("/lanes"), ask("/partitions"), ask("/sources")]);
  setServerTime(asOf);
  const levels = lanes.map((one) => `${words(one.lane)} is ${one.alert_level}`).join(", ");
  if (before !== null && before !== levels) announce(`Changed: ${levels}`);
  before = levels;
  const bad = lanes.filter((one) => !["healthy", "unknown"].includes(one.alert_level));
  const level = worst([...bad, recoveries, closure, sources].map((one) => one.alert_level));
  const others = Object.entries({ recoveries, closure, sources }).filter(([, one]) => ["critical", "warning"].includes(one.alert_level)).map(([name]) => name);
  const fine = others.length ? `All lanes in use are healthy. Needs attention: ${others.join(", ")}` : "All lanes in use are healthy";
  const verdict = el("section", { class: `verdict ${level}`, "aria-label": "In one sentence" },
    el("p", { class: "state" }, bad.length ? `${bad.length} of ${plural(lanes.length, "lane")} ${bad.length === 1 ? "needs" : "need"} attention` : fine),
    bad.map((lane) => el("p", {}, el("strong", {}, `${words(lane.lane)}: `), lane.alerts.map((one) => words(one.category).replace(/^./, (first) => first.toLowerCase())).join(", "))),
    el("p", { class: "soft" }, `Evaluated at ${stamp(asOf)} (not saved).`));
  const ordered = [...lanes].sort((a, b) => rank(a) - rank(b) || LANES.indexOf(a.lane) - LANES.indexOf(b.lane));
  const again = async () => swap(root, await render(params, context, root));
  return [verdict, refreshPart(again), standing(recoveries, closure, sources), el("div", { class: "cards" }, ordered.map((lane) => card(lane, partitions)))];
}

const worst = (levels) => ["critical", "warning"].find((one) => levels.includes(one)) ?? "healthy";

/** Recoveries, closure and sources in a sentence each, with the way to their pages. */
function standing(recoveries, closure, sources) {
  const { recovery_open_count: open, recovery_slo_breached_count: late, recovery_slo_minutes: limit } = recoveries;
  const wrong = sources.sources.filter((one) => ["silent", "unreadable"].includes(one.state));
  const parts = [
    ["recoveries", recoveries.alert_level, late ? `${open} open, ${late} past the limit of ${span(limit * 60000)}`
      : open ? `${open} open, none past the limit` : recoveries.state === "no_playbook" ? "No playbook has arrived: none is known" : "None is open"],
    ["closure", closure.alert_level, closure.closure_state === "closed" ? "The loop can be closed" : `Blocked by ${plural(closure.open_item_count, "open item")}`],
    ["sources", sources.alert_level, sources.faults.length ? "sources.yaml has faults" : wrong.length ? wrong.map((one) => `${one.source} ${one.state === "silent" ? "is silent" : "can't be read"}`).join(", ")
      : sources.source_count ? `${plural(sources.source_count, "source")}, nothing wrong` : "None is named; evidence is imported by hand"],
  ];
  return el("ul", { class: "standing", "aria-label": "Recoveries, closure and sources" }, parts.map(([name, level, text]) =>
    el("li", { class: level }, el("a", { href: `#/${name}`, "data-key": `standing-${name}` }, words(name)), el("p", {}, text))));
}

const rank = (lane) => ["critical", "warning", "healthy", "unknown"].indexOf(lane.alert_level);

function card(lane, partitions) {
  const days = partitions.map((one) => ({ day: one.day, level: one.reports[lane.lane]?.retry_health ?? null }));
  const id = `lane-${lane.lane}`;
  return el("section", { class: `card ${lane.alert_level}`, "aria-labelledby": id },
    el("h2", { id }, words(lane.lane), tag(lane.alert_level === "unknown" ? "not in use" : lane.alert_level)),
    el("p", {}, lane.alert_level === "unknown" ? "No record of this lane has arrived." : since(lane, days)),
    lane.alerts.length > 0 && alertItems(lane.lane, lane.alerts),
    facts([
      ["Last worker run", ago(lane.latest_worker_age_minutes)], ["Last retry plan", ago(lane.latest_retry_plan_age_minutes)],
      ["To retry", lane.retryable_count], ["Waiting", lane.waiting_count], ["Exhausted", lane.suppressed_count],
      ["Unresolved failed retries", lane.unresolved_failed_execution_count],
      lane.live_needs_acknowledgement ? ["Waiting for a person", lane.acknowledgement_pending_count] : ["Failing deliveries", lane.unresolved_delivery_count],
    ]),
    el("p", { class: "soft" }, `The last ${days.length} days, by saved reports`),
    dayStrip(days, `${words(lane.lane)}: ${["critical", "warning", "healthy"].map((one) => plural(days.filter((day) => day.level === one).length, `${one} day`)).join(", ")}`),
    el("p", { class: "acts" },
      el("a", { href: `#/health${query({ lane: lane.lane, run: 1 })}`, "data-key": `health-${lane.lane}` }, "Retry Health"),
      el("a", { href: `#/plan${query({ lane: lane.lane })}`, "data-key": `plan-${lane.lane}` }, "Plan a retry"),
      el("a", { href: `#/history${query({ lane: lane.lane })}`, "data-key": `history-${lane.lane}` }, "History")));
}

function since(lane, days) {
  if (lane.alert_level === "healthy") return "Nothing is wrong.";
  const parts = [];
  if (lane.outage_open_since) parts.push(el("span", {}, "The worker has been down since ", time(lane.outage_open_since), `, ${span(now() - Date.parse(lane.outage_open_since))}. `));
  if (lane.oldest_gap_since) parts.push(el("span", {}, "The oldest gap has been open since ", time(lane.oldest_gap_since), ". "));
  const last = days.findLastIndex((one) => one.level === "healthy");
  const first = days.slice(last + 1).find((one) => one.level);
  if (first) parts.push(`${last < 0 ? "Not once healthy" : "Not healthy"} in the daily reports since ${first.day}.`);
  return parts.length ? parts : "Since today; no daily report shows it yet.";
}

// Causes first, then every lane in one table: how it is, its failing deliveries by state, and its last days.

import { ask } from "./api.js";
import { acknowledgeAllButton, decidedWords, resultsOf } from "./acknowledge.js";
import { idleNotice } from "./alerts.js";
import { adviceOf, approvalGapsOf, causeCard, effectOf, firstOf, gapsOf, gateOf, incidentAddress, incidentRecords, incidentsOf, isFixedFirst, recordsLink, titleOf } from "./causes.js";
import { LANES, ago, announce, el, hash, now, plural, providerName, setServerTime, span, stamp, swap, tag, whole, words } from "./dom.js";
import { RECOVERY_STEP } from "./lanes.js"; // written by the server
import { asOf, daysAgo, isPast, today } from "./moment.js";
import { keyOf, sharesBar } from "./pictures.js";
import { refreshPart } from "./refresh.js";
import { dayStrip } from "./strip.js";
import { across, table } from "./table.js";

export const isLive = true;

/** The records that an alert of a lane is based on: of the deliveries that it names, or the newest of its type. */
export const evidenceLink = (lane, alert, key) => recordsLink(alert.pairs, { lane, record_type: alert.record_type }, { "data-key": key });

let before = null;
/** What came of the last acknowledgement of many, by the node that shows the view: a refresh draws it again. */
const results = new WeakMap();

export async function render(params, context, root) {
  const at = { as_of: asOf() };
  const week = { from: daysAgo(6), to: today(), limit: 1 };
  const [glance, { incidents }, { partitions }, sources, quarantine, findings] = await Promise.all([
    ask("/lanes", at), ask("/incidents", { ...at, open: true }), ask("/partitions", { to: today() }), ask("/sources"), ask("/quarantine", week), ask("/findings", week),
  ]);
  const { lanes } = glance;
  if (!isPast()) setServerTime(glance.as_of);
  const levels = lanes.map((one) => `${words(one.lane)} is ${one.alert_level}`).join(", ");
  if (before !== null && before !== levels) announce(`Changed: ${levels}`);
  before = levels;
  const again = async () => swap(root, await render(params, context, root));
  const acknowledged = async (said) => {
    results.set(root, resultsOf(said));
    await again();
    root.querySelector("#result").focus();
  };
  const isEmpty = lanes.reduce((sum, one) => sum + one.evidence_record_count, 0) === 0;
  if (isEmpty && !isPast()) return emptyHome(sources, refreshPart(again));
  const causes = [...incidents.map((one) => incidentCard(one, lanes, context, acknowledged)), ...looseFailures(lanes, context, acknowledged), ...(isEmpty ? [] : stoppedWorkers(lanes)), ...recoveriesCard(glance.recoveries), ...sourcesCard(sources)]
    .sort((a, b) => b.classList.contains("critical") - a.classList.contains("critical"));
  const others = [...leaksPoint(context), ...otherPoints(lanes, quarantine.count, findings.count)];
  const inUse = lanes.filter((one) => one.alert_level !== "unknown");
  const bad = inUse.filter((one) => one.alert_level !== "healthy");
  return [results.get(root),
    el("div", { class: "headline" }, el("section", { "aria-label": "In one sentence" },
      el("p", { class: `state ${bad.length || causes.length || others.length ? "" : "healthy"}` }, causes.length ? `${plural(causes.length, "cause needs", "causes need")} a person` : bad.length ? "No common cause is known" : others.length ? `${plural(others.length, "point needs", "points need")} a person` : "Nothing needs a person"),
      el("p", { class: "soft" }, `${bad.length ? `${bad.length} of ${plural(inUse.length, "lane")} in use ${bad.length === 1 ? "needs" : "need"} attention` : inUse.length ? "All lanes in use are healthy" : "No lane is in use yet"}. Evaluated at ${stamp(glance.as_of)} (not saved). `,
        closureLine(glance.closure))),
    !isPast() && refreshPart(again)),
    !isPast() && idleNotice(context),
    causes.length > 0 && el("ul", { class: "causes", "aria-label": "Causes" }, causes),
    others.length > 0 && el("p", { class: "notice" }, el("strong", {}, "Also: "), others.map((one, at) => [at > 0 && "; ", one]), "."),
    lanesTable(lanes, partitions, incidents), keyOf("Retries", RETRIES), keyOf("Days", DAYS)];
}

/** What the colours of a lane's row stand for: of its failing deliveries, and of its days. */
const RETRIES = [["retry", "ready"], ["gate", "held: needs a person"], ["wait", "waiting"], ["gone", "exhausted"]];
const DAYS = [["bad", "critical"], ["late", "warning"], ["good", "healthy"], ["none", "no evidence yet"], ["absent", "no report saved"]];

/** A home without evidence: nothing is judged, and there are three ways to go on. */
const emptyHome = (sources, refresh) => [
  el("div", { class: "empty" }, el("p", { class: "lead" }, "No evidence has arrived yet."),
    el("p", {}, "Nothing is evaluated until it has, so this is no all-clear. To bring evidence in:"), el("ul", {},
    el("li", {}, "Import CAVRA's stores: ", el("code", {}, "cavra-pipeline import PATH"), "."),
    el("li", {}, "Or name them in sources.yaml, to be pulled on a schedule: ", el("a", { href: hash("sources") }, sources.source_count ? plural(sources.source_count, "source is named", "sources are named") : "none is named yet"), "."),
    el("li", {}, "Or load a recorded month, to look around: ", el("code", {}, "cavra-pipeline demo"), "."))),
  refresh];

const closureLine = (closure) => el("a", { href: hash("closure"), "data-key": "standing-closure" },
  closure.closure_state === "closed" ? "Nothing is left open." : "See what is still open.");

function incidentCard(one, lanes, context, done) {
  const gaps = gapsOf(one.incident_id, lanes);
  const isMain = gaps.length > 0 && !isFixedFirst(one);
  const acknowledge = acknowledgeAllButton({ pairs: gaps, of: titleOf(one), key: `all-${one.incident_id}`, context, done, look: isMain && "main", warning: firstOf(one) });
  const see = el("a", { class: isMain ? "button" : "button main", href: incidentAddress(one), "data-key": `see-${one.incident_id}` }, "Open the incident");
  return causeCard({
    level: "critical", count: one.pairs.length, unit: one.pairs.length === 1 ? "delivery" : "deliveries", title: titleOf(one), href: incidentAddress(one), since: one.began_at,
    details: `In ${plural(one.lanes.length, "lane")}.`, next: adviceOf(one), note: gaps.length > 0 && effectOf(one, gaps),
    acts: [...(isMain ? [acknowledge, see] : [see, acknowledge]), incidentRecords(one, `records-${one.incident_id}`)],
  });
}

/** Failing deliveries of lanes that are not healthy, behind no open incident: one card for them all. */
function looseFailures(lanes, context, done) {
  const concerned = lanes.filter((one) => ["critical", "warning"].includes(one.alert_level) && Object.keys(one.failing_without_incident).length);
  const byProvider = {};
  for (const [name, count] of concerned.flatMap((one) => Object.entries(one.failing_without_incident))) byProvider[name] = (byProvider[name] ?? 0) + count;
  const shares = Object.entries(byProvider).sort((a, b) => b[1] - a[1]);
  const count = shares.reduce((sum, [, one]) => sum + one, 0);
  if (!count) return [];
  const [gaps, unapproved] = [gapsOf(null, concerned), approvalGapsOf(null, concerned)];
  const needs = [[gaps, "an acknowledgement"], [unapproved, "an approval"]].filter(([rows]) => rows.length).map(([rows, what]) => `${plural(rows.length, "needs", "need")} ${what}${decidedWords(rows) && ` (${decidedWords(rows)})`}`);
  return [causeCard({
    level: "warning", count, unit: count === 1 ? "delivery" : "deliveries",
    title: `${plural(count, "delivery", "deliveries")} failed without an open incident: ${shares.map(([name, one]) => `${providerName(name)} ${one.toLocaleString("en")}`).join(", ")}`,
    details: concerned.map((one, at) => [at ? ", " : "In ", el("a", { href: hash("plan", { lane: one.lane }), "data-key": `loose-${one.lane}` }, words(one.lane))]).concat("."),
    next: `Read in ${concerned.length === 1 ? "the" : "each"} lane's plan why its deliveries fail.${needs.length ? ` ${needs.join(", ")}.` : ""}`,
    acts: [el("a", { class: "button main", href: hash("plan", { lane: concerned[0].lane, run: 1 }), "data-key": "see-loose" }, concerned.length === 1 ? "Open the plan" : "Open the first plan"),
      acknowledgeAllButton({ pairs: gaps, of: "without an open incident", key: "all-loose", context, done, look: null })],
  })];
}

/** Lanes whose worker is down: one cause, whatever their number. It leads to the lanes' health, where their outages stand. */
function stoppedWorkers(lanes) {
  const hasNeverRun = (one) => one.alert_level !== "unknown" && one.latest_worker_age_minutes === null;
  const down = lanes.filter((one) => (one.outage_open_since && !one.usual_interval_minutes) || hasNeverRun(one));
  if (!down.length) return [];
  const health = (one) => hash("health", { lane: one.lane, run: 1 });
  const since = down[0].outage_open_since;
  const length = (one) => (hasNeverRun(one) ? " (has never run)" : down.length > 1 && [" ", whole(`(${span(now() - Date.parse(one.outage_open_since))})`)]);
  return [causeCard({
    level: "critical", count: down.length, unit: down.length === 1 ? "worker" : "workers", title: down.length === 1 ? `The worker of ${words(down[0].lane).toLowerCase()} is down` : `${down.length} workers are down`,
    href: health(down[0]), since: down.length === 1 && since, details: down.map((one, at) => [at > 0 && ", ", el("a", { href: health(one), "data-key": `down-${one.lane}` }, words(one.lane)), length(one)]).concat("."), next: "Check that the schedules are on and the Dagster daemon runs, then run each worker once.",
    note: !isPast() && "Alerts name the runs missed since the Dagster daemon first ran here; earlier ones are in each lane's health.",
    acts: [el("a", { class: "button main", href: hash("worker", { lane: down[0].lane }), "data-key": "see-worker" }, down.length === 1 ? "Open the worker" : "Open the first worker"), el("a", { class: "button", href: hash("slots"), "data-key": "see-slots" }, "Scheduled runs")],
  })];
}

function recoveriesCard({ recovery_open_count: open, recovery_slo_breached_count: late, recovery_slo_minutes: limit }) {
  if (!late) return [];
  return [causeCard({
    level: "critical", count: late, unit: late === 1 ? "recovery" : "recoveries", title: `${plural(late, "recovery is past its", "recoveries are past their")} limit of ${span(limit * 60000)}`, href: hash("recoveries"),
    details: `${open} open in all.`, next: RECOVERY_STEP,
    acts: [el("a", { class: "button main", href: hash("recoveries"), "data-key": "standing-recoveries" }, "Open the recoveries"),
      el("a", { class: "button", href: hash("escalation"), "data-key": "see-escalation" }, "Escalation plan")],
  })];
}

function sourcesCard({ sources, faults, unreadable_count: unreadable }) {
  const wrong = sources.filter((one) => ["silent", "unreadable"].includes(one.state));
  const count = wrong.length + faults.length;
  if (!count || isPast()) return [];
  return [causeCard({
    level: unreadable || faults.length ? "critical" : "warning", count, unit: count === 1 ? "source" : "sources", title: faults.length ? "sources.yaml has faults" : "Evidence does not arrive as it should", href: hash("sources"),
    details: `${wrong.map((one) => `${one.source} ${one.state === "silent" ? "is silent" : "can't be read"}`).join(", ")}.`, next: "See what each source says, and fix it there.",
    acts: [el("a", { class: "button", href: hash("sources"), "data-key": "standing-sources" }, "Sources")],
  })];
}

/** Secrets that were found and that no one has handled yet, whatever their day. */
function leaksPoint({ status }) {
  const count = (!isPast() && status?.evidence.open_leak_count) || 0;
  return count ? [el("a", { href: hash("alerts"), "data-key": "also-leaks" }, `${plural(count, "leaked secret")} found in evidence, to rotate`)] : [];
}

/** What needs a person and is no cause of what fails: a link each, as `status` counts them. */
function otherPoints(lanes, quarantinedCount, findingCount) {
  const link = (view, key, text, parameters) => el("a", { href: hash(view, parameters), "data-key": `also-${key}` }, text);
  const alerts = lanes.reduce((sum, one) => sum + one.outstanding_acknowledgements.length, 0);
  return [
    ...lanes.filter((one) => one.usual_interval_minutes).map((one) => link("health", one.lane, `the worker of ${words(one.lane).toLowerCase()} ${intervals(one)}`, { lane: one.lane, run: 1 })),
    ...(alerts ? [link("closure", "alerts", `${plural(alerts, "health alert")} to acknowledge`)] : []),
    ...(quarantinedCount || findingCount ? [link("intake", "intake", [quarantinedCount && `${plural(quarantinedCount, "record")} quarantined`, findingCount && plural(findingCount, "finding")].filter(Boolean).join(" and ") + ` since ${daysAgo(6)}`)] : []),
  ];
}

const rank = (lane) => ["critical", "warning", "healthy", "unknown"].indexOf(lane.alert_level);

/** How often a worker should run, and how often it does where that is regular but too seldom. */
function intervals({ usual_interval_minutes: usual, expected_interval_minutes: expected }) {
  const every = (minutes) => span(minutes * 60000);
  return usual ? `runs every ${every(usual)}, expected ${every(expected)}` : `every ${every(expected)}`;
}

function lanesTable(lanes, partitions, incidents) {
  const most = Math.max(1, ...lanes.map((one) => one.retryable_count + one.waiting_count + one.suppressed_count));
  const ordered = [...lanes].sort((a, b) => rank(a) - rank(b) || LANES.indexOf(a.lane) - LANES.indexOf(b.lane));
  return across("lanes", "Lanes", table({ key: "lanes", caption: "Lanes", rows: ordered, columns: [
    { name: "lane", title: "Lane", value: (one) => words(one.lane), cell: (one) => el("a", { href: hash("health", { lane: one.lane, run: 1 }), "data-key": `health-${one.lane}` }, words(one.lane)) },
    { name: "state", title: "State", value: rank, cell: (one) => [tag(one.alert_level, one.alert_level === "unknown" ? "Not in use" : undefined), causesOf(one, incidents)] },
    { name: "worker", title: "Last worker run", value: (one) => one.latest_worker_age_minutes ?? Infinity, cell: (one) => (one.alert_level === "unknown" ? "–" : [whole(ago(one.latest_worker_age_minutes)), el("small", { class: "whole" }, intervals(one))]) },
    { name: "plan", title: "Failing deliveries", value: (one) => one.retryable_count + one.waiting_count + one.suppressed_count, cell: (one) => planCell(one, most) },
    { name: "days", title: `Last ${partitions.length} days`, cell: (one) => dayStrip(one.lane, partitions, isPast() ? one.alert_level : null) },
  ] }));
}

/** Why a lane is as it is: the incidents that reach into it, else what its alerts say. */
function causesOf(lane, incidents) {
  const own = incidentsOf(lane.lane, incidents);
  const others = lane.alerts.map((one) => words(one.category.replace(lane.lane, "").replace(/__+/g, "_").replace(/^_|_$/g, ""))).join(", ");
  return [own.map((one) => el("small", {}, el("a", { href: incidentAddress(one, lane.lane), "data-key": `why-${lane.lane}-${one.incident_id}` }, titleOf(one)))),
    !own.length && lane.alerts.length > 0 && el("small", {}, others)];
}

function planCell(one, most) {
  const gated = one.held_count;
  const counts = [["retry", one.retryable_count - gated], ["gate", gated], ["wait", one.waiting_count], ["gone", one.suppressed_count]];
  if (!counts.some(([, count]) => count)) return one.alert_level === "unknown" ? "–" : el("span", { class: "soft" }, "none");
  const names = { retry: "ready", gate: `held for ${gateOf(one.lane)}`, wait: "waiting", gone: "exhausted" };
  const text = counts.filter(([, count]) => count).map(([kind, count]) => `${count} ${names[kind]}`).join(", ");
  return [sharesBar(counts, most, text), el("a", { class: "small", href: hash("plan", { lane: one.lane, run: 1 }), "data-key": `plan-${one.lane}` }, text)];
}

// The overview: cards of causes, then all lanes in one table with state, failing deliveries and last days.

import { ask, askIfThere } from "./api.js";
import { acknowledgeAllButton, decidedWords, openWords } from "./acknowledge.js";
import { downStep, dueSchedules, idleNotice, isDaemonDown } from "./alerts.js";
import { adviceOf, approvalGapsOf, approvalText, causeCard, downLanesOf, downLinks, effectOf, failsByCause, failureOf, firstOf, gapsOf, gateOf, incidentAddress, incidentRecords, incidentsOf, isFixedFirst, pairsToAcknowledge, recordsLink, titleOf, warningOf } from "./causes.js";
import { hasEvidence, noEvidence } from "./empty.js";
import { openLeaks } from "./leaks.js";
import { LANES, ago, announce, command, el, hash, listed, plural, setServerTime, span, stamp, swap, tag, whole, words } from "./dom.js";
import { RECOVERY_STEP, WHERE_APPROVED } from "./lanes.js"; // written by the server
import { asOf, daysAgo, isPast, today } from "./moment.js";
import { colourKey, sharesBar } from "./pictures.js";
import { refreshPart } from "./refresh.js";
import { dayStrip } from "./strip.js";
import { scrollRegion, table } from "./table.js";

export const isLive = true;

/** A link to the records behind a lane's alert: of its deliveries, or the newest of its type. */
export const evidenceLink = (lane, alert, key) => recordsLink(alert.pairs, { lane, record_type: alert.record_type }, { "data-key": key });

let previousLevels = null;
/** Result of the last bulk acknowledgement, by root node: a live refresh shows it again. */
const results = new WeakMap();

export const render = (params, context, root) => draw(params, context, root, askTheRest());

/** What an acknowledgement does not change. */
function askTheRest() {
  const week = { from: daysAgo(6), to: today(), limit: 1 };
  return Promise.all([ask("/incidents", { as_of: asOf(), open: true }), ask("/partitions", { to: today() }), ask("/sources"), ask("/quarantine", week), ask("/findings", week), askIfThere("/alerts"), openLeaks()]);
}

async function draw(params, context, root, rest) {
  const [laneStatus, [{ incidents }, { partitions }, sources, quarantine, findings, alerting, leaks]] = await Promise.all([ask("/lanes", { as_of: asOf() }), rest]);
  const { lanes } = laneStatus;
  if (!isPast()) setServerTime(laneStatus.as_of);
  const levels = lanes.map((lane) => `${words(lane.lane)} is ${lane.alert_level}`).join(", ");
  if (previousLevels !== null && previousLevels !== levels) announce(`Changed: ${levels}`);
  previousLevels = levels;
  const reload = async () => swap(root, await render(params, context, root));
  const acknowledged = async (_, section) => {
    results.set(root, section);
    swap(root, await draw(params, context, root, rest));
  };
  if (!hasEvidence(lanes)) return isPast() ? noEvidence() : emptyHome(sources, refreshPart(reload));
  const downLanes = downLanesOf(lanes);
  const schedules = downLanes.length ? await dueSchedules(context) : [];
  const causes = [...incidents.map((incident) => incidentCard(incident, lanes, context, acknowledged)), ...looseFailures(laneStatus, context, acknowledged), ...leaksCard(leaks, context), ...stoppedWorkers(downLanes, schedules, context), ...recoveriesCard(laneStatus.recoveries), ...sourcesCard(sources)]
    .sort((a, b) => b.classList.contains("critical") - a.classList.contains("critical"));
  const healthAlerts = lanes.flatMap(pairsToAcknowledge).filter((pair) => pair.item !== "acknowledgement_gap");
  const healthAlertButton = acknowledgeAllButton({ pairs: healthAlerts, of: "all lanes", key: "all-health-alerts", context, unit: ["health alert", "health alerts"], buttonClass: null, done: acknowledged });
  const points = otherPoints(lanes, quarantine.count, findings.count);
  const inUse = lanes.filter((lane) => lane.alert_level !== "unknown");
  const unhealthyLanes = inUse.filter((lane) => lane.alert_level !== "healthy");
  return [results.get(root),
    el("div", { class: "headline" }, el("section", { "aria-label": "In one sentence" },
      el("p", { class: `state ${unhealthyLanes.length || causes.length || points.length ? "" : "healthy"}` }, causes.length ? [plural(causes.length, "open cause"), ...(points.length ? [plural(points.length, "other point")] : [])].join(" and ") : unhealthyLanes.length ? "No common cause is known" : points.length ? `${plural(points.length, "point needs", "points need")} a person` : "Nothing needs a person"),
      el("p", { class: "soft" }, `${unhealthyLanes.length ? `${unhealthyLanes.length} of ${plural(inUse.length, "lane")} in use ${unhealthyLanes.length === 1 ? "needs" : "need"} attention` : inUse.length ? "All lanes in use are healthy" : "No lane is in use yet"}. Evaluated at ${stamp(laneStatus.as_of)} (not saved). `,
        closureLine(laneStatus.closure, lanes))),
    !isPast() && refreshPart(reload)),
    !isPast() && idleNotice(context),
    !isPast() && !isDaemonDown(context) && alerting && !alerting.connectors.length && el("p", { class: "soft" }, "No one is notified of alerts: name connectors in ", el("code", {}, "CAVRA_ALERT_CONNECTORS"), "."),
    causes.length > 0 && el("ul", { class: "causes", "aria-label": "Causes" }, causes),
    points.length > 0 && el("p", { class: "notice" }, el("strong", {}, "Also: "), points.map((point, at) => [at > 0 && "; ", point]), ". ", healthAlertButton),
    lanesTable(lanes, partitions, incidents), colourKey("Retries", RETRIES), colourKey("Days", DAYS)];
}

/** Colours of a lane's row: its failing deliveries, and its days. */
const RETRIES = [["retry", "ready"], ["gate", "held: needs a person"], ["wait", "waiting"], ["gone", "exhausted"]];
const DAYS = [["bad", "critical"], ["late", "warning"], ["good", "healthy"], ["none", "no evidence yet"], ["absent", "no report saved"]];

/** The overview of a home without evidence: three ways to get some. */
const emptyHome = (sources, refresh) => [
  el("div", { class: "empty" }, el("p", { class: "lead" }, "No evidence has arrived yet."),
    el("p", {}, "Nothing is evaluated until it has, so this is no all-clear. To bring evidence in:"), el("ul", {},
    el("li", {}, "Import CAVRA's stores: ", command("cavra-pipeline import PATH"), "."),
    el("li", {}, "Or name them in sources.yaml, to be pulled on a schedule: ", el("a", { href: hash("sources") }, sources.source_count ? plural(sources.source_count, "source is named", "sources are named") : "none is named yet"), "."),
    el("li", {}, "Or load a recorded month, to look around: ", command("cavra-pipeline demo"), "."))),
  refresh];

/** The closure list leaves out failing deliveries, so an empty one says how many there are. */
function closureLine(closure, lanes) {
  const count = lanes.reduce((sum, lane) => sum + failingCount(lane), 0);
  const failing = count ? `; ${plural(count, "delivery still fails", "deliveries still fail")}` : "";
  return el("a", { href: hash("closure"), "data-key": "standing-closure" }, closure.closure_state === "closed" ? `The closure list is empty${failing}.` : "Open the closure list.");
}

const failingCount = (lane) => lane.retryable_count + lane.waiting_count + lane.suppressed_count;

function incidentCard(incident, lanes, context, done) {
  const gaps = gapsOf(incident.incident_id, lanes);
  const isMain = gaps.length > 0 && !isFixedFirst(incident);
  const acknowledge = acknowledgeAllButton({ pairs: gaps, of: titleOf(incident), key: `all-${incident.incident_id}`, context, done, buttonClass: isMain && "main", warning: firstOf(incident) });
  const openLink = el("a", { class: isMain ? "button" : "button main", href: incidentAddress(incident), "data-key": `see-${incident.incident_id}` }, "Open the incident");
  return causeCard({
    level: "critical", count: incident.pairs.length, unit: incident.pairs.length === 1 ? "delivery" : "deliveries", title: titleOf(incident), href: incidentAddress(incident), since: incident.began_at,
    details: `In ${plural(incident.lanes.length, "lane")}.`, next: adviceOf(incident), note: [gaps.length > 0 && effectOf(incident, gaps), approvalText(approvalGapsOf(incident.incident_id, lanes))].filter(Boolean).join(" "),
    buttons: [...(isMain ? [acknowledge, openLink] : [openLink, acknowledge]), incidentRecords(incident, `records-${incident.incident_id}`)],
  });
}

/** One card for the failing deliveries that belong to no open incident, of lanes that are not healthy. */
function looseFailures({ lanes, steps_without_incident: fixes }, context, done) {
  const failingLanes = lanes.filter((lane) => ["critical", "warning"].includes(lane.alert_level) && lane.causes_without_incident.length);
  const causes = summed(failingLanes.flatMap((lane) => lane.causes_without_incident));
  const count = causes.reduce((sum, cause) => sum + cause.delivery_count, 0);
  if (!count) return [];
  const [gaps, unapproved] = [gapsOf(null, failingLanes), approvalGapsOf(null, failingLanes)];
  const needs = [[gaps, "to acknowledge"], [unapproved, "to approve in CAVRA"]].filter(([rows]) => rows.length).map(([rows, what]) => openWords(rows, what));
  const steps = [...fixes, ...(needs.length ? [`${needs.join(", ")}.`] : []), ...(unapproved.length ? [WHERE_APPROVED] : [])];
  return [causeCard({
    level: "warning", count, unit: count === 1 ? "delivery" : "deliveries", title: `${plural(count, "delivery", "deliveries")} failed without an open incident`,
    details: [`${causes.map((cause) => `${failureOf(cause)}: ${plural(cause.delivery_count, "delivery", "deliveries")}`).join("; ")}. `,
      failingLanes.map((lane, at) => [at ? ", " : "In ", el("a", { href: hash("plan", { lane: lane.lane }), "data-key": `loose-${lane.lane}` }, words(lane.lane))]), "."],
    next: steps.join(" ") || "Their retries follow the plans of their lanes.",
    buttons: [el("a", { class: "button main", href: hash("plan", { lane: failingLanes[0].lane, run: 1 }), "data-key": "see-loose" }, `Open the plan of ${words(failingLanes[0].lane)}`),
      acknowledgeAllButton({ pairs: gaps, of: "without an open incident", key: "all-loose", context, done, buttonClass: null, warning: warningOf(gaps, failsByCause(causes)) })],
  })];
}

/** Causes of several lanes as those of all, the most deliveries first. */
function summed(causes) {
  const sums = new Map();
  for (const cause of causes) {
    const key = `${cause.provider} ${cause.cause}`;
    const sum = sums.get(key) ?? { ...cause, delivery_count: 0, status_codes: [] };
    sums.set(key, { ...sum, is_failing_now: sum.is_failing_now || cause.is_failing_now, delivery_count: sum.delivery_count + cause.delivery_count, status_codes: [...new Set([...sum.status_codes, ...cause.status_codes])].sort() });
  }
  return [...sums.values()].sort((a, b) => b.delivery_count - a.delivery_count);
}

/** One card for all lanes whose worker is down; links to each lane's health, which lists the outages. */
function stoppedWorkers(downLanes, schedules, context) {
  if (!downLanes.length) return [];
  const health = (lane) => hash("health", { lane: lane.lane, run: 1 });
  const since = downLanes[0].outage_open_since;
  return [causeCard({
    level: "critical", count: downLanes.length, unit: downLanes.length === 1 ? "worker" : "workers", title: downLanes.length === 1 ? `The worker of ${words(downLanes[0].lane)} is down` : `${downLanes.length} workers are down`,
    href: health(downLanes[0]), since: downLanes.length === 1 && since, details: (downLanes.length > 1 || !since) && [downLanes.length > 1 && downLanes.some((lane) => lane.outage_open_since) && "Time since the first missed run: ", downLinks(downLanes), "."], next: downStep(context, downLanes.map((lane) => lane.lane), schedules),
    buttons: [el("a", { class: "button main", href: health(downLanes[0]), "data-key": "see-health" }, `Open the health of ${words(downLanes[0].lane)}`), el("a", { class: "button", href: hash("slots"), "data-key": "see-slots" }, "Scheduled runs")],
  })];
}

function recoveriesCard({ recovery_open_count: open, recovery_slo_breached_count: breachedCount, recovery_slo_minutes: limit }) {
  if (!breachedCount) return [];
  return [causeCard({
    level: "critical", count: breachedCount, unit: breachedCount === 1 ? "recovery" : "recoveries", title: `${plural(breachedCount, "recovery is past its", "recoveries are past their")} limit of ${span(limit * 60000)}`, href: hash("recoveries"),
    details: `${open} open in all.`, next: RECOVERY_STEP,
    buttons: [el("a", { class: "button main", href: hash("recoveries"), "data-key": "standing-recoveries" }, "Open the recoveries"),
      el("a", { class: "button", href: hash("escalation"), "data-key": "see-escalation" }, "Escalation plan")],
  })];
}

function sourcesCard({ sources, faults, unreadable_count: unreadable }) {
  const failingSources = sources.filter((source) => ["silent", "unreadable"].includes(source.state));
  const count = failingSources.length + faults.length;
  if (!count || isPast()) return [];
  return [causeCard({
    level: unreadable || faults.length ? "critical" : "warning", count, unit: count === 1 ? "source" : "sources", title: faults.length ? "sources.yaml has faults" : "Evidence does not arrive as it should", href: hash("sources"),
    details: `${failingSources.map((source) => `${source.source} ${source.state === "silent" ? "is silent" : "can't be read"}`).join(", ")}.`, next: "See what each source says, and fix it there.",
    buttons: [el("a", { class: "button", href: hash("sources"), "data-key": "standing-sources" }, "Sources")],
  })];
}

/** A card of the leaked secrets in evidence that no one had handled by the instant of the page, of any day. */
function leaksCard({ count }, context) {
  if (!count) return [];
  const isIdle = !isPast() && isDaemonDown(context);
  return [causeCard({
    level: "critical", count, unit: count === 1 ? "secret" : "secrets", title: `${plural(count, "leaked secret")} in evidence`, href: hash("intake"),
    details: "The findings say in which file, line and field each was.", next: `Rotate ${count === 1 ? "it" : "each"} where it was issued, then resolve its alert.`,
    note: isIdle && "An alert opens once the Dagster daemon runs.",
    buttons: [el("a", { class: "button main", href: hash("intake"), "data-key": "see-leaks" }, "Open the findings"), !isPast() && !isIdle && el("a", { class: "button", href: hash("alerts"), "data-key": "see-leak-alerts" }, "Open the alerts")],
  })];
}

/** Links to what else needs a person, with the same counts as the command `status`. */
function otherPoints(lanes, quarantinedCount, findingCount) {
  const link = (view, key, text, parameters) => el("a", { href: hash(view, parameters), "data-key": `also-${key}` }, text);
  const alerts = lanes.flatMap((lane) => lane.outstanding_acknowledgements.map((alert) => ({ state: alert.acknowledgement_state })));
  return [
    ...lanes.filter((lane) => lane.usual_interval_minutes).map((lane) => link("health", lane.lane, `the worker of ${words(lane.lane)} ${intervals(lane)}`, { lane: lane.lane, run: 1 })),
    ...(alerts.length ? [link("closure", "alerts", decidedWords(alerts) ? `${plural(alerts.length, "health alert is", "health alerts are")} open, ${openWords(alerts, "to acknowledge")}` : `${plural(alerts.length, "health alert")} to acknowledge`)] : []),
    ...(quarantinedCount || findingCount ? [link("intake", "intake", [quarantinedCount && `${plural(quarantinedCount, "record")} quarantined`, findingCount && plural(findingCount, "finding")].filter(Boolean).join(" and ") + ` since ${daysAgo(6)}`, { from: daysAgo(6) })] : []),
  ];
}

const rank = (lane) => ["critical", "warning", "healthy", "unknown"].indexOf(lane.alert_level);

/** The expected interval of a worker, and the usual one where it is longer. */
function intervals({ usual_interval_minutes: usual, expected_interval_minutes: expected }) {
  const every = (minutes) => span(minutes * 60000);
  return usual ? `runs every ${every(usual)}, expected ${every(expected)}` : `every ${every(expected)}`;
}

function lanesTable(lanes, partitions, incidents) {
  const maxCount = Math.max(1, ...lanes.map((lane) => lane.retryable_count + lane.waiting_count + lane.suppressed_count));
  const ordered = [...lanes].sort((a, b) => rank(a) - rank(b) || LANES.indexOf(a.lane) - LANES.indexOf(b.lane));
  return scrollRegion("lanes", "Lanes", table({ key: "lanes", caption: "Lanes", rows: ordered, columns: [
    { name: "lane", title: "Lane", value: (lane) => words(lane.lane), cell: (lane) => el("a", { href: hash("health", { lane: lane.lane, run: 1 }), "data-key": `health-${lane.lane}` }, words(lane.lane)) },
    { name: "state", title: "State", value: rank, cell: (lane) => [levelTag(lane, incidents), causesOf(lane, incidents)] },
    { name: "worker", title: "Last worker run", value: (lane) => lane.latest_worker_age_minutes ?? Infinity, cell: (lane) => (lane.alert_level === "unknown" ? "–" : [whole(ago(lane.latest_worker_age_minutes)), el("small", { class: "whole" }, intervals(lane))]) },
    { name: "plan", title: "Failing deliveries", value: failingCount, cell: (lane) => planCell(lane, maxCount) },
    { name: "days", title: `Last ${partitions.length} days`, cell: (lane) => dayStrip(lane.lane, partitions, isPast() ? lane.alert_level : null) },
  ] }));
}

/** A lane's level; healthy by CAVRA's rule is not shown green while an incident makes deliveries of it fail. */
const levelTag = (lane, incidents) => (lane.alert_level === "healthy" && incidentsOf(lane.lane, incidents).length ? tag("warning", "Healthy, with an incident")
  : tag(lane.alert_level, lane.alert_level === "unknown" ? "Not in use" : undefined));

/** Why a lane is in its state: its incidents, else its alerts. */
function causesOf(lane, incidents) {
  const laneIncidents = incidentsOf(lane.lane, incidents);
  const alertText = words(lane.alerts.map(problemName).join(", "));
  return [laneIncidents.map((incident) => el("small", {}, el("a", { href: incidentAddress(incident, lane.lane), "data-key": `why-${lane.lane}-${incident.incident_id}` }, titleOf(incident)))),
    !laneIncidents.length && lane.alerts.length > 0 && el("small", {}, alertText)];
}

/** A problem of a lane by one name, whatever its lane is called in the category. */
function problemName({ category }) {
  if (/^missed_.*_worker$/.test(category)) return "worker missed its runs";
  return category.replace(/^(stale|failed)_.*_(retry_plan|retry_execution|delivery)$/, "$1 $2").replace(/^.*_(acknowledgement_gap|approval_gap|acknowledgement_outstanding)$/, "$1").replaceAll("_", " ");
}

function planCell(lane, maxCount) {
  const gated = lane.held_count;
  const counts = [["retry", lane.retryable_count - gated], ["gate", gated], ["wait", lane.waiting_count], ["gone", lane.suppressed_count]];
  if (!counts.some(([, count]) => count)) return lane.alert_level === "unknown" ? "–" : el("span", { class: "soft" }, "none");
  const heldLater = lane.held_when_due_count;
  const wait = heldLater ? `waiting (${heldLater === lane.waiting_count ? "" : `${heldLater} of them `}then held for ${gateOf(lane.lane)})` : "waiting";
  const declined = Object.entries(lane.declined_counts);
  const toRelease = gated - declined.reduce((sum, [, count]) => sum + count, 0);
  const held = listed([...(toRelease ? [`${toRelease} held for ${gateOf(lane.lane)}`] : []), ...declined.map(([state, count]) => `${count} ${state}`)]);
  const names = { retry: "ready", wait, gone: "exhausted" };
  const text = counts.filter(([, count]) => count).map(([kind, count]) => (kind === "gate" ? held : `${count} ${names[kind]}`)).join(", ");
  return [sharesBar(counts, maxCount, text), el("a", { class: "small", href: hash("plan", { lane: lane.lane, run: 1 }), "data-key": `plan-${lane.lane}` }, text)];
}

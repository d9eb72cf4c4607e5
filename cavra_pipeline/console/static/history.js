// Saved reports by day, and the counts of the dashboard.

import { ask } from "./api.js";
import { ACTIONS, inOrder } from "./decisions.js";
import { LANES, choice, dialog, documentFields, el, facts, field, hash, laneChoice, now, providerName, stamp, subjectOf, tag, time, words } from "./dom.js";
import { stepOf } from "./health.js";
import { lines } from "./lines.js";
import { asOf, today } from "./moment.js";
import { proofFoot } from "./proof.js";
import { scrollRegion, table } from "./table.js";

const DAY = 86400000;
/** Reports that a person saved, beside the one of each day. */
const REQUESTED = { asked_retry_plan: "Retry plan, requested", asked_retry_health: "Retry health, requested" };
const titleOf = ({ report }) => REQUESTED[report] ?? words(report);

export async function render(params) {
  const lane = params.lane || LANES[0];
  const count = Number(params.days) || 31;
  const first = new Date(now() - (count - 1) * DAY).toISOString().slice(0, 10);
  // A report of after the instant, such as that of the end of its day, is left out.
  const saved = async (report) => {
    const { reports } = await ask("/history", { lane, report, from: first, to: today(), documents: true, limit: 500 });
    return { reports: reports.filter((row) => Date.parse(row.as_of) <= now()) };
  };
  const [dashboard, { partitions }, health, plans, ...requested] = await Promise.all([
    ask("/dashboard", { as_of: asOf() }), ask("/partitions", { from: first, to: today() }),
    saved("retry_health"), saved("retry_plan"), ...Object.keys(REQUESTED).map(saved),
  ]);
  const days = partitions.map((partition) => partition.day);
  // What came in is counted by whole days, so a day that has not ended is left out.
  const intake = (name) => partitions.map((partition) => (Date.parse(`${partition.day}T23:59:59Z`) > now() ? null : partition[name]));
  const series = (reports, names) => names.map(([field_, name]) => {
    const at = new Map(reports.map((report) => [report.report_day, report.document[field_] ?? null]));
    return { name, values: days.map((day) => at.get(day) ?? null) };
  });
  const form = el("form", { "aria-label": "What is shown", onchange: (event) => { location.hash = hash("history", Object.fromEntries(new FormData(event.currentTarget))); } },
    el("div", { class: "fields" }, laneChoice(lane),
      field("Days", choice("days", [["7", "7"], ["31", "31"], ["92", "92"], ["366", "366"]], String(count)))));
  form.addEventListener("submit", (event) => event.preventDefault());
  return [form,
    lines(`${words(lane)}: health`, days, series(health.reports, [["unresolved_failed_execution_count", "unresolved retries"], ["unresolved_delivery_count", "failing deliveries"], ["acknowledgement_pending_count", "acknowledgement gaps"]])),
    lines(`${words(lane)}: plans`, days, series(plans.reports, [["suppressed_count", "exhausted"], ["retryable_count", "ready or held"], ["waiting_count", "waiting"]])),
    lines("Every lane: evidence that came in", days, [
      { name: "quarantined", values: intake("quarantine") },
      { name: "records received", values: intake("received_count") },
    ]),
    savedReports([health, plans, ...requested].flatMap((answer) => answer.reports).sort((a, b) => b.as_of.localeCompare(a.as_of))), counts(dashboard)];
}

function savedReports(reports) {
  return [el("h2", {}, "Saved reports"), el("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Saved reports" },
    table({ key: "kept", isTitled: false, caption: "One of each for each day, and those that a person saved", note: reports.length > 6 && "scroll for the older ones", rows: reports, empty: "none in these days", columns: [
      { name: "day", title: "Day", value: (report) => report.report_day },
      { name: "report", title: "Report", value: titleOf },
      { name: "level", title: "Level", value: (report) => report.alert_level, cell: (report) => tag(report.alert_level) },
      { name: "as_of", title: "As of", value: (report) => report.as_of, cell: (report) => time(report.as_of) },
      { name: "open", title: "Document", cell: (report) => el("button", { type: "button", "data-key": `open-${report.report_id}`, "aria-label": `Open ${titleOf(report)} of ${report.report_day}`,
        onclick: () => openReport(report) }, "Open") },
    ] }))];
}

/** Opens a saved report in words; every field of it is behind a fold. */
function openReport({ report, report_day: day, report_id: id, document: document_ }) {
  const isPlan = Boolean(document_.retry_decisions);
  dialog(`${titleOf({ report })} of ${day}`,
    el("p", {}, tag(document_.alert_level), ` ${words(document_.lane)} as of ${stamp(document_.as_of)}, made by ${document_.generated_by}.`),
    isPlan ? planSummary(document_) : healthSummary(document_),
    el("p", {}, el("a", { href: again(report, document_), "data-key": "again" }, `Evaluate ${isPlan ? "the plan" : "the lane"} as of then`), ", from the evidence that is here today."),
    el("details", {}, el("summary", {}, "Every field"), documentFields(document_)),
    proofFoot(document_, `/history/${id}/bundle`));
}

/** The address of the view that makes such a report, by the parameters of a requested one. */
function again(report, document_) {
  const moment = { lane: document_.lane, as_of: document_.as_of.slice(0, 19) };
  const parameters = (names) => (Object.hasOwn(REQUESTED, report) ? Object.fromEntries(names.map(([name, source = name]) => [name, document_[source]])) : {});
  return document_.retry_decisions
    ? hash("plan", { ...moment, ...parameters([["max_retry_attempts"], ["retry_delay_minutes", "base_retry_delay_minutes"], ["backoff_multiplier"], ["max_retry_delay_minutes"]]) })
    : hash("health", { ...moment, run: 1, ...parameters([["expected_interval_minutes"], ["stale_metadata_minutes"], ["window_hours"]]) });
}

const healthSummary = (health) => [
  health.alerts.length ? el("ul", { class: "alerts" }, health.alerts.map((alert, at) => ({ ...alert, action: stepOf(health, at) })).sort((a, b) => (b.severity === "critical") - (a.severity === "critical"))
    .map((alert) => el("li", {}, el("p", {}, tag(alert.severity), " ", alert.message), el("p", {}, el("strong", {}, "Next: "), alert.action)))) : el("p", {}, "No problems."),
  facts([["Failing deliveries", health.unresolved_delivery_count], ["Unresolved retries", health.unresolved_failed_execution_count], ["Acknowledgement gaps", health.acknowledgement_pending_count], ["Worker runs", health.worker_run_count], ["Missed runs", health.missed_run_count], ["Records", health.evidence_record_count]])];

const planSummary = (plan) => [
  facts([["Ready or held", plan.retryable_count], ["Waiting", plan.waiting_count], ["Exhausted", plan.suppressed_count], ["Max attempts", plan.max_retry_attempts]]),
  table({ key: "saved-decisions", caption: "Decisions", rows: inOrder(plan.retry_decisions, (decision) => decision.action), empty: "none.", columns: [
    { name: "subject", title: "Subject", value: (decision) => subjectOf(plan.lane, decision) },
    { name: "provider", title: "Provider", value: (decision) => providerName(decision.provider) },
    { name: "state", title: "State", value: (decision) => words(ACTIONS[decision.action]) },
    { name: "failures", title: "Failures", value: (decision) => decision.retry_count, number: true },
  ] })];

function counts(dashboard) {
  const lanes = Object.entries(dashboard.lanes).map(([lane, laneCounts]) => ({ lane, ...laneCounts }));
  const providers = Object.entries(dashboard.deliveries_by_provider).map(([provider, providerCounts]) => ({ provider, ...providerCounts }));
  const number = (name, title) => ({ name, title, value: (row) => row[name], number: true });
  return [el("h2", {}, "Dashboard"), el("p", { class: "soft" }, `Counts of all evidence up to ${stamp(dashboard.as_of)}.`),
    facts([["Health reports", dashboard.health_report_count], ["Health alerts", dashboard.health_alert_count],
      ["Dry worker runs", dashboard.dry_worker_run_count], ["Live worker runs", dashboard.live_worker_run_count], ["Open outages", dashboard.open_outage_count],
      ["Quarantined records", dashboard.quarantined_record_count], ["Findings", dashboard.redaction_finding_count]]),
    scrollRegion("by-lane", "By lane", table({ key: "lanes", caption: "By lane", rows: lanes, columns: [
      { name: "lane", title: "Lane", value: (lane) => words(lane.lane) },
      { name: "level", title: "Level", value: (lane) => lane.alert_level, cell: (lane) => tag(lane.alert_level) },
      number("evidence_record_count", "Records"), number("retry_plan_count", "Plans"), number("dry_worker_run_count", "Dry runs"), number("live_worker_run_count", "Live runs"),
      number("delivered_execution_count", "Retries delivered"), number("failed_execution_count", "Retries failed"), number("skipped_execution_count", "Retries skipped"),
      number("open_outage_count", "Open outages"), { name: "person", title: "Gaps", value: (lane) => lane.open_acknowledgement_gap_count + lane.open_approval_gap_count, number: true },
    ] })),
    table({ key: "providers", caption: "Deliveries by provider", rows: providers, columns: [
      { name: "provider", title: "Provider", value: (provider) => providerName(provider.provider) }, number("failed", "Failed"), number("delivered", "Delivered"),
      { name: "share", title: "Failure rate", value: (provider) => provider.failed / (provider.failed + provider.delivered || 1), number: true,
        cell: (provider) => `${((100 * provider.failed) / (provider.failed + provider.delivered || 1)).toFixed(1)} %` },
    ] })];
}

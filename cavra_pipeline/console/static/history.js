// Saved reports by day, and the counts of the dashboard.

import { ask } from "./api.js";
import { LANES, choice, el, facts, field, hash, laneChoice, now, providerName, showDocument, stamp, tag, time, words } from "./dom.js";
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
  const saved = (report) => ask("/history", { lane, report, from: first, to: today(), documents: true, limit: 500 });
  const [dashboard, { partitions }, health, plans, ...requested] = await Promise.all([
    ask("/dashboard", { as_of: asOf() }), ask("/partitions", { from: first, to: today() }),
    saved("retry_health"), saved("retry_plan"), ...Object.keys(REQUESTED).map(saved),
  ]);
  const days = partitions.map((partition) => partition.day);
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
      { name: "quarantined", values: partitions.map((partition) => partition.quarantine) },
      { name: "records received", values: partitions.map((partition) => partition.received_count) },
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
        onclick: () => showDocument(`${titleOf(report)} of ${report.report_day}`, report.document, proofFoot(report.document, `/history/${report.report_id}/bundle`)) }, "Open") },
    ] }))];
}

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

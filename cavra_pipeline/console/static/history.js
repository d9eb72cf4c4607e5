// What was reported day by day, and the counts of the dashboard.

import { ask } from "./api.js";
import { LANES, choice, el, facts, field, hash, laneChoice, now, providerName, showDocument, stamp, tag, time, words } from "./dom.js";
import { lines } from "./lines.js";
import { asOf, today } from "./moment.js";
import { proofFoot } from "./proof.js";
import { across, table } from "./table.js";

const DAY = 86400000;

export async function render(params) {
  const lane = params.lane || LANES[0];
  const count = Number(params.days) || 31;
  const first = new Date(now() - (count - 1) * DAY).toISOString().slice(0, 10);
  const [dashboard, { partitions }, health, plans] = await Promise.all([
    ask("/dashboard", { as_of: asOf() }), ask("/partitions", { from: first, to: today() }),
    ask("/history", { lane, report: "retry_health", from: first, to: today(), documents: true, limit: 500 }),
    ask("/history", { lane, report: "retry_plan", from: first, to: today(), documents: true, limit: 500 }),
  ]);
  const days = partitions.map((one) => one.day);
  const series = (reports, names) => names.map(([field_, name]) => {
    const at = new Map(reports.map((one) => [one.report_day, one.document[field_] ?? null]));
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
      { name: "quarantined", values: partitions.map((one) => one.quarantine) },
      { name: "records received", values: partitions.map((one) => one.received_count) },
    ]),
    kept([...health.reports, ...plans.reports].sort((a, b) => b.report_day.localeCompare(a.report_day))), counts(dashboard)];
}

function kept(reports) {
  return [el("h2", {}, "Saved reports"), el("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Saved reports" },
    table({ key: "kept", isTitled: false, caption: "One for each day", note: reports.length > 6 && "scroll for the older ones", rows: reports, empty: "none in these days", columns: [
      { name: "day", title: "Day", value: (one) => one.report_day },
      { name: "report", title: "Report", value: (one) => words(one.report) },
      { name: "level", title: "Level", value: (one) => one.alert_level, cell: (one) => tag(one.alert_level) },
      { name: "as_of", title: "As of", value: (one) => one.as_of, cell: (one) => time(one.as_of) },
      { name: "open", title: "Document", cell: (one) => el("button", { type: "button", "data-key": `open-${one.report_id}`, "aria-label": `Open ${words(one.report)} of ${one.report_day}`,
        onclick: () => showDocument(`${words(one.report)} of ${one.report_day}`, one.document, proofFoot(one.document, `/history/${one.report_id}/bundle`)) }, "Open") },
    ] }))];
}

function counts(dashboard) {
  const lanes = Object.entries(dashboard.lanes).map(([lane, one]) => ({ lane, ...one }));
  const providers = Object.entries(dashboard.deliveries_by_provider).map(([provider, one]) => ({ provider, ...one }));
  const number = (name, title) => ({ name, title, value: (one) => one[name], number: true });
  return [el("h2", {}, "Dashboard"), el("p", { class: "soft" }, `Counts of all evidence up to ${stamp(dashboard.as_of)}.`),
    facts([["Health reports", dashboard.health_report_count], ["Health alerts", dashboard.health_alert_count],
      ["Dry worker runs", dashboard.dry_worker_run_count], ["Live worker runs", dashboard.live_worker_run_count], ["Open outages", dashboard.open_outage_count],
      ["Quarantined records", dashboard.quarantined_record_count], ["Findings", dashboard.redaction_finding_count]]),
    across("by-lane", "By lane", table({ key: "lanes", caption: "By lane", rows: lanes, columns: [
      { name: "lane", title: "Lane", value: (one) => words(one.lane) },
      { name: "level", title: "Level", value: (one) => one.alert_level, cell: (one) => tag(one.alert_level) },
      number("evidence_record_count", "Records"), number("retry_plan_count", "Plans"), number("dry_worker_run_count", "Dry runs"), number("live_worker_run_count", "Live runs"),
      number("delivered_execution_count", "Retries delivered"), number("failed_execution_count", "Retries failed"), number("skipped_execution_count", "Retries skipped"),
      number("open_outage_count", "Open outages"), { name: "person", title: "Gaps", value: (one) => one.open_acknowledgement_gap_count + one.open_approval_gap_count, number: true },
    ] })),
    table({ key: "providers", caption: "Deliveries by provider", rows: providers, columns: [
      { name: "provider", title: "Provider", value: (one) => providerName(one.provider) }, number("failed", "Failed"), number("delivered", "Delivered"),
      { name: "share", title: "Failure rate", value: (one) => one.failed / (one.failed + one.delivered || 1), number: true,
        cell: (one) => `${((100 * one.failed) / (one.failed + one.delivered || 1)).toFixed(1)} %` },
    ] })];
}

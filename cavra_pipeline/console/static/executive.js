// The executive report as of now or a past instant: what to do, what is open, what happened. Also as a page to save.

import { ask, askText } from "./api.js";
import { el, facts, hash, listed, plural, problem, providerName, save, span, stamp, swap, tag, time, unbroken, whole, words } from "./dom.js";
import { asOf, isPast } from "./moment.js";
import { executiveFoot } from "./proof.js";
import { table } from "./table.js";

/** Below so many closures their number says more than a percentage. */
const FEW = 20;
const SLO = { breached: ["critical", "Past its limit"], at_risk: ["warning", "At risk"], within: ["healthy", "Within its limit"] };

export async function render(params, { status }) {
  const report = await ask("/executive-report", { as_of: asOf() });
  const foot = await executiveFoot(report);
  const trouble = el("div", {});
  const download = async () => {
    try {
      save(`executive-report-${report.as_of.slice(0, 10)}.html`, "text/html;charset=utf-8", await askText("/executive-report.html", { as_of: report.as_of }));
      swap(trouble);
    } catch (error) {
      swap(trouble, problem(error));
    }
  };
  const [counted, days] = [report.recoveries, plural(report.window_days, "day")];
  const shown = report.recommended_actions.filter((one) => one.number);
  const own = shown.filter((one) => one.number > 1 && one.role === "executive");
  const more = report.recommended_actions.filter((one) => !one.number);
  return [
    el("section", { class: `verdict ${report.alert_level}`, "aria-label": "Headline" },
      el("p", { class: "state" }, unbroken(report.headline)), missed(report), own.length > 0 && el("p", {}, el("strong", {}, "You decide: "), own.map((one) => `${one.action.replace(/\.$/, "")} (step ${one.number}). `)),
      el("p", {}, el("strong", {}, "Do now: "), report.what_to_do), leaks(status),
      el("p", { class: "soft" }, `As of ${stamp(report.as_of)}, over ${days}. Preview only, not saved.`),
      el("p", { class: "acts" }, el("button", { type: "button", class: "main", "data-key": "download", onclick: download }, "Download as a page"),
        el("button", { type: "button", onclick: () => save(`${report.executive_report_id}.json`, "application/json", `${JSON.stringify(report, null, 2)}\n`) }, "Export as JSON"),
        el("a", { class: "button", href: hash("escalation") }, "Escalation plan"))), trouble,
    facts([["Open recoveries", counted.open_count], ["Past the limit", counted.slo_breached_count], [`Opened in ${days}`, counted.opened_in_window_count], [`Closed in ${days}`, counted.closed_in_window_count],
      ["Of the closed, within the limit", shareWithin(counted)], ["Notifications not arrived", report.broken_providers.reduce((sum, one) => sum + one.failing_notice_count, 0)]]),
    el("div", { class: "split" },
      el("section", { "aria-labelledby": "actions" }, el("h2", { id: "actions" }, "What to do"), actions(shown),
        more.length > 0 && el("details", { "data-key": "more-actions" }, el("summary", {}, `${more.length} more`), actions(more, shown.length + 1))),
      el("section", { "aria-labelledby": "happened" }, el("h2", { id: "happened" }, "What happened"), el("ul", {}, report.what_happened.map((one) => el("li", {}, unbroken(one)))),
        table({ key: "providers", caption: "Providers that need attention", rows: report.broken_providers, empty: "none.", sorts: false, columns: [
          { name: "cause", title: "What is wrong", value: (one) => one.cause, cell: (one) => [tag(one.severity), el("div", {}, one.cause), el("small", {}, "oldest failure ", time(one.failing_since))] },
          { name: "open", title: "Open recoveries", value: (one) => one.open_recovery_count, number: true },
          { name: "missing", title: "Notifications not arrived", value: (one) => one.failing_notice_count, number: true },
        ] }))),
    table({ key: "open", caption: "Open recoveries", rows: report.open_recoveries, empty: "none.", columns: [
      { name: "provider", title: "Provider", value: (one) => one.provider, cell: (one) => [providerName(one.provider), " ", el("small", {}, whole(one.playbook_id))] },
      { name: "state", title: "State", value: (one) => one.slo_state, cell: (one) => tag(...SLO[one.slo_state]) },
      { name: "age", title: "Open for", value: (one) => one.age_minutes, cell: (one) => whole(span(one.age_minutes * 60000)) },
      { name: "due", title: "Due", value: (one) => one.slo_due_at, cell: (one) => time(one.slo_due_at) },
      { name: "do", title: "Next step", value: (one) => one.recommended_action },
    ] }), foot];
}

/** At which providers how many notifications have not arrived, and since when, as the page says it. */
function missed({ broken_providers: providers }) {
  const parts = providers.filter((one) => one.failing_notice_count)
    .map((one, at) => `${at ? one.failing_notice_count.toLocaleString("en") : `${plural(one.failing_notice_count, "notification")} sent`} to ${providerName(one.provider)} since ${stamp(one.failing_since).slice(0, 10)}`);
  return parts.length > 0 && el("p", {}, `People may have missed ${listed(parts)}.`);
}

/** Secrets that were found and that no one has handled yet: the page says so too, the report itself does not. */
function leaks(status) {
  const count = (!isPast() && status?.evidence.open_leak_count) || 0;
  return count > 0 && el("p", {}, el("strong", {}, "Also now: "), `${plural(count, "leaked secret was", "leaked secrets were")} found in evidence. Rotate ${count === 1 ? "it" : "them"}, and fix the source. `, el("a", { href: hash("alerts"), "data-key": "leaks" }, "Open the alerts"));
}

function shareWithin(counted) {
  const closed = counted.closed_in_window_count;
  if (!closed) return "–";
  return closed < FEW ? `${closed - counted.closed_late_in_window_count} of ${closed}` : `${counted.closed_within_limit_percent} %`;
}

/** The steps that the page shows, in its words; the page leaves the others out. */
const actions = (rows, start = 1) => el("ol", { class: "actions", start }, rows.map((one) => el("li", {},
  el("p", {}, tag(one.urgency === "now" ? "critical" : "warning", one.urgency), ` ${words(one.role).replace(", ", " and ")}: `, el("strong", {}, one.action)), el("p", { class: "soft" }, one.because),
  one.then.length > 0 && [el("p", {}, "Then:"), el("ul", {}, one.then.map((step) => el("li", {}, step)))])));

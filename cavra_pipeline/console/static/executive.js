// The executive report as of now or a past instant: actions, open recoveries, events. Can be downloaded as a page.

import { ask, askText } from "./api.js";
import { el, facts, hash, listed, plural, problem, providerName, save, span, stamp, swap, tag, time, unbroken, whole, words } from "./dom.js";
import { openLeaks } from "./leaks.js";
import { asOf } from "./moment.js";
import { executiveFoot } from "./proof.js";
import { table } from "./table.js";

/** Below this number of recoveries, a count is clearer than a percentage. */
const FEW = 20;
const SLO = { breached: ["critical", "Past its limit"], at_risk: ["warning", "At risk"], within: ["healthy", "Within its limit"] };

export async function render() {
  const [report, leaks] = await Promise.all([ask("/executive-report", { as_of: asOf() }), openLeaks()]);
  const foot = await executiveFoot(report);
  const errorBox = el("div", {});
  const download = async () => {
    try {
      save(`executive-report-${report.as_of.slice(0, 10)}.html`, "text/html;charset=utf-8", await askText("/executive-report.html", { as_of: report.as_of }));
      swap(errorBox);
    } catch (error) {
      swap(errorBox, problem(error));
    }
  };
  const isKnown = report.state !== "no_evidence";
  const [recoveries, days] = [report.recoveries, plural(report.window_days, "day")];
  const numberedActions = report.recommended_actions.filter((action) => action.number);
  const executiveActions = numberedActions.filter((action) => action.number > 1 && action.role === "executive");
  // Leaked secrets are no part of the report: their step is the second on the page, and the later ones follow it.
  const shift = leaks.count > 0 ? 1 : 0;
  const otherActions = report.recommended_actions.filter((action) => !action.number);
  return [
    el("section", { class: `verdict ${report.alert_level}`, "aria-label": "Headline" },
      el("p", { class: "state" }, unbroken(report.headline)), missedNotifications(report), executiveActions.length > 0 && el("p", {}, el("strong", {}, "You decide: "), executiveActions.map((action) => `${action.action.replace(/\.$/, "")} (step ${action.number + shift}). `)),
      el("p", {}, el("strong", {}, `${report.recommended_actions[0]?.urgency === "soon" ? "Do first" : "Do now"}: `), report.what_to_do), leakNotice(leaks),
      el("p", { class: "soft" }, `As of ${stamp(report.as_of)}, over ${days}. Preview only, not saved.`),
      el("p", { class: "acts" }, el("button", { type: "button", class: "main", "data-key": "download", onclick: download }, "Download as a page"),
        el("button", { type: "button", onclick: () => save(`${report.executive_report_id}.json`, "application/json", `${JSON.stringify(report, null, 2)}\n`) }, "Export as JSON"),
        el("a", { class: "button", href: hash("escalation") }, "Escalation plan")),
      el("p", { class: "soft printed" }, "“Download as a page” gives the form of this report that prints on one sheet.")), errorBox,
    facts([["Open recoveries", recoveries.open_count], ["Past the limit", recoveries.slo_breached_count], [`Opened in ${days}`, recoveries.opened_in_window_count], [`Closed in ${days}`, recoveries.closed_in_window_count],
      ["Closed within the limit, of all due", shareOfDue(recoveries)], ["Notifications not arrived", report.broken_providers.reduce((sum, provider) => sum + provider.failing_notice_count, 0)]].map(([name, value]) => [name, isKnown ? value : "unknown"])),
    el("div", { class: "split" },
      el("section", { "aria-labelledby": "actions" }, el("h2", { id: "actions" }, "What to do"), actionList(numberedActions, 1, leaks),
        otherActions.length > 0 && el("details", { "data-key": "more-actions" }, el("summary", {}, `${otherActions.length} more`), actionList(otherActions, numberedActions.length + 1 + shift))),
      el("section", { "aria-labelledby": "happened" }, el("h2", { id: "happened" }, "What happened"), el("ul", {}, report.what_happened.map((sentence) => el("li", {}, unbroken(sentence)))),
        table({ key: "providers", caption: "Providers that need attention", rows: report.broken_providers, empty: isKnown ? "none." : "unknown.", sorts: false, columns: [
          { name: "cause", title: "What is wrong", value: (provider) => provider.cause, cell: (provider) => [tag(provider.severity), el("div", {}, provider.cause), el("small", {}, "oldest failure ", time(provider.failing_since))] },
          { name: "open", title: "Open recoveries", value: (provider) => provider.open_recovery_count, number: true },
          { name: "missing", title: "Notifications not arrived", value: (provider) => provider.failing_notice_count, number: true },
        ] }))),
    table({ key: "open", caption: "Open recoveries", rows: report.open_recoveries, empty: isKnown ? "none." : "unknown.", columns: [
      { name: "provider", title: "Provider", value: (recovery) => recovery.provider, cell: (recovery) => [providerName(recovery.provider), " ", el("small", {}, whole(recovery.playbook_id))] },
      { name: "state", title: "State", value: (recovery) => recovery.slo_state, cell: (recovery) => tag(...SLO[recovery.slo_state]) },
      { name: "age", title: "Open for", value: (recovery) => recovery.age_minutes, cell: (recovery) => whole(span(recovery.age_minutes * 60000)) },
      { name: "due", title: "Due", value: (recovery) => recovery.slo_due_at, cell: (recovery) => time(recovery.slo_due_at) },
      { name: "do", title: "Next step", value: (recovery) => recovery.recommended_action },
    ] }), foot];
}

/** Notifications not delivered, by provider, with the day of the oldest; false if there is none. */
function missedNotifications({ broken_providers: providers }) {
  const parts = providers.filter((provider) => provider.failing_notice_count)
    .map((provider, at) => `${at ? provider.failing_notice_count.toLocaleString("en") : `${plural(provider.failing_notice_count, "notification")} sent`} to ${providerName(provider.provider)} (${provider.failing_notice_count > 1 ? "the oldest " : ""}from ${dayWords(provider.failing_since)})`);
  return parts.length > 0 && el("p", {}, `People may have missed ${listed(parts)}.`);
}

/** A day as the report's own sentences write it, such as 28 Nov. */
const dayWords = (text) => new Date(text).toLocaleDateString("en-GB", { day: "numeric", month: "short", timeZone: "UTC" });

/** Leaked secrets in evidence that no one had handled by then. Only the page shows them; the report does not count them. */
function leakNotice({ count }) {
  return count > 0 && el("p", {}, el("strong", {}, "Also now (platform team): "), `${plural(count, "leaked secret was", "leaked secrets were")} found in evidence. ${leakStep(count)} `, el("a", { href: hash("intake"), "data-key": "leaks" }, "Open quarantine and findings"));
}

const leakStep = (count) => `Rotate ${count === 1 ? "it" : "them"}, and fix the source.`;

/** Recoveries closed within the limit, of those closed in the window and those open past the limit. */
function shareOfDue(recoveries) {
  const closed = recoveries.closed_in_window_count;
  const due = closed + recoveries.slo_breached_count;
  if (!due) return "none due";
  const inTime = closed - recoveries.closed_late_in_window_count;
  return due < FEW ? `${inTime} of ${due}` : `${Math.floor((inTime * 100) / due)} %`;
}

/** The steps of the report as a numbered list; the second is that of leaked secrets, if there are any. */
function actionList(rows, start = 1, { count } = { count: 0 }) {
  const items = rows.map((action) => actionItem(action));
  if (count > 0) items.splice(1, 0, actionItem({ urgency: "now", role: "platform team", action: count === 1 ? "Rotate the leaked secret, and fix the source." : "Rotate the leaked secrets, and fix the source.", because: `${plural(count, "leaked secret was", "leaked secrets were")} found in evidence.`, then: [] }));
  return el("ol", { class: "actions", start }, items);
}

const actionItem = (action) => el("li", {},
  el("p", {}, tag(action.urgency === "now" ? "critical" : "warning", action.urgency), ` ${words(action.role).replace(", ", " and ")}: `, el("strong", {}, action.action)), el("p", { class: "soft" }, action.because),
  action.then.length > 0 && [el("p", {}, "Then:"), el("ul", {}, action.then.map((step) => el("li", {}, step)))]);

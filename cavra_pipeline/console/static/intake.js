// Quarantined lines and findings, and which findings are secrets; neither shows the content of a line.

import { isDaemonDown } from "./alerts.js";
import { ask, askIfThere } from "./api.js";
import { el, facts, hash, problem, swap, tag, words } from "./dom.js";
import { NOT_SECRETS } from "./lanes.js"; // written by the server
import { openLeaks } from "./leaks.js";
import { isPast, today } from "./moment.js";
import { table } from "./table.js";

/** True if a finding is a leaked secret, by the rule of the command `findings`. */
export const isSecret = ({ rule, action }) => ["dropped", "quarantined"].includes(action) && !NOT_SECRETS.includes(rule);

export async function render(params, context) {
  const range = { from: params.from, to: params.to ?? (isPast() ? today() : undefined) };
  const [leaks, answer] = await Promise.all([openLeaks(), isPast() ? null : askIfThere("/alerts")]);
  const alertOf = (finding) => answer?.alerts.find((alert) => alert.kind === "secret_finding" && alert.subject === finding.drop_day);
  const [quarantine, findings] = await Promise.all([pages("quarantine", range, [
    { name: "day", title: "Day", value: (line) => line.drop_day },
    { name: "reason", title: "Reason", value: (line) => words(line.reason) },
    { name: "field", title: "Field", value: (line) => line.field },
    { name: "file", title: "File", value: (line) => line.source_file },
    { name: "line", title: "Line", value: (line) => line.line_number, number: true },
    { name: "sha256", title: "SHA-256 of the line", value: (line) => line.sha256, cell: (line) => el("code", {}, line.sha256 ? `${line.sha256.slice(0, 16)}…` : "–") },
  ]), pages("findings", range, [
    { name: "day", title: "Day", value: (finding) => finding.drop_day },
    { name: "rule", title: "Rule", value: (finding) => finding.rule },
    { name: "secret", title: "Leaked secret", value: (finding) => (isSecret(finding) ? 0 : 1), cell: (finding) => secretCell(finding, leaks.days.includes(finding.drop_day), alertOf(finding), context) },
    { name: "path", title: "Field", value: (finding) => finding.path },
    { name: "action", title: "Action", value: (finding) => words(finding.action) },
    { name: "file", title: "File", value: (finding) => finding.source_file },
    { name: "line", title: "Line", value: (finding) => finding.line_number, number: true },
  ])]);
  return [rangeNote(range), facts([["Quarantined lines", quarantine.count], ["Findings", findings.count], ["Leaked secrets to rotate, on all days", leaks.count]]),
    el("h2", {}, "Quarantine"), el("p", {}, "Rejected lines. Fix them at their source and import them again; use the SHA-256 to find the line."), quarantine.node,
    el("h2", {}, "Findings"), el("p", {}, "Redactions: what was removed and why. A field was dropped or its value replaced by a pseudonym, or the line was quarantined. Rotate each leaked secret where it was issued, then resolve its alert."), findings.node];
}

/** Which landing days the page shows, where not all. */
const rangeNote = ({ from, to }) => (from || to) && el("p", { class: "soft" }, `Of landing days ${from && from === to ? from : [from && `from ${from}`, to && `up to the end of ${to}`].filter(Boolean).join(" ")}. `,
  (from || !isPast()) && el("a", { href: hash("intake"), "data-key": "all-days" }, "Show every day"));

/** Whether a finding is a secret that has to be rotated, with its alert; the alerts of a past instant are not known. */
function secretCell(finding, isOpen, alert, context) {
  if (!isSecret(finding)) return "–";
  return [isOpen ? tag("critical", "To rotate") : tag("healthy", "Handled"), " ", isOpen && alert && el("a", { href: hash("alert", { id: alert.alert_id }), "data-key": `alert-of-${finding.file_name}-${finding.line_number}-${finding.path}` }, "Open its alert"), isOpen && !alert && !isPast() && isDaemonDown(context) && el("small", {}, "its alert opens once the Dagster daemon runs")];
}

async function pages(name, range, columns) {
  const node = el("div", {});
  const rows = [];
  let cursor = null;
  let count = 0;
  const loadMore = async () => {
    const page = await ask(`/${name}`, { ...range, limit: 50, cursor });
    rows.push(...page[name]);
    ({ next: cursor, count } = page);
    swap(node, table({ key: name, caption: words(name), isTitled: false, rows, empty: "none", columns }),
      cursor && el("p", { class: "acts" }, el("button", { type: "button", "data-key": `more-${name}`, onclick: () => loadMore().catch((error) => node.append(problem(error))) }, "More")));
  };
  await loadMore();
  return { node, count };
}

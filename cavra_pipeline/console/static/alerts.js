// Open alerts and who acknowledged them, silences, undelivered notifications, and activity.

import { actForm } from "./acknowledge.js";
import { ask, askIfThere } from "./api.js";
import { el, facts, showDocument, tag, time, words } from "./dom.js";
import { table } from "./table.js";

export const isLive = true;

export async function render(params, context, root) {
  const [found, history] = await Promise.all([askIfThere("/alerts"), askIfThere("/alerts/events", { limit: 100 })]);
  if (!found) return el("p", { class: "soft" }, "This service has no alerts yet.");
  const again = async () => { root.replaceChildren(...(await render(params, context, root))); };
  return [
    facts([["Open alerts", found.alert_count], ["Silences", found.silences.length], ["Undelivered notifications", found.unsent_notices.length], ["Notifying", found.connectors?.join(", ") || "no one"]]),
    table({ key: "alerts", caption: "Open alerts", rows: found.alerts, empty: "none is open. The alert engine runs with the Dagster daemon, or by cavra-pipeline alerts; the overview judges the lanes without it.", columns: [
      { name: "subject", title: "Subject", value: (one) => one.subject },
      { name: "kind", title: "Kind", value: (one) => words(one.kind) },
      { name: "severity", title: "Severity", value: (one) => one.severity, cell: (one) => tag(one.severity) },
      { name: "state", title: "State", value: (one) => one.state, cell: (one) => words(one.state) + (one.acknowledged_by ? ` by ${one.acknowledged_by}` : "") },
      { name: "since", title: "Since", value: (one) => one.since ?? one.opened_at, cell: (one) => time(one.since ?? one.opened_at, true) },
      { name: "next", title: "Next", value: (one) => one.action },
      { name: "act", title: "Action", cell: (one) => [
        el("button", { type: "button", "data-key": `take-${one.alert_id}`, "aria-label": `Acknowledge ${words(one.kind)} of ${one.subject}`,
          onclick: () => actForm("Acknowledge an alert", `${words(one.kind)}, ${one.subject}: ${one.ends_by_hand ? "this resolves it." : "stops reminders until it resolves."}`, [], context,
            (given) => ask(`/alerts/${one.alert_id}/acknowledge`, {}, given), again) }, "Acknowledge"), " ",
        one.ends_by_hand && el("button", { type: "button", "data-key": `end-${one.alert_id}`, "aria-label": `Resolve ${words(one.kind)} of ${one.subject}`,
          onclick: () => actForm("Resolve an alert", `${words(one.kind)}, ${one.subject}: once what leaked is rotated.`, [], context,
            (given) => ask(`/alerts/${one.alert_id}/resolve`, {}, given), again, "Resolve", "Resolved") }, "Resolve"), " ",
        el("button", { type: "button", "data-key": `see-${one.alert_id}`, "aria-label": `Open ${words(one.kind)} of ${one.subject}`, onclick: () => showDocument(`Alert ${one.alert_id}`, one) }, "Open")] },
    ] }),
    plain("silences", "Silences", found.silences), plain("unsent", "Undelivered notifications", found.unsent_notices),
    plain("events", "Activity", history?.events || []),
  ];
}

/** Rows as they come: their own members are the columns. */
function plain(key, caption, rows) {
  const names = Object.keys(rows[0] || {}).filter((name) => rows.some((row) => row[name] !== null && typeof row[name] !== "object"));
  const columns = names.map((name) => ({
    name, title: words(name), value: (row) => row[name],
    cell: /_at$|_until$|^since$/.test(name) ? (row) => time(row[name]) : undefined,
  }));
  return [el("h2", {}, caption), table({ key, caption, rows, empty: "none", columns })];
}

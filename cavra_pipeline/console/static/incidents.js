// Provider incidents: one broken provider behind many failing deliveries, open ones first.

import { ask } from "./api.js";
import { incidentAddress, titleOf } from "./causes.js";
import { el, nothing, now, plural, span, tag, time, whole, words } from "./dom.js";
import { asOf } from "./moment.js";
import { table } from "./table.js";

export const isLive = true;

export async function render() {
  const { incidents } = await ask("/incidents", { as_of: asOf() });
  const open = incidents.filter((one) => !one.ended_at);
  const rows = [...open, ...incidents.filter((one) => one.ended_at).reverse()];
  if (!rows.length) return nothing("No provider incident is known.", "An incident is a provider whose deliveries fail one after another. A single failing delivery is in its lane's retry plan.");
  return [el("p", { class: "state" }, open.length ? `${plural(open.length, "incident is", "incidents are")} open` : "No incident is open"),
    table({ key: "incidents", caption: "Provider incidents", rows, columns: [
      { name: "what", title: "Cause", value: titleOf, cell: (one) => el("a", { href: incidentAddress(one), "data-key": `see-${one.incident_id}` }, titleOf(one)) },
      { name: "state", title: "State", value: (one) => one.ended_at ?? "", cell: (one) => tag(one.ended_at ? "healthy" : "critical", one.ended_at ? "Ended" : "Open") },
      { name: "began", title: "Began", value: (one) => one.began_at, cell: (one) => time(one.began_at) },
      { name: "for", title: "For", value: (one) => length(one), cell: (one) => whole(span(length(one))) },
      { name: "failures", title: "Failures", value: (one) => one.failure_count, number: true },
      { name: "pairs", title: "Not delivered yet", value: (one) => one.pairs.length, number: true },
      { name: "lanes", title: "Lanes", value: (one) => one.lanes.map(words).join(", ") },
    ] })];
}

const length = (one) => (one.ended_at ? Date.parse(one.ended_at) : now()) - Date.parse(one.began_at);

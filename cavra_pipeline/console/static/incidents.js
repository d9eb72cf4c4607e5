// Provider incidents: one broken provider behind many failing deliveries, open ones first.

import { ask } from "./api.js";
import { incidentAddress, titleOf } from "./causes.js";
import { el, emptyState, now, plural, span, tag, time, whole, words } from "./dom.js";
import { asOf } from "./moment.js";
import { table } from "./table.js";

export const isLive = true;

export async function render() {
  const { incidents } = await ask("/incidents", { as_of: asOf() });
  const open = incidents.filter((incident) => !incident.ended_at);
  const rows = [...open, ...incidents.filter((incident) => incident.ended_at).reverse()];
  if (!rows.length) return emptyState("No provider incident is known.", "An incident is a provider whose deliveries fail one after another. A single failing delivery is in its lane's retry plan.");
  return [el("p", { class: "state" }, open.length ? `${plural(open.length, "incident is", "incidents are")} open` : "No incident is open"),
    table({ key: "incidents", caption: "Provider incidents", rows, columns: [
      { name: "what", title: "Cause", value: titleOf, cell: (incident) => el("a", { href: incidentAddress(incident), "data-key": `see-${incident.incident_id}` }, titleOf(incident)) },
      { name: "state", title: "State", value: (incident) => incident.ended_at ?? "", cell: (incident) => tag(incident.ended_at ? "healthy" : "critical", incident.ended_at ? "Ended" : "Open") },
      { name: "began", title: "Began", value: (incident) => incident.began_at, cell: (incident) => time(incident.began_at) },
      { name: "for", title: "Duration", value: (incident) => length(incident), cell: (incident) => whole(span(length(incident))) },
      { name: "failures", title: "Failures", value: (incident) => incident.failure_count, number: true },
      { name: "pairs", title: "Not arrived", value: (incident) => incident.pairs.length, number: true },
      { name: "lanes", title: "Lanes", value: (incident) => incident.lanes.map(words).join(", ") },
    ] })];
}

const length = (incident) => (incident.ended_at ? Date.parse(incident.ended_at) : now()) - Date.parse(incident.began_at);

// What becomes of a lane's failing deliveries if nothing changes, run by run.

import { ask } from "./api.js";
import { NEVER, liveNote } from "./delivery.js";
import { LANES, choice, el, facts, field, hash, laneChoice, plural, providerName, stamp, subjectOf, time, words } from "./dom.js";
import { asOf } from "./moment.js";
import { tabs } from "./nav.js";
import { table } from "./table.js";

export async function render(params, context) {
  const lane = LANES.includes(params.lane) ? params.lane : "recovery_escalation";
  const found = await ask(`/lanes/${lane}/forecast`, { as_of: asOf(), hours: params.hours });
  // A delivery that the plan suppresses now is not among those that the coming runs exhaust.
  const gone = found.pairs.filter((one) => one.action === "suppress").length;
  const form = el("form", { "aria-label": "Forecast", onsubmit: (event) => event.preventDefault(),
    onchange: (event) => { location.hash = hash("forecast", Object.fromEntries(new FormData(event.currentTarget))); } },
  el("div", { class: "fields" }, laneChoice(lane), field("Hours ahead", choice("hours", [["6", "6"], ["24", "24"], ["72", "72"], ["168", "168"]], String(found.hours)))));
  const when = (name, title) => ({ name, title, value: (one) => one[name] ?? "", cell: (one) => (one[name] ? time(one[name]) : "–") });
  return [tabs("plan", "forecast", `?lane=${lane}`), form,
    el("section", { class: `verdict ${found.exhausted_count || gone ? "warning" : found.pair_count ? "healthy" : ""}`, "aria-label": "Forecast" },
      el("p", { class: "state" }, headline(found, gone)),
      found.pair_count > 0 && el("p", {}, liveNote(lane, context)),
      el("p", { class: "soft" }, `${words(lane)}, from ${stamp(found.as_of)}. It shows the two extremes: every retry fails, or every retry is delivered.`)),
    facts([["Worker runs", found.runs], ["Failing deliveries", found.pair_count], ["Exhausted already", gone], ["Held, or not due", found.never_tried_count - gone], ["Most due before a run", found.queue_peak], ["Late by up to", `${found.late_by_minutes} min`]]),
    table({ key: "forecast", caption: "Failing deliveries", rows: found.pairs, empty: "none.", columns: [
      { name: "subject", title: "Subject", value: (one) => subjectOf(lane, one), cell: (one) => el("a", { href: hash("delivery", { lane, subject: subjectOf(lane, one), provider: one.provider }), "data-key": `f-${subjectOf(lane, one)}-${one.provider}` }, subjectOf(lane, one)) },
      { name: "provider", title: "Provider", value: (one) => providerName(one.provider) },
      when("first_tried_at", "First tried"), when("exhausted_at", "Exhausted, if all fail"), when("delivered_at", "Delivered, if all arrive"),
      { name: "never", title: "Not tried, because", value: (one) => (one.never_tried ? NEVER[one.never_tried] ?? words(one.never_tried) : "") },
    ] })];
}

function headline({ pair_count: count, exhausted_count: ahead, until }, gone) {
  if (!count) return "No failing delivery is known";
  const later = `by ${stamp(until)} if every retry fails`;
  if (!gone) return `${plural(ahead, "delivery is", "deliveries are")} exhausted ${later}`;
  return `${plural(gone, "delivery is", "deliveries are")} exhausted already, ${ahead.toLocaleString("en")} more ${later}`;
}

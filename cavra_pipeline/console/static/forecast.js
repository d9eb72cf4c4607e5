// The forecast of a lane: its failing deliveries in the coming runs, if nothing changes.

import { dueSchedules, forecastNote } from "./alerts.js";
import { ask } from "./api.js";
import { declinedOf, heldAs } from "./decisions.js";
import { NEVER, liveNote } from "./delivery.js";
import { LANES, choice, el, facts, field, hash, laneChoice, plural, providerName, stamp, subjectOf, time, words } from "./dom.js";
import { asOf } from "./moment.js";
import { tabs } from "./nav.js";
import { table } from "./table.js";

export async function render(params, context) {
  const lane = LANES.includes(params.lane) ? params.lane : "recovery_escalation";
  const [schedules, forecast, planAnswer] = await Promise.all([dueSchedules(context), ask(`/lanes/${lane}/forecast`, { as_of: asOf(), hours: params.hours }), ask(`/lanes/${lane}/plan`, { as_of: asOf() })]);
  const declinedState = declinedOf(planAnswer);
  // Deliveries exhausted already are not in the forecast's exhausted count.
  const exhaustedCount = forecast.pairs.filter((pair) => pair.action === "suppress").length;
  const form = el("form", { "aria-label": "Forecast", onsubmit: (event) => event.preventDefault(),
    onchange: (event) => { location.hash = hash("forecast", Object.fromEntries(new FormData(event.currentTarget))); } },
  el("div", { class: "fields" }, laneChoice(lane), field("Hours ahead", choice("hours", [["6", "6"], ["24", "24"], ["72", "72"], ["168", "168"]], String(forecast.hours)))));
  const when = (name, title) => ({ name, title, value: (pair) => pair[name] ?? "", cell: (pair) => (pair[name] ? time(pair[name]) : "–") });
  return [tabs("plan", "forecast", `?lane=${lane}`), form,
    el("section", { class: `verdict ${forecast.exhausted_count || exhaustedCount ? "warning" : forecast.pair_count ? "healthy" : ""}`, "aria-label": "Forecast" },
      el("p", { class: "state" }, headline(forecast, exhaustedCount)),
      forecast.pair_count > 0 && el("p", {}, liveNote(lane, context)),
      el("p", { class: "soft" }, `${words(lane)}, from ${stamp(forecast.as_of)}. It shows the two extremes: every retry fails, or every retry is delivered.${forecast.pair_count ? ` ${forecastNote(lane, schedules)}` : ""}`)),
    facts([["Worker runs", forecast.runs], ["Failing deliveries", forecast.pair_count], ["Exhausted already", exhaustedCount], ["Held, or not due", forecast.never_tried_count - exhaustedCount], ["Most due before a run", forecast.queue_peak], ["Late by up to", `${forecast.late_by_minutes} min`]]),
    table({ key: "forecast", caption: "Failing deliveries", rows: forecast.pairs, empty: "none.", columns: [
      { name: "subject", title: "Subject", value: (pair) => subjectOf(lane, pair), cell: (pair) => el("a", { href: hash("delivery", { lane, subject: subjectOf(lane, pair), provider: pair.provider }), "data-key": `f-${subjectOf(lane, pair)}-${pair.provider}` }, subjectOf(lane, pair)) },
      { name: "provider", title: "Provider", value: (pair) => providerName(pair.provider) },
      when("first_tried_at", "First tried"), when("exhausted_at", "Exhausted, if all fail"), when("delivered_at", "Delivered, if all arrive"),
      { name: "never", title: "Not tried, because", value: (pair) => (pair.never_tried && declinedState(pair) ? heldAs(declinedState(pair)) : pair.never_tried ? NEVER[pair.never_tried] ?? words(pair.never_tried) : "") },
    ] })];
}

function headline({ pair_count: count, exhausted_count: ahead, until }, exhaustedCount) {
  if (!count) return "No failing delivery is known";
  const later = `by ${stamp(until)} if every retry fails`;
  if (!exhaustedCount) return `${plural(ahead, "delivery is", "deliveries are")} exhausted ${later}`;
  return `${plural(exhaustedCount, "delivery is", "deliveries are")} exhausted already, ${ahead.toLocaleString("en")} more ${later}`;
}

// Scheduled runs: which were on time, late or missed, and why.

import { isDaemonUp } from "./alerts.js";
import { ask, askIfThere } from "./api.js";
import { downLanesOf, downLinks } from "./causes.js";
import { LANES, SCHEDULES, choice, command, el, facts, field, hash, emptyState, listed, now, plural, stamp, tag, time, words } from "./dom.js";
import { asOf, isPast } from "./moment.js";
import { hasEvidence } from "./empty.js";
import { VERDICTS, colourKey, slotPoint, timeline } from "./pictures.js";
import { table } from "./table.js";

export const isLive = true;

const LEVELS = { missed: "critical", late: "warning", early: "warning", on_time: "healthy" };

export async function render(params, context) {
  const days = Number(params.days) || 7;
  const since = new Date(Math.floor(now() / 60000) * 60000 - days * 86400000).toISOString();
  const [answer, { lanes }] = await Promise.all([askIfThere("/slots", { since, until: asOf(), schedule: params.schedule }), ask("/lanes", { as_of: asOf() })]);
  if (!answer) return el("p", { class: "soft" }, "This service has no scheduled runs yet.");
  const form = el("form", { "aria-label": "What is shown", onsubmit: (event) => event.preventDefault(), onchange: (event) => { location.hash = hash("slots", { ...Object.fromEntries(new FormData(event.currentTarget)), schedule: params.schedule }); } },
    el("div", { class: "fields" }, field("Days", choice("days", [["1", "1"], ["7", "7"], ["31", "31"]], String(days))),
      field("Verdict", choice("verdict", [["", "What went wrong"], ...Object.keys(answer.counts).map((name) => [name])], params.verdict))));
  const chosen = answer.slots.filter((slot) => (params.verdict ? slot.verdict === params.verdict : !["on_time", "not_expected"].includes(slot.verdict)));
  const [from, to] = [Date.parse(answer.from), Date.parse(answer.to)];
  const names = [...new Set(answer.slots.map((slot) => slot.schedule))];
  const recordedAt = Date.parse(answer.recorded_since ?? answer.to);
  const isPartial = recordedAt > from;
  const rows = names.map((name) => ({ title: words(name), points: answer.slots.filter((slot) => slot.schedule === name).map(slotPoint) }));
  const summary = Object.entries(answer.counts).map(([name, count]) => `${count.toLocaleString("en")} ${words(name).toLowerCase()}`).join(", ");
  const downLanes = hasEvidence(lanes) ? downLanesOf(lanes) : [];
  const notes = [downLanes.length > 0 && el("p", { class: "notice" }, el("strong", {}, `${plural(downLanes.length, "worker is", "workers are")} down, as evidence of their runs shows: `), downLinks(downLanes), "."),
    answer.slot_count > 0 && isPartial && el("p", {}, `Recorded since ${stamp(answer.recorded_since)}; nothing is known of scheduled runs before.`)];
  if (!answer.slot_count) return [form, notes, emptyState("No scheduled run is known in these days.", isDaemonUp(context) ? "Each is recorded once it is due" : ["Dagster's daemon records them (", command("cavra-pipeline dev"), ")"], ". Missed runs of a lane's own worker are on its ", el("a", { href: hash("health") }, "health page"), "."), schedulesTable(answer)];
  return [form, notes, facts(Object.entries(answer.counts).map(([name, count]) => [words(name), count])),
    names.length > 0 && timeline("Over time", `${stamp(isPartial ? answer.recorded_since : answer.from)} to ${stamp(answer.to)}: ${summary}.`, rows, Math.max(from, recordedAt), to, { below: [colourKey("Runs", VERDICTS)] }),
    schedulesTable(answer),
    el("div", { class: "wide", tabindex: "0", role: "region", "aria-label": "Scheduled runs" }, table({ key: "slots", caption: params.verdict ? words(params.verdict) : "What went wrong", rows: chosen.reverse(), empty: params.verdict ? "none with this verdict." : isPartial ? "nothing, every recorded run was on time." : "nothing, every run was on time.", columns: [
      { name: "schedule", title: "Schedule", value: (slot) => words(slot.schedule) },
      { name: "at", title: "Expected", value: (slot) => slot.expected_at, cell: (slot) => time(slot.expected_at) },
      { name: "verdict", title: "Verdict", value: (slot) => slot.verdict, cell: (slot) => tag(LEVELS[slot.verdict] || "", words(slot.verdict)) },
      { name: "cause", title: "Cause", value: (slot) => words(slot.cause) },
      { name: "done", title: "Done", value: (slot) => slot.done_at, cell: (slot) => time(slot.done_at) },
    ] }))];
}

/** Each schedule with its lanes, when it is due next and its newest run on record. */
const schedulesTable = ({ schedules, slots }) => table({ key: "schedules", caption: "Schedules", rows: schedules.map((row) => ({ ...row, last: slots.findLast((slot) => slot.schedule === row.schedule) })), columns: [
  { name: "schedule", title: "Schedule", value: (row) => words(row.schedule) },
  { name: "lanes", title: "Lanes", value: (row) => listed(LANES.filter((lane) => SCHEDULES[lane] === row.schedule).map(words)) || "none" },
  { name: "cron", title: "Cron", value: (row) => row.cron, cell: (row) => [el("code", { class: "whole" }, row.cron), el("small", {}, row.time_zone)] },
  !isPast() && { name: "next", title: "Next due", value: (row) => row.next_due_at, cell: (row) => time(row.next_due_at, true) },
  { name: "last", title: "Last expected", value: (row) => row.last?.expected_at, cell: (row) => time(row.last?.expected_at, true) },
  { name: "verdict", title: "Verdict", value: (row) => row.last?.verdict, cell: (row) => (row.last ? tag(LEVELS[row.last.verdict] || "", words(row.last.verdict)) : "–") },
].filter(Boolean) });

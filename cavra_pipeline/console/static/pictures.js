// The console's pictures as SVG: they follow the page's colours, print sharply, and say in words what they show.

import { el, plural, span, stamp, svg, words } from "./dom.js";

const WIDTH = 720;
const LEFT = 118;
const DAY = 86400000;

const x = (at, from, to) => LEFT + ((Math.min(Math.max(at, from), to) - from) / (to - from || 1)) * (WIDTH - LEFT - 8);

function timeAxis(from, to, height) {
  const steps = [15 * 60000, 3600000, 3 * 3600000, 6 * 3600000, 12 * 3600000, DAY, 2 * DAY, 7 * DAY, 14 * DAY, 31 * DAY, 92 * DAY];
  const step = steps.find((size) => (to - from) / size <= 7) || 366 * DAY;
  const marks = [];
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) {
    const text = new Date(at).toISOString();
    marks.push(svg("line", { class: "grid", x1: x(at, from, to), x2: x(at, from, to), y1: 4, y2: height - 18 }),
      svg("text", { class: "tick", x: x(at, from, to), y: height - 4, "text-anchor": "middle" }, step >= DAY ? text.slice(5, 10) : text.slice(11, 16)));
  }
  return marks;
}

function figure(title, summary, height, marks, ...below) {
  return el("figure", {}, el("figcaption", {}, title, el("span", { class: "soft" }, summary)),
    el("div", { class: "picture", tabindex: "0", role: "group", "aria-label": `${title}, picture` },
      svg("svg", { viewBox: `0 0 ${WIDTH} ${height}`, role: "img", "aria-label": `${title}. ${summary}` }, marks)), below);
}

/**
 * Rows over time. rows: [{title, spans: [{from, to, kind, text}], points: [{at, kind, text}]}]; instants in ms.
 * A point is drawn as a tick; kinds are classes: good, late, bad, unknown.
 */
export function timeline(title, summary, rows, from, to, ...below) {
  const height = rows.length * 30 + 26;
  const marks = rows.map((row, at) => {
    const top = 8 + at * 30;
    return svg("g", {},
      svg("text", { x: 0, y: top + 14 }, row.title),
      svg("rect", { class: "track", x: LEFT, y: top + 2, width: WIDTH - LEFT - 8, height: 16 }),
      (row.spans || []).map((one) => svg("rect", {
        class: one.kind, x: x(one.from, from, to), y: top + 2, height: 16,
        width: Math.max(2, x(one.to, from, to) - x(one.from, from, to)),
      }, svg("title", {}, one.text))),
      (row.points || []).map((one) => svg("rect", { class: one.kind, x: x(one.at, from, to) - 0.75, y: top + 2, width: 1.5, height: 16 },
        one.text && svg("title", {}, one.text))));
  });
  return figure(title, summary, height, [timeAxis(from, to, height), marks], ...below);
}

/** One square for each day's level, oldest first: [{day, level}]. */
export function dayStrip(days, label) {
  const kinds = { critical: "bad", warning: "late", healthy: "good" };
  return svg("svg", { class: "strip", viewBox: `0 0 ${days.length * 10} 14`, preserveAspectRatio: "none", role: "img", "aria-label": label },
    days.map(({ day, level }, at) => svg("rect", { class: kinds[level] || "track", x: at * 10, y: level === "critical" ? 0 : level === "warning" ? 4 : 8,
      width: 8, height: level === "critical" ? 14 : level === "warning" ? 10 : 6 }, svg("title", {}, `${day}: ${words(level || "no report")}`))));
}

/** Lines over days: series [{name, values}], one value (or null) for each day. Told apart by dash and by label, not by colour alone. */
export function lines(title, days, series) {
  const height = 190;
  const bottom = height - 22;
  const most = nice(Math.max(1, ...series.flatMap((one) => one.values.filter((value) => value !== null))));
  const at = days.map((day) => Date.parse(day));
  const [from, to] = [at[0], at[at.length - 1]];
  const y = (value) => bottom - (value / most) * (bottom - 10);
  const grid = [0, 0.5, 1].map((part) => [
    svg("line", { class: "grid", x1: LEFT, x2: WIDTH - 8, y1: y(most * part), y2: y(most * part) }),
    svg("text", { class: "tick", x: LEFT - 6, y: y(most * part) + 4, "text-anchor": "end" }, (most * part).toLocaleString("en")),
  ]);
  const drawn = series.map((one, number) => {
    const points = one.values.map((value, index) => [value, index]).filter(([value]) => value !== null);
    const path = points.map(([value, index], place) => `${place ? "L" : "M"}${x(at[index], from, to).toFixed(1)} ${y(value).toFixed(1)}`).join("");
    return svg("path", { class: `line line-${number}`, d: path });
  });
  const legend = el("ul", { class: "legend" }, series.map((one, number) => el("li", {},
    svg("svg", { viewBox: "0 0 30 8", "aria-hidden": "true" }, svg("line", { class: `line line-${number}`, x1: 0, x2: 30, y1: 4, y2: 4 })), one.name)));
  const last = series.map((one) => `${one.name} ${one.values.findLast((value) => value !== null) ?? "unknown"}`).join(", ");
  const numbers = el("details", { "data-key": `numbers-${title}` }, el("summary", {}, `Numbers of ${title.toLowerCase()}`),
    el("div", { class: "wide", tabindex: "0", role: "region", "aria-label": `Numbers of ${title.toLowerCase()}` },
      el("table", {}, el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Day"), series.map((one) => el("th", { scope: "col", class: "number" }, one.name)))),
        el("tbody", {}, days.map((day, index) => el("tr", {}, el("th", { scope: "row" }, day), series.map((one) => el("td", { class: "number" }, String(one.values[index] ?? "–")))))))));
  return figure(title, `${days[0]} to ${days.at(-1)}; at the end: ${last}.`, height, [timeAxis(from, to, height), grid, drawn], legend, numbers);
}

function nice(value) {
  const size = 10 ** Math.floor(Math.log10(value));
  // Even, so that the line in the middle is a whole number too: these are counts.
  return [1, 2, 4, 6, 10].map((one) => one * size).find((one) => one >= value && one % 2 === 0);
}

const parse = (text) => Date.parse(text);

/** Outages, worker runs, slots and gaps of a lane up to an instant. */
export function healthTimeline(health, runs, slots) {
  const to = parse(health.as_of);
  const from = to - health.window_hours * 3600000;
  const rows = [
    { title: "Worker runs", points: runs.filter((one) => parse(one.created_at) >= from).map((one) => ({ at: parse(one.created_at), kind: "good" })) },
    { title: "Outages", spans: health.outages.map((one) => {
      const [began, ended] = [one.started_at ? parse(one.started_at) : from, one.ended_at ? parse(one.ended_at) : to];
      return { from: began, to: ended, kind: "bad", text: `${stamp(one.started_at)} to ${one.ended_at ? stamp(one.ended_at) : "now"}: ${span(ended - began)}, ${one.missed_runs} missed` };
    }) },
  ];
  const kinds = { missed: "bad", late: "late", early: "late", unknown: "unknown", on_time: "good", not_expected: "track" };
  if (slots.length) {
    rows.push({ title: "Scheduled runs", points: slots.map((one) => ({ at: parse(one.expected_at), kind: kinds[one.verdict] || "unknown", text: `${stamp(one.expected_at)}: ${words(one.verdict)}` })) });
  }
  if (health.acknowledgement_gaps.length) rows.push({ title: "Gaps open since", points: health.acknowledgement_gaps.filter((one) => one.since)
    .map((one) => ({ at: parse(one.since), kind: "late", text: `${one.provider} since ${stamp(one.since)}` })) });
  const open = health.outages.filter((one) => !one.ended_at).length;
  const summary = `${stamp(new Date(from).toISOString())} to ${stamp(health.as_of)}: ${[[runs.length, "worker run"], [health.outages.length, "outage"], [open, "open outage"], [slots.length, "scheduled run"], [health.acknowledgement_gaps.length, "gap"]].map(([count, name]) => plural(count, name)).join(", ")}.`;
  const list = health.outages.length > 0 && el("details", { "data-key": "outages" }, el("summary", {}, "Outages in words"), el("ul", {}, health.outages.map((one) =>
    el("li", {}, `${one.started_at ? stamp(one.started_at) : "Never ran"} to ${one.ended_at ? stamp(one.ended_at) : "now"}: ${one.missed_runs} runs missed`))));
  return timeline("Worker runs, outages and scheduled runs", summary, rows, from, to, list);
}

// Charts as SVG: they use the page's colours, print well, and have a text alternative.

import { el, plural, span, stamp, svg, words } from "./dom.js";
import { isPast } from "./moment.js";

const DAY = 86400000;
const STEPS = [15 * 60000, 3600000, 3 * 3600000, 6 * 3600000, 12 * 3600000, DAY, 2 * DAY, 7 * DAY, 14 * DAY, 31 * DAY, 92 * DAY];

/** The width of a chart in px, equal to its units: texts are not scaled. */
export const pictureWidth = () => Math.max(300, Math.min(1500, (document.getElementById("main").clientWidth || 720) - 4));

/** Returns a function from an instant to its x position, clamped to the chart. */
export function scale(from, to, left, width) {
  return (at) => left + ((Math.min(Math.max(at, from), to) - from) / (to - from || 1)) * (width - left - 10);
}

/** Ticks at round instants. A label keeps away from the edges, which have labels of their own: `leftRoom` and `rightRoom` are in px. */
export function timeAxis(from, to, x, height, maxCount, leftRoom = 0, rightRoom = 62) {
  const step = STEPS.find((size) => (to - from) / size <= maxCount) || 366 * DAY;
  const marks = [];
  const right = x(to);
  // The first hour names its day.
  let isFirst = true;
  for (let at = Math.ceil(from / step) * step; at <= to; at += step) {
    const text = new Date(at).toISOString();
    marks.push(svg("line", { class: "grid", x1: x(at), x2: x(at), y1: 4, y2: height - 18 }));
    if (right - x(at) > rightRoom && x(at) - x(from) >= leftRoom) marks.push(svg("text", { class: "tick", x: x(at), y: height - 4, "text-anchor": "middle" }, step >= DAY ? text.slice(5, 10) : isFirst ? text.slice(5, 16).replace("T", " ") : text.slice(11, 16)));
    isFirst = false;
  }
  return marks;
}

/**
 * A scale that gives three quarters of the width to the time before `knee`, where that time is short:
 * attempts within an hour stay apart although the right edge is days later.
 */
export function kneeScale(from, knee, to, left, width) {
  if (!knee || knee - from > 0.6 * (to - from)) return scale(from, to, left, width);
  const middle = left + (width - left) * 0.75;
  const [before, after] = [scale(from, knee, left, middle + 10), scale(knee, to, middle, width)];
  return Object.assign((at) => (at <= knee ? before(at) : after(at)), { knee });
}

/** A labelled vertical line, such as now. */
export const edge = (x, height, text) => [svg("line", { class: "edge", x1: x, x2: x, y1: 2, y2: height - 16 }), svg("text", { class: "tick strong", x: x + 2, y: height - 4, "text-anchor": "end" }, text)];

export function figure(title, summary, width, height, marks, ...below) {
  return el("figure", {}, el("figcaption", {}, title, el("span", { class: "soft" }, summary)),
    el("div", { class: "picture", tabindex: "0", role: "group", "aria-label": `${title}, picture` },
      svg("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `${title}. ${summary}` }, marks)), below);
}

const hint = (text) => text && svg("title", {}, text);

/**
 * Rows over time, in ms. rows: [{title, spans: [{from, to, kind, text}], points: [{at, kind, text}],
 * marks: [{at, kind, label, text}]}], by time; a label without room is omitted. Kinds are CSS classes, such as good, late, bad.
 */
export function timeline(title, summary, rows, from, to, { below = [], now = to, knee = null } = {}) {
  const width = pictureWidth();
  const isNarrow = width < 560;
  // Texts are 13 px high, on average at most 7 px wide.
  const left = isNarrow ? 8 : Math.min(width / 3, Math.max(150, 8 + 7 * Math.max(...rows.map((row) => row.title.length))));
  const step = isNarrow ? 46 : 34;
  const x = kneeScale(from, knee, to, left, width);
  const height = rows.length * step + 28;
  const rowGroups = rows.map((row, at) => {
    const top = 8 + at * step + (isNarrow ? 16 : 0);
    return svg("g", {},
      svg("text", { x: 0, y: isNarrow ? top - 3 : top + 15 }, row.title),
      svg("rect", { class: "track", x: left, y: top + 2, width: width - left - 10, height: 18, rx: 4 }),
      (row.spans || []).map((interval) => svg("rect", { class: interval.kind, x: x(interval.from), y: top + 2, height: 18, rx: 3, width: Math.max(2, x(interval.to) - x(interval.from)) }, hint(interval.text))),
      (row.points || []).map((point) => svg("rect", { class: point.kind, x: x(point.at) - 1, y: top + 2, width: 2, height: 18 }, hint(point.text))),
      (row.marks || []).map((mark, place, marks) => {
        const room = (marks[place + 1] ? x(marks[place + 1].at) - 7 : width) - x(mark.at) - 11;
        return svg("g", {}, svg("circle", { class: mark.kind, cx: x(mark.at), cy: top + 11, r: 7 }, hint(mark.text)),
          room >= 7 * mark.label.length && svg("text", { class: "tick strong", x: x(mark.at) + 11, y: top + 15 }, mark.label));
      }));
  });
  const dateOf = (at) => stamp(new Date(at).toISOString()).slice(5, 16);
  const nowText = isPast() ? dateOf(now) : `now, ${dateOf(now)}`;
  const dueText = `due ${dateOf(to)}`;
  // A character is at most 7 px wide; a label without room is dropped.
  const last = now < to ? [...edge(x(now), height, x(now) - left > 7 * nowText.length && x(to) - x(now) > 7 * dueText.length ? nowText : ""), ...edge(x(to), height, dueText)] : edge(x(to), height, nowText);
  const first = x(to) - left > 240 && svg("text", { class: "tick strong", x: left, y: height - 4 }, dateOf(from));
  const axis = timeAxis(from, x.knee ?? to, x, height, isNarrow ? 4 : 8, 120, x.knee ? 62 : 150);
  const kneeLine = x.knee && [svg("line", { class: "turn", x1: x(x.knee), x2: x(x.knee), y1: 4, y2: height - 18 }, svg("title", {}, "The time after this line is shortened.")),
    x(now) - x(x.knee) > 190 && svg("text", { class: "tick short", x: x(x.knee) + 4, y: height - 4 }, "shortened")];
  return figure(title, summary, width, height, [axis, rowGroups, kneeLine || [], first || [], last], ...below);
}

/** A bar of a lane's failing deliveries by state: parts [[kind, count]], scaled to the longest bar of the table. */
export function sharesBar(parts, maxCount, text) {
  let left = 0;
  return svg("svg", { class: "shares", viewBox: "0 0 160 10", preserveAspectRatio: "none", role: "img", "aria-label": text },
    svg("rect", { class: "track", x: 0, y: 0, width: 160, height: 10 }),
    parts.map(([kind, count]) => {
      const width = (count / maxCount) * 160;
      const part = svg("rect", { class: kind, x: left, y: 0, width, height: 10 });
      left += width;
      return part;
    }));
}

const parse = (text) => Date.parse(text);
const KINDS = { missed: "bad", late: "late", early: "late", unknown: "unknown", on_time: "good", not_expected: "track" };

/** A legend: kinds [[CSS class, text]]. */
export const colourKey = (title, kinds) => el("ul", { class: "legend", "aria-label": `Key: ${title.toLowerCase()}` }, el("li", {}, el("strong", {}, title)),
  kinds.map(([kind, text]) => el("li", {}, el("i", { class: `dot ${kind}`, "aria-hidden": "true" }), text)));

/** Legend of scheduled runs. */
export const VERDICTS = [["good", "on time"], ["late", "late or early"], ["bad", "missed"], ["unknown", "unknown"]];

/** A scheduled run as a point of a timeline. */
export const slotPoint = (slot) => ({ at: parse(slot.expected_at), kind: KINDS[slot.verdict] || "unknown", text: `${stamp(slot.expected_at)}: ${words(slot.verdict)}` });

const stillOpen = () => (isPast() ? "this instant, still open" : "now");

/** Timeline of a lane's worker runs, outages, scheduled runs and gaps; the outages of a worker that runs regularly but too seldom are one cause. */
export function healthTimeline(health, runs, slots, isSeldom = false) {
  const to = parse(health.as_of);
  const from = to - health.window_hours * 3600000;
  const allGaps = [...health.acknowledgement_gaps, ...health.approval_gaps];
  const gaps = allGaps.filter((gap) => gap.since);
  const rows = [
    { title: "Worker runs", points: runs.filter((run) => parse(run.created_at) >= from).map((run) => ({ at: parse(run.created_at), kind: "good", text: stamp(run.created_at) })) },
    { title: isSeldom ? "Longer than expected" : "Outages", spans: health.outages.map((outage) => {
      const [began, ended] = [outage.started_at ? parse(outage.started_at) : from, outage.ended_at ? parse(outage.ended_at) : to];
      return { from: began, to: ended, kind: isSeldom ? "late" : "bad", text: `${stamp(outage.started_at)} to ${outage.ended_at ? stamp(outage.ended_at) : stillOpen()}: ${span(ended - began)}, ${outage.missed_runs} missed` };
    }) },
    slots.length > 0 && { title: "Scheduled runs", points: slots.map(slotPoint) },
    gaps.length > 0 && { title: "Gaps open since", points: gaps.map((gap) => ({ at: parse(gap.since), kind: "late", text: `${gap.provider} since ${stamp(gap.since)}` })) },
  ].filter(Boolean);
  const open = health.outages.filter((outage) => !outage.ended_at).length;
  const counts = [[runs.length, "worker run"], ...(isSeldom ? [] : [[health.outages.length, "outage"], [open, "open outage"]]), [slots.length, "scheduled run"], [allGaps.length, "gap"]];
  const summary = `${stamp(new Date(from).toISOString())} to ${stamp(health.as_of)}: ${counts.map(([count, name]) => plural(count, name)).join(", ")}.`;
  const list = health.outages.length > 0 && !isSeldom && el("details", { "data-key": "outages" }, el("summary", {}, "Outages in words"), el("ul", {}, health.outages.map((outage) =>
    el("li", {}, `${outage.started_at ? stamp(outage.started_at) : "Never ran"} to ${outage.ended_at ? stamp(outage.ended_at) : stillOpen()}: ${outage.missed_runs} runs missed`))));
  return timeline("Worker runs, outages and scheduled runs", summary, rows, from, to, { below: [slots.length > 0 && colourKey("Scheduled runs", VERDICTS), list] });
}

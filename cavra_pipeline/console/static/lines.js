// A line chart of counts by day. Pointer and arrow keys read out a day; a table below lists the numbers.

import { el, svg } from "./dom.js";
import { edge, figure, pictureWidth, scale, timeAxis } from "./pictures.js";

const HEIGHT = 210;
const LEFT = 52;

/** series: [{name, values}], one value (or null) for each day. Lines differ by dash and label, not by colour alone. */
export function lines(title, days, series) {
  const width = pictureWidth();
  const bottom = HEIGHT - 22;
  const maxValue = roundUp(Math.max(1, ...series.flatMap((line) => line.values.filter((value) => value !== null))));
  const at = days.map((day) => Date.parse(day));
  const [from, to] = [at[0], at[at.length - 1]];
  const x = scale(from, to, LEFT, width);
  const y = (value) => bottom - (value / maxValue) * (bottom - 10);
  const grid = [0, 0.5, 1].map((part) => [
    svg("line", { class: "grid", x1: LEFT, x2: width - 10, y1: y(maxValue * part), y2: y(maxValue * part) }),
    svg("text", { class: "tick", x: LEFT - 6, y: y(maxValue * part) + 4, "text-anchor": "end" }, (maxValue * part).toLocaleString("en")),
  ]);
  const paths = series.map((line, number) => {
    const points = line.values.map((value, index) => [value, index]).filter(([value]) => value !== null);
    const path = points.map(([value, index], place) => `${place ? "L" : "M"}${x(at[index]).toFixed(1)} ${y(value).toFixed(1)}`).join("");
    return [svg("path", { class: `line line-${number}`, d: path }), points.length === 1 && svg("circle", { class: `dot-${number}`, cx: x(at[points[0][1]]), cy: y(points[0][0]), r: 3 })].filter(Boolean);
  });
  const legend = el("ul", { class: "legend" }, series.map((line, number) => el("li", {},
    svg("svg", { viewBox: "0 0 30 8", "aria-hidden": "true" }, svg("line", { class: `line line-${number}`, x1: 0, x2: 30, y1: 4, y2: 4 })), line.name)));
  const last = series.map((line) => `${line.name} ${line.values.findLast((value) => value !== null)?.toLocaleString("en") ?? "unknown"}`).join(", ");
  const cursor = svg("line", { class: "cursor", y1: 6, y2: bottom, visibility: "hidden" });
  const readout = el("p", { class: "readout", role: "status" }, "Point at a day, or use the arrow keys, to read its numbers.");
  const chart = figure(title, `${days[0]} to ${days.at(-1)}; at the end: ${last}.`, width, HEIGHT,
    [timeAxis(from, to, x, HEIGHT, width < 560 ? 5 : 10), grid, paths, cursor, edge(x(to), HEIGHT, days.at(-1).slice(5))], readout, legend, numbersTable(title, days, series));
  addReadout(chart.querySelector(".picture"), { days, series, at, x, width, cursor, readout });
  return chart;
}

function addReadout(picture, { days, series, at, x, width, cursor, readout }) {
  let chosen = days.length - 1;
  const show = (index) => {
    chosen = Math.min(days.length - 1, Math.max(0, index));
    cursor.setAttribute("x1", x(at[chosen]));
    cursor.setAttribute("x2", x(at[chosen]));
    cursor.setAttribute("visibility", "visible");
    readout.textContent = `${days[chosen]}: ${series.map((line) => `${line.name} ${line.values[chosen]?.toLocaleString("en") ?? "unknown"}`).join(", ")}`;
  };
  picture.addEventListener("pointermove", (event) => {
    const box = picture.firstElementChild.getBoundingClientRect();
    const place = ((event.clientX - box.left) / box.width) * width;
    show(at.reduce((best, instant, index) => (Math.abs(x(instant) - place) < Math.abs(x(at[best]) - place) ? index : best), 0));
  });
  picture.addEventListener("keydown", (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (!step) return;
    event.preventDefault();
    show(chosen + step);
  });
}

const numbersTable = (title, days, series) => el("details", { "data-key": `numbers-${title}` }, el("summary", {}, `Numbers of ${title.toLowerCase()}`),
  el("div", { class: "wide", tabindex: "0", role: "region", "aria-label": `Numbers of ${title.toLowerCase()}` },
    el("table", {}, el("thead", {}, el("tr", {}, el("th", { scope: "col" }, "Day"), series.map((line) => el("th", { scope: "col", class: "number" }, line.name)))),
      el("tbody", {}, days.map((day, index) => el("tr", {}, el("th", { scope: "row" }, day), series.map((line) => el("td", { class: "number" }, line.values[index]?.toLocaleString("en") ?? "–"))))))));

function roundUp(value) {
  const size = 10 ** Math.floor(Math.log10(value));
  // Even, so that the middle grid line is a whole number.
  return [1, 2, 4, 6, 10].map((factor) => factor * size).find((bound) => bound >= value && bound % 2 === 0);
}

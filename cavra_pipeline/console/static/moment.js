// The instant that the whole page is for: now, or a past one. It stands in the address as as_of, in UTC without a zone.

import { announce, clock, el, now, setMoment, stamp } from "./dom.js";

let instant = null;

/** The instant for the API, or undefined for now. */
export const asOf = () => (instant ? `${instant}Z` : undefined);
export const isPast = () => instant !== null;
/** The UTC day that the page is for. */
export const today = () => daysAgo(0);
export const daysAgo = (count) => new Date(now() - count * 86400000).toISOString().slice(0, 10);

const DAY = /^\d{4}-\d\d-\d\d$/;
// The plus of an offset is a blank where an address does not escape it.
const INSTANT = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(?:\.\d+)?(Z|[-+ ]\d\d:?\d\d)?$/i;

/** An instant as the page holds it; a day is judged at its end, today now (null); undefined if it is neither. */
export function parsedMoment(text) {
  if (DAY.test(text)) text = text === new Date(clock()).toISOString().slice(0, 10) ? null : `${text}T23:59:59`;
  if (text === null) return null;
  const [, day, hour, zone = "Z"] = INSTANT.exec(text) ?? [];
  const at = Date.parse(`${day}T${hour}${zone.replace(" ", "+").toUpperCase()}`);
  return Number.isFinite(at) ? new Date(at).toISOString().slice(0, 19) : undefined;
}

/** Takes over the instant of an address; returns the parameters with the instant that holds. */
export function followAddress({ as_of: addressInstant, ...params }) {
  const at = addressInstant === undefined ? undefined : parsedMoment([addressInstant].flat()[0]);
  if (at !== undefined) setInstant(at);
  return instant ? { ...params, as_of: instant } : params;
}

export const goToNow = () => setInstant(null);

function setInstant(text) {
  instant = text;
  setMoment(text ? Date.parse(`${text}Z`) : null);
}

/** Draws the control; `go` gets nothing and shows the page again for the instant that was chosen. */
export function momentControl(form, go) {
  const input = el("input", { id: "as-of", name: "as_of", type: "datetime-local", step: 1, "aria-label": "As of (UTC)" });
  const choose = (text) => {
    setInstant(text);
    announce(text ? `As of ${stamp(`${text}Z`)}` : "As of now");
    go();
  };
  const move = (hours) => choose(new Date(now() + hours * 3600000).toISOString().slice(0, 19));
  const live = el("button", { type: "button", id: "now", onclick: () => choose(null) }, "Now");
  form.append(el("span", { class: "zone", "aria-hidden": "true" }, "As of"), live, el("span", { class: "zoned" }, input, el("span", { class: "zone", "aria-hidden": "true" }, "UTC")),
    el("button", { type: "button", "aria-label": "One hour earlier", onclick: () => move(-1) }, "− 1 h"),
    el("button", { type: "button", "aria-label": "One hour later", onclick: () => move(1) }, "+ 1 h"),
    el("button", {}, "Show"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    choose(input.value ? parsedMoment(input.value) : null);
  });
  return () => {
    input.value = instant ?? "";
    live.setAttribute("aria-pressed", String(instant === null));
    const past = document.getElementById("past");
    past.hidden = instant === null;
    past.textContent = instant ? `You see ${stamp(asOf())}. Alerts, silences and sources are those of now; nothing can be changed here.` : "";
  };
}

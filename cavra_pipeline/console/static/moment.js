// The instant that the page shows: now or a past one, in the address as as_of (UTC, without a zone).

import { announce, clock, el, now, setMoment, stamp } from "./dom.js";

let instant = null;

/** The instant for the API; undefined means now. */
export const asOf = () => (instant ? `${instant}Z` : undefined);
export const isPast = () => instant !== null;
/** The UTC day that the page shows. */
export const today = () => daysAgo(0);
export const daysAgo = (count) => new Date(now() - count * 86400000).toISOString().slice(0, 10);

const DAY = /^\d{4}-\d\d-\d\d$/;
// An unescaped plus of an offset arrives as a blank.
const INSTANT = /^(\d{4}-\d\d-\d\d)[T ](\d\d:\d\d(?::\d\d)?)(?:\.\d+)?(Z|[-+ ]\d\d:?\d\d)?$/i;

/** Parses an instant, to seconds. A past day means its end and today means now (null); undefined if invalid. */
export function parsedMoment(text) {
  if (DAY.test(text)) text = text === new Date(clock()).toISOString().slice(0, 10) ? null : `${text}T23:59:59`;
  if (text === null) return null;
  const [, day, hour, zone = "Z"] = INSTANT.exec(text) ?? [];
  const at = Date.parse(`${day}T${hour}${zone.replace(" ", "+").toUpperCase()}`);
  return Number.isFinite(at) ? new Date(at).toISOString().slice(0, 19) : undefined;
}

/** Sets the instant from the address; returns the parameters with the current instant. */
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

/** Draws the control; `go` is called after the instant has changed. Returns a function that updates the control. */
export function momentControl(form, go) {
  const input = el("input", { id: "as-of", name: "as_of", type: "text", size: 19, maxlength: 25, placeholder: "YYYY-MM-DD HH:MM", autocomplete: "off", title: "UTC, such as 2026-11-28 08:00; a day alone means its end.", "aria-label": "As of (UTC)",
    oninput: () => input.setCustomValidity("") });
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
    const at = input.value.trim() ? parsedMoment(input.value.trim()) : null;
    if (at !== undefined) return choose(at);
    input.setCustomValidity("Give a time as YYYY-MM-DD HH:MM, in UTC.");
    return input.reportValidity();
  });
  return () => {
    input.value = instant?.replace("T", " ") ?? "";
    live.setAttribute("aria-pressed", String(instant === null));
    const past = document.getElementById("past");
    past.hidden = instant === null;
    past.textContent = instant ? `You see ${stamp(asOf())}. Alerts, silences and sources are those of now; nothing can be changed here.` : "";
  };
}

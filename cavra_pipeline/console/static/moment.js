// The instant that the page shows: now or a past one, in the address as as_of (UTC, without a zone).

import { announce, clock, el, now, setMoment, stamp } from "./dom.js";

let instant = null;
/** True after an address named an instant that has not come yet. */
let wasFuture = false;
// The clocks of browser and service may differ so much before the first answer.
const SLACK = 60000;

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

/** What a field says of a text that is no instant. */
export const NO_MOMENT = "Give a time as YYYY-MM-DD HH:MM, in UTC.";

/** A text field for an instant, which `parsedMoment` reads. */
export const momentInput = (attributes) => el("input", { type: "text", size: 19, maxlength: 25, placeholder: "YYYY-MM-DD HH:MM", autocomplete: "off", title: "UTC, such as 2026-11-28 08:00; a day alone means its end.", ...attributes });

const isFuture = (at) => Boolean(at) && Date.parse(`${at}Z`) > clock() + SLACK;

/** Sets the instant from the address; a future one is refused and means now. Returns the parameters with the current instant. */
export function followAddress({ as_of: addressInstant, ...params }) {
  const at = addressInstant === undefined ? undefined : parsedMoment([addressInstant].flat()[0]);
  wasFuture = isFuture(at);
  if (at !== undefined) setInstant(wasFuture ? null : at);
  return instant ? { ...params, as_of: instant } : params;
}

export const goToNow = () => setInstant(null);

function setInstant(text) {
  instant = text;
  setMoment(text ? Date.parse(`${text}Z`) : null);
}

/** Draws the control; `go` is called after the instant has changed. Returns a function that updates the control. */
export function momentControl(form, go) {
  const input = momentInput({ id: "as-of", name: "as_of", "aria-label": "As of (UTC)",
    oninput: () => input.setCustomValidity("") });
  const choose = (text) => {
    setInstant(text);
    announce(text ? `As of ${stamp(`${text}Z`)}` : "As of now");
    go();
  };
  const move = (hours) => {
    const at = new Date(now() + hours * 3600000).toISOString().slice(0, 19);
    choose(isFuture(at) ? null : at);
  };
  const later = el("button", { type: "button", "aria-label": "One hour later", onclick: () => move(1) }, "+ 1 h");
  const live = el("button", { type: "button", id: "now", onclick: () => choose(null) }, "Now");
  form.append(el("span", { class: "zone", "aria-hidden": "true" }, "As of"), live, el("span", { class: "zoned" }, input, el("span", { class: "zone", "aria-hidden": "true" }, "UTC")),
    el("button", { type: "button", "aria-label": "One hour earlier", onclick: () => move(-1) }, "− 1 h"),
    later,
    el("button", {}, "Show"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const at = input.value.trim() ? parsedMoment(input.value.trim()) : null;
    if (at !== undefined && !isFuture(at)) return choose(at);
    input.setCustomValidity(at === undefined ? NO_MOMENT : "This time has not come yet; the Forecast shows what comes.");
    return input.reportValidity();
  });
  return () => {
    input.value = instant?.replace("T", " ") ?? "";
    live.setAttribute("aria-pressed", String(instant === null));
    const past = document.getElementById("past");
    later.disabled = instant === null;
    past.hidden = instant === null && !wasFuture;
    past.textContent = instant ? `Shown as of ${stamp(asOf())}. Alerts, silences and sources are current; nothing can be changed here.`
      : wasFuture ? "The address names a time that has not come yet, so you see now. The Forecast shows what comes." : "";
  };
}

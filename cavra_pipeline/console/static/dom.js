// DOM helpers. API values become text nodes or attributes, never markup; control and invisible characters
// are escaped by the same rule as visible() in cavra_pipeline/escaping.py.

import { query } from "./api.js";
import { CLOSURE_STATES, ESCALATION, LANES, PROVIDERS, SCHEDULES, SUBJECTS, WORKERS } from "./lanes.js"; // written by the server

export { CLOSURE_STATES, ESCALATION, LANES, SCHEDULES, SUBJECTS, WORKERS };

const SVG = "http://www.w3.org/2000/svg";

const UNSEEN = /[\p{C}\p{Zl}\p{Zp}\u034f\u115f\u1160\u17b4\u17b5\u180b-\u180f\u2800\u3164\ufe00-\ufe0f\uffa0\u{e0100}-\u{e01ef}]|(?! )\p{Zs}/gu;
const ESCAPES = { "\t": "\\t", "\r": "\\r" };

function escape(character) {
  const code = character.codePointAt(0);
  const digits = (size) => code.toString(16).padStart(size, "0");
  return ESCAPES[character] ?? (code < 256 ? `\\x${digits(2)}` : code < 65536 ? `\\u${digits(4)}` : `\\U${digits(8)}`);
}

/** Escapes control and invisible characters; keeps line ends, which render as blanks. */
export const visible = (text) => String(text).replace(UNSEEN, (character) => (character === "\n" ? character : escape(character)));

function fill(node, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (name === "value") node.value = value;
    else node.setAttribute(name, value === true ? "" : visible(value));
  }
  const nodes = children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false);
  node.append(...nodes.map((child) => (child instanceof Node ? child : visible(child))));
  return node;
}

export const el = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
export const svg = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

/** Replaces the content of a node; keeps focus and open details, matched by `data-key`. */
export function swap(root, ...nodes) {
  const focusedKey = root.contains(document.activeElement) ? document.activeElement.dataset.key : null;
  const open = new Set([...root.querySelectorAll("details[open][data-key]")].map((details) => details.dataset.key));
  root.replaceChildren(...nodes.flat(Infinity).filter(Boolean));
  for (const details of root.querySelectorAll("details[data-key]")) if (open.has(details.dataset.key)) details.open = true;
  if (focusedKey) [...root.querySelectorAll("[data-key]")].find((node) => node.dataset.key === focusedKey)?.focus({ preventScroll: true });
}

/** Disables the button and shows a progress text until the action ends. */
export async function busy(button, text, act) {
  const contentBefore = [...button.childNodes];
  button.disabled = true;
  button.replaceChildren(text);
  try {
    return await act();
  } finally {
    button.disabled = false;
    button.replaceChildren(...contentBefore);
  }
}

/** Shows a toast until the action ends, below those of earlier actions. */
export async function during(text, act) {
  const node = el("p", { class: "toast" }, text);
  const stack = document.querySelector("body > .toasts") ?? document.body.appendChild(el("div", { class: "toasts" }));
  stack.append(node);
  announce(text);
  try {
    return await act();
  } finally {
    node.remove();
  }
}

export function announce(text) {
  document.getElementById("live").textContent = visible(text);
}

/** The line of a view that says what an action did. */
export const statusLine = () => el("p", { id: "said", role: "status" });

/** Fills the status line, if an action returned a sentence. */
export function say(root, text) {
  const line = typeof text === "string" && root.querySelector("#said");
  if (!line) return;
  line.textContent = visible(text);
  line.scrollIntoView({ block: "nearest" });
}

export const words = (name) => {
  const text = String(name ?? "").replaceAll("_", " ").replace(/\bjson\b/, "JSON").replace(/\bcavra\b/, "CAVRA").replace(/\butf8\b/, "UTF-8");
  return text.charAt(0).toUpperCase() + text.slice(1);
};

/** The provider's spelling of its own name, or the name as given. */
export const providerName = (name) => (Object.hasOwn(PROVIDERS, name) ? PROVIDERS[name] : name);

/** The subject of an alert or a silence, with provider and lane by their names. */
export function subjectWords({ subject_text: text }) {
  const lane = LANES.find((name) => text === name || text.endsWith(` in ${name}`));
  return text.replace(lane ?? "", words(lane)).replace(/^\w+(?= in | since |$)/, providerName);
}

/** The subject of a decision, gap or forecast; each lane stores it in its own field. */
export const subjectOf = (lane, record) => record[SUBJECTS[lane]];

export const plural = (count, singular, many = `${singular}s`) => `${count.toLocaleString("en")} ${count === 1 ? singular : many}`;

let skew = 0;
let moment = null;
export const setServerTime = (text) => { skew = Date.parse(text) - Date.now(); };
export const setMoment = (at) => { moment = at; };
/** The service's current time, in ms. */
export const clock = () => Date.now() + skew;
/** The instant that the page shows, in ms; ages are relative to it. */
export const now = () => moment ?? clock();

export const stamp = (text) => (text ? `${new Date(text).toISOString().slice(0, 16).replace("T", " ")} UTC` : "–");

/** Formats an instant; the day only if it is not today. */
export function nearStamp(text) {
  const full = stamp(text);
  return full.startsWith(new Date(clock()).toISOString().slice(0, 10)) ? full.slice(11) : full;
}

/** Formats a duration with its two largest units. */
export function span(milliseconds) {
  const seconds = Math.max(0, Math.round(milliseconds / 1000));
  const parts = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const at = parts.findIndex(([, size]) => seconds >= size);
  if (at < 0) return "0 s";
  const [unit, size] = parts[at];
  const count = Math.floor(seconds / size);
  const first = `${count} ${unit}`;
  const next = parts[at + 1];
  const rest = next ? Math.floor((seconds % size) / next[1]) : 0;
  return rest ? `${first} ${rest} ${next[0]}` : first;
}

/** Text that never wraps, such as an age or an id. */
export const whole = (text) => el("span", { class: "whole" }, text);

/** Splits a text so that dates, times and durations, such as 1 d 17 h, never wrap. */
export const unbroken = (text) => text.split(/(\b\d+ (?:d|h|min)(?: \d+ (?:h|min))?\b|\b\d{4}-\d\d-\d\d\b|\b\d\d:\d\d UTC\b)/).map((part, at) => (at % 2 ? whole(part) : part));

const minutes = (milliseconds) => span(Math.floor(milliseconds / 60000) * 60000);

/** Formats an age, to the minute. */
const ageText = (milliseconds) => (milliseconds < 60000 ? "just now" : `${minutes(milliseconds)} ago`);

/** Formats an instant beside now, to the minute. */
const beside = (milliseconds) => (milliseconds < 0 ? `in ${minutes(60000 - milliseconds)}` : ageText(milliseconds));

export const ago = (minutes) => (minutes === null || minutes === undefined ? "never" : ageText(minutes * 60000));

export function time(text, relative = false) {
  if (!text) return "–";
  const [day, hour, zone] = stamp(text).split(" ");
  return el("time", { datetime: text }, el("span", {}, day), " ", el("span", {}, `${hour} ${zone}`), relative && el("small", {}, beside(now() - Date.parse(text))));
}

export const tag = (level, text) => el("span", { class: `tag ${level}` }, text || words(level));

/** A command line, with a button that copies it where the browser allows that. */
export const command = (text) => [el("code", {}, text), navigator.clipboard && [" ", el("button", {
  type: "button", class: "copy", "aria-label": `Copy: ${text}`,
  onclick: async ({ currentTarget: button }) => {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
    announce("Copied");
  },
}, "Copy")]];

/** Placeholder of an answer that is loading. */
export const loading = (what) => el("div", { class: "loading" }, el("p", { class: "soft" }, `Loading ${what} …`), el("div", { class: "bone" }), el("div", { class: "bone" }));

/** An empty state: what is missing, and what to do about it. */
export const emptyState = (title, ...advice) => el("div", { class: "empty" }, el("p", { class: "lead" }, title), el("p", { class: "soft" }, advice));

/** The address of a view. */
export const hash = (view, parameters = {}) => `#/${view}${query(parameters)}`;

export function facts(rows) {
  return el("dl", { class: "facts" }, rows.map(([name, value]) => el("div", { class: value === 0 && "zero" }, el("dt", {}, name), el("dd", {}, typeof value === "number" ? value.toLocaleString("en") : unbroken(String(value))))));
}

export function problem(error) {
  const faults = (error.errors || []).map((fault) => el("li", {}, `${fault.where}: ${fault.what}. ${fault.remedy}.`));
  return el("div", { class: "notice", role: "alert" },
    el("p", {}, el("strong", {}, `${error.title || "It did not work"}.`), ` ${error.detail || error.message || ""}`),
    faults.length > 0 && el("ul", {}, faults));
}

/** An input with its label; `hint` says what it accepts. */
export function field(label, input, hint) {
  const id = `f-${input.name}`;
  input.id = id;
  if (hint) input.setAttribute("aria-describedby", `${id}-hint`);
  return el("div", { class: "field" }, el("label", { for: id }, label), input,
    hint && el("small", { id: `${id}-hint` }, hint));
}

export const choice = (name, options, chosen) =>
  el("select", { name, "data-key": `field-${name}` }, options.map(([value, text]) =>
    el("option", { value, selected: value === chosen }, text ?? words(value))));

/** Joins names as a sentence does: "a, b and c". */
export const listed = (names) => names.join(", ").replace(/, ([^,]*)$/, " and $1");

export const laneChoice = (chosen) => field("Lane", choice("lane", LANES.map((lane) => [lane]), chosen));

export function save(name, type, text) {
  const address = URL.createObjectURL(new Blob([text], { type }));
  el("a", { href: address, download: name }).click();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

/** Closes open dialogs: a dialog belongs to the view that opened it. */
export const closeDialogs = () => { for (const box of document.querySelectorAll("dialog[open]")) box.close(); };

/** A button that closes its dialog. */
const closeButton = (text) => el("button", { type: "button", onclick: ({ currentTarget }) => currentTarget.closest("dialog").close() }, text);

export const dialog = (title, ...children) => modal(title, children.flat(Infinity), el("p", {}, closeButton("Close")));

/** A dialog with a form; `button` submits it. */
export function formDialog(title, form, button) {
  form.append(el("p", { class: "acts" }, button, closeButton("Cancel")));
  return modal(title, form);
}

/** Opens a modal dialog; the browser closes it on Escape and restores the focus. The title gets the focus: a later node would scroll it away. */
function modal(title, ...children) {
  const hasForm = children.flat().some((child) => child instanceof HTMLFormElement);
  const box = el("dialog", { "aria-labelledby": "dialog-title" }, el("h2", { id: "dialog-title", tabindex: "-1", autofocus: !hasForm }, title), children);
  box.addEventListener("close", () => box.remove());
  document.body.append(box);
  box.showModal();
  return box;
}

/** Fields of a record that a reader asks for first, and those that name its format: they come last. */
const FIRST = ["metadata_kind", "execution_status", "delivery_success", "failed_providers", "acknowledgement_state", "closure_state", "alert_level", "status", "provider", "providers", "delivery", "execution", "created_at", "signer"];
const LAST = ["session_id", "schema_version", "product", "decision_count", "blocked_count", "approval_required_count"];
const placeOf = (name) => (FIRST.includes(name) ? FIRST.indexOf(name) - FIRST.length : LAST.indexOf(name) + 1);

/** Shows a document's fields in a dialog, the outcome first, nested ones as JSON; `more` nodes follow them. */
export const showDocument = (title, document_, ...more) => dialog(title, providerOutcomes(document_), documentFields(document_), more);

/** What became of a sending at each provider, where the record has several. */
function providerOutcomes({ delivery }) {
  if (!Array.isArray(delivery?.deliveries)) return null;
  return el("ul", { class: "plain" }, delivery.deliveries.map(({ provider, success, status_code: status, attempt_count: requests, completed_at: at }) => el("li", {},
    tag(success ? "healthy" : "critical", success ? "delivered" : "failed"), ` ${providerName(provider)}`, status && `, status ${status}`, requests && `, after ${plural(requests, "request")}`, at && `, at ${stamp(at)}`)));
}

/** The fields of a document as a list. */
export function documentFields(document_) {
  const rows = Object.entries(document_).sort(([a], [b]) => placeOf(a) - placeOf(b)).map(([name, value]) => el("div", {}, el("dt", {}, name),
    el("dd", {}, value !== null && typeof value === "object" ? el("pre", { tabindex: "0" }, JSON.stringify(value, null, 2)) : String(value ?? "–"))));
  return el("dl", { class: "record" }, rows);
}

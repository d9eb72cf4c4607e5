// Silences: for some time, no notification of a kind, of a subject, or of both.

import { LABEL, actForm, mayAct } from "./acknowledge.js";
import { ask } from "./api.js";
import { busy, choice, clock, el, field, nearStamp, problem, subjectWords, time, words } from "./dom.js";
import { NO_MOMENT, momentInput, parsedMoment } from "./moment.js";
import { table } from "./table.js";

const SPANS = [["60", "1 hour"], ["240", "4 hours"], ["1440", "1 day"], ["10080", "7 days"]];

/** Minutes from now to the instant of a text; a day alone means its end, also today. NaN for a text that is no instant. */
function minutesUntil(text) {
  const at = parsedMoment(text);
  return Math.ceil((Date.parse(`${at === null ? `${text}T23:59:59` : at}Z`) - clock()) / 60000);
}

/** What is wrong with the end of a silence; empty if nothing. */
function endFault(text) {
  if (!text) return "";
  const minutes = minutesUntil(text);
  return Number.isNaN(minutes) ? NO_MOMENT : minutes > 0 ? "" : "This time has passed.";
}

/** `kind` and `subject` are the alert's, as in GET /api/v1/alerts; `name` is its title. */
export function silenceButton({ kind, subject, name, key, context, done }) {
  if (!mayAct(context)) return null;
  const open = () => actForm("Silence an alert", `No notification is sent about "${name}" for this time. The alert stays open and resolves by itself.`, [
    field("Alerts", choice("scope", [["one", "This alert"], ["kind", `Every alert of its kind: ${words(kind).toLowerCase()}`]], "one")),
    field("Duration", choice("minutes", SPANS, "240")),
    field("Until (UTC)", momentInput({ name: "until", oninput: ({ currentTarget: input }) => input.setCustomValidity(endFault(input.value.trim())) }), "In place of the duration, if given."),
    field("Why", el("input", { name: "comment", required: true, ...LABEL, title: "A short label, such as a ticket; no e-mail address.", placeholder: "cause is known" }), "A public-safe label, such as a ticket; no e-mail address."),
  ], context, async ({ scope, minutes, until, ...values }) => {
    const isOne = scope === "one";
    const { silence } = await ask("/silences", {}, { kind, ...(isOne && { subject }), minutes: until.trim() ? minutesUntil(until.trim()) : Number(minutes), ...values });
    return `${silenceWords(silence)}: ${isOne ? name : `every alert of the kind ${words(kind).toLowerCase()}`}.`;
  }, done, "Silence", "Silenced");
  return el("button", { type: "button", "data-key": key, "aria-label": `Silence ${name.charAt(0).toLowerCase()}${name.slice(1)}`, onclick: open }, "Silence");
}

/** A button that ends a silence; null if the page may not change anything. */
export function endButton(silence, context, reload) {
  if (!mayAct(context)) return null;
  return el("button", { type: "button", "data-key": `unmute-${silence.silence_id}`, "aria-label": `End the silence of ${silence.subject ? subjectWords(silence) : words(silence.kind)}`,
    onclick: async ({ currentTarget: button }) => {
      try {
        await busy(button, "Ending …", () => ask(`/silences/${silence.silence_id}/end`, {}, {}));
        await reload("The silence has ended.");
      } catch (error) {
        button.after(problem(error));
      }
    } }, "End it");
}

export function silencesTable(silences, context, reload) {
  return table({ key: "silences", caption: "Silences", rows: silences, columns: [
    { name: "subject", title: "Subject", value: (silence) => (silence.subject ? subjectWords(silence) : "any") },
    { name: "kind", title: "Kind", value: (silence) => words(silence.kind ?? "any") },
    { name: "from", title: "From", value: (silence) => silence.starts_at, cell: (silence) => time(silence.starts_at) },
    { name: "until", title: "Until", value: (silence) => silence.ends_at, cell: (silence) => time(silence.ends_at) },
    { name: "by", title: "By", value: (silence) => silence.author },
    { name: "why", title: "Why", value: (silence) => silence.comment },
    mayAct(context) && { name: "act", title: "Action", cell: (silence) => endButton(silence, context, reload) },
  ].filter(Boolean) });
}

/** Who silenced an alert, and until when. */
export const silenceWords = ({ author, ends_at: until }) => `Silenced by ${author} until ${nearStamp(until)}`;

/** The silence of an answer of GET /api/v1/alerts in force for an alert, or undefined; by the time of the answer, as the page's clock may be behind it. */
export const silenceOf = ({ silences, as_of: at }, kind, subject) => silences.find((silence) => Date.parse(silence.starts_at) <= Date.parse(at) && [null, kind].includes(silence.kind) && [null, subject].includes(silence.subject));

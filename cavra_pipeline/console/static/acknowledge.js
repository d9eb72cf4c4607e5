// Acknowledgement dialogs: for one delivery, or for many at once with the result of each.

import { ask } from "./api.js";
import { busy, choice, during, el, field, formDialog, listed, plural, problem, providerName, words } from "./dom.js";
import { ANSWERING_STATES, CLEARING_STATES, CLOSING_STATES, GATES, STATES, WITHDRAWN } from "./lanes.js"; // written by the server
import { isPast } from "./moment.js";
import { withMessages } from "./validity.js";

/** Attributes of a label input: the accepted pattern, its hint, and what is said of an invalid one. */
export const LABEL = { maxlength: 128, pattern: "[A-Za-z0-9][A-Za-z0-9 ._:\\/\\-]*", title: "A name or team label; no e-mail address.",
  "data-fault": "Use letters, digits, blanks and . _ : / - only, a letter or digit first. An e-mail address is not accepted." };

/** Where the browser keeps the label of the last action; never where a token names the caller. */
const LAST_LABEL = "label";

/** True if the page may offer changes: the token has the scope, and the page shows the present. */
export const mayAct = (context) => !isPast() && (!context.status || context.status.scopes.includes("acknowledge"));

/**
 * Opens a form. `send` gets its values; `done` gets what `send` returned and reloads the view; `verb` names the action,
 * and `past` what was done: a text, or a function of what `send` returned.
 */
export function actForm(title, text, fields, context, send, done, verb = "Acknowledge", past = "Acknowledged") {
  const changed = document.activeElement?.closest("main :is(.cause, tr, .notice)");
  const isOpen = context.status?.access === "open";
  const errorBox = el("div", {});
  const button = el("button", { class: "main" }, verb);
  const form = el("form", {}, typeof text === "string" ? el("p", {}, text) : text, el("div", { class: "fields" }, fields,
    isOpen && field("Your label", el("input", { name: "by", required: true, ...LABEL, value: localStorage.getItem(LAST_LABEL) ?? "" }),
      "A name or team label, such as incident-lead; no e-mail address.")),
  !isOpen && el("p", { class: "soft" }, `Recorded as ${context.status?.actor}.`), errorBox);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      const values = Object.fromEntries(new FormData(form));
      const answer = await busy(button, "Recording …", () => send(values));
      if (isOpen) localStorage.setItem(LAST_LABEL, values.by);
      box.close();
      // Until the page is updated, what the action has changed is grey; an update that fails leaves it as it was.
      changed?.classList.add("changed");
      await during(`${typeof past === "string" ? past : past(answer)}. Updating the page …`, () => done(answer));
    } catch (error) {
      errorBox.replaceChildren(problem(error));
    } finally {
      changed?.classList.remove("changed");
    }
  });
  const box = formDialog(title, withMessages(form), button);
}

/** What a state does to a delivery or health alert of a lane, in sentences; `the` begins them: "The", or "Each" of many. */
function effectOf(lane, state, the) {
  if (GATES[lane] === "acknowledgement") return CLEARING_STATES.includes(state) ? `A live worker sends ${the.toLowerCase()} delivery again. Choose ${words(DISMISSED)} if it must not be sent.` : `${the} delivery is held: nothing sends it.`;
  if (GATES[lane] === "approval") return "No state releases a retry of this lane: that needs an approval.";
  return `${the} health alert ${ANSWERING_STATES.includes(state) ? "is settled" : "stays open"}.`;
}

/** The state for a delivery that must not be sent. */
const DISMISSED = "dismissed";

/** A choice of the states that the lanes of all these deliveries accept, and what the chosen one does. */
function stateField(lanes, isToResolve = false) {
  const states = STATES[lanes[0]].filter((state) => lanes.every((lane) => STATES[lane].includes(state)) && (!isToResolve || CLOSING_STATES.includes(state)));
  const effects = (state) => [...new Set(lanes.map((lane) => effectOf(lane, state, lanes.length > 1 ? "Each" : "The")))].join(" ");
  const input = choice("state", states.map((state) => [state]), states[0]);
  const node = field("State", input, effects(states[0]));
  const effect = node.querySelector("small");
  effect.setAttribute("aria-live", "polite");
  input.addEventListener("change", () => { effect.textContent = effects(input.value); });
  return node;
}

/** What was done, and by whom: the label given, else the one whose token it is. */
const doneBy = (state, by, context) => `${words(state).toLowerCase()} by ${by ?? context.status?.actor}`;

const doneKey = ({ lane, subject, provider }) => `${lane} ${subject} ${provider}`;

/** Says in the rows of what was done who did it, in place of their buttons, until the page is updated. */
export function markDone(keys, did) {
  for (const node of document.querySelectorAll("main [data-done]")) {
    if (!keys.includes(node.dataset.done)) continue;
    const mark = el("span", { class: "tag healthy", tabindex: "-1" }, did.charAt(0).toUpperCase() + did.slice(1));
    const hasFocus = node === document.activeElement;
    node.replaceWith(mark);
    if (hasFocus) mark.focus({ preventScroll: true });
  }
}

/** What to know before an acknowledgement, as a paragraph of its dialog. */
const warned = (text) => (text ? [el("p", {}, el("strong", {}, text))] : []);

const SETTLES = "The retry that failed then counts as settled. This sends nothing and fixes nothing by itself.";
const LIMITS = "This records who handles it and what they decided. It sends nothing and fixes nothing by itself.";

/** Button that acknowledges one delivery or health alert; `isToResolve`: that settles a retry that failed. */
export function acknowledgeButton({ lane, subject, provider, key, context, done, buttonClass = null, warning = null, isToResolve = false }) {
  if (!mayAct(context) || !STATES[lane].length) return null;
  const verb = isToResolve ? "Resolve" : "Acknowledge";
  const open = () => {
    // Shown only after the service has rejected the request because it knows no such delivery.
    const force = el("p", { hidden: true }, el("label", {}, el("input", { type: "checkbox", name: "force" }), " Record it although no such delivery is known"));
    const send = async ({ force: isForced, ...values }) => {
      try {
        await ask(`/lanes/${lane}/acknowledgements`, {}, { subject, provider, ...values, force: isForced !== undefined });
        return { message: `Recorded as ${words(values.state).toLowerCase()}: ${subject}, ${providerName(provider)}.`, did: doneBy(values.state, values.by, context) };
      } catch (error) {
        force.hidden = !(error.errors || []).some((fault) => fault.what.startsWith("no delivery of it"));
        throw error;
      }
    };
    actForm(isToResolve ? "Resolve a retry that failed" : verb, [el("p", {}, `${subject}, ${providerName(provider)}`), ...warned(warning), el("p", { class: "soft" }, isToResolve ? SETTLES : LIMITS)], [stateField([lane], isToResolve), force], context, send,
      async ({ message, did }) => { markDone([doneKey({ lane, subject, provider })], did); await done(message); document.getElementById("gaps")?.focus({ preventScroll: true }); }, verb, isToResolve ? "Resolved" : "Acknowledged");
  };
  return el("button", { type: "button", class: buttonClass, "data-key": key, "data-done": doneKey({ lane, subject, provider }), "aria-label": `${verb} ${subject}, ${provider}`, onclick: open }, verb);
}

/** Button that withdraws the acknowledgement of a delivery or a health alert; null if there is none in force. */
export function withdrawButton({ lane, subject, provider, state, key, context, done }) {
  if (!mayAct(context) || ![...CLEARING_STATES, ...ANSWERING_STATES].includes(state)) return null;
  const open = () => actForm("Withdraw the acknowledgement", [el("p", {}, `${subject}, ${providerName(provider)}: ${words(state).toLowerCase()}.`),
    el("p", { class: "soft" }, `A newer record says that the acknowledgement no longer holds; it has the state ${words(WITHDRAWN[lane])}, which releases no retry and settles no alert. Both records stay.`)],
  [], context, async ({ by }) => {
    await ask(`/lanes/${lane}/acknowledgements`, {}, { subject, provider, withdraw: true, by });
    return `Withdrawn: the acknowledgement of ${subject}, ${providerName(provider)}.`;
  }, done, "Withdraw", "Withdrawn");
  return el("button", { type: "button", "data-key": key, onclick: open }, "Withdraw the acknowledgement");
}

/** Splits pairs into those without an acknowledgement, and those with one that releases no retry. */
export const splitByAnswer = (pairs) => [pairs.filter((pair) => !pair.state), pairs.filter((pair) => pair.state)];

/** Counts acknowledgements by state: "1 deferred, 2 escalated". */
export function decidedWords(pairs) {
  const states = splitByAnswer(pairs)[1].map((pair) => words(pair.state).toLowerCase());
  return [...new Set(states)].sort().map((state) => `${states.filter((other) => other === state).length.toLocaleString("en")} ${state}`).join(", ");
}

/** Counts the pairs that no one has answered, then the others by state: "3 to acknowledge and 2 escalated". */
export function openWords(pairs, missing) {
  const unanswered = splitByAnswer(pairs)[0].length;
  return listed([unanswered && `${unanswered.toLocaleString("en")} ${missing}`, decidedWords(pairs)].filter(Boolean).join(", ").split(", "));
}

/** A longer list of checkboxes is folded, so that the form below it stays in sight. */
const MAX_UNFOLDED = 12;

/** Checkboxes of a bulk acknowledgement. Unanswered pairs are ticked; a person's decision is overridden only if ticked by hand. */
function pairChoice(pairs, unit) {
  const [openPairs, decidedPairs] = splitByAnswer(pairs);
  const row = (pair) => el("li", {}, el("label", {}, el("input", { type: "checkbox", checked: !pair.state, "data-pair": pairs.indexOf(pair) }),
    `${words(pair.lane)}: ${pair.subject}, ${providerName(pair.provider)}${pair.state ? ` (${words(pair.state).toLowerCase()})` : ""}`));
  const group = (title, rows, isOpen) => rows.length > 0 && el("details", { open: isOpen }, el("summary", {}, title), el("ul", { class: "plain" }, rows.map(row)));
  return el("div", {}, group(plural(openPairs.length, ...unit), openPairs, openPairs.length <= MAX_UNFOLDED),
    group(`${decidedWords(pairs)}: these stay as they are, unless you tick them`, decidedPairs, !openPairs.length));
}

/**
 * Button that acknowledges many deliveries in one request. pairs: [{lane, subject, provider, state}], with the current state.
 * A rejected delivery does not stop the others, and leaving the page stops none. The page says at once what was done;
 * `done` gets the result of each and the section that says so, and updates the page around it.
 * `of` says whose deliveries they are; `buttonClass` is a CSS class.
 */
export function acknowledgeAllButton({ pairs, of, key, context, done, buttonClass = "main", unit = ["delivery", "deliveries"], warning = null }) {
  if (!pairs.length || !mayAct(context)) return null;
  const list = pairChoice(pairs, unit);
  const send = async ({ state, by }) => {
    const chosen = [...list.querySelectorAll("input:checked")].map((input) => pairs[input.dataset.pair]);
    if (!chosen.length) throw new Error(`Tick the ${unit[1]} that you acknowledge.`);
    const { deliveries } = await ask("/acknowledgements", {}, { deliveries: chosen.map(({ lane, subject, provider }) => ({ lane, subject, provider })), state, by });
    const results = deliveries.map(({ error, ...delivery }) => ({ ...delivery, failure: error && `${error.what}. ${error.remedy}.` }));
    return { results, did: doneBy(state, by, context) };
  };
  // Until the page is updated it shows what was there before; a live refresh may have drawn another button.
  const doneOnce = (answer) => {
    for (const button of document.querySelectorAll(`main [data-key="${CSS.escape(key)}"]`)) button.disabled = true;
    markDone(answer.results.filter((result) => !result.failure).map(doneKey), answer.did);
    const section = resultSection(answer, unit);
    document.getElementById("result")?.remove();
    document.querySelector("main > div").prepend(section);
    section.focus();
    return done(answer.results, section);
  };
  const openCount = splitByAnswer(pairs)[0].length;
  const text = openCount ? `Acknowledge ${plural(openCount, ...unit)}` : `Review ${decidedWords(pairs)} …`;
  const open = () => actForm(`Acknowledge ${unit[1]}`, [...warned(warning), el("p", { class: "soft" }, LIMITS), list], [stateField(pairs.map((pair) => pair.lane))], context, send, doneOnce, "Acknowledge", (answer) => doneText(answer, unit));
  return el("button", { type: "button", class: buttonClass, "data-key": key, "aria-label": `${text}: ${of}`, onclick: open }, text);
}

/** What a bulk acknowledgement did, without a full stop: "2 deliveries acknowledged by incident-lead, 1 not". */
function doneText({ results, did }, unit) {
  const failedCount = results.filter((result) => result.failure).length;
  return `${plural(results.length - failedCount, ...unit)} ${did}${failedCount ? `, ${failedCount} not` : ""}`;
}

/** The results of a bulk acknowledgement as a section. */
function resultSection({ results, did }, unit) {
  const failed = results.filter((result) => result.failure);
  return el("section", { class: `verdict ${failed.length ? "warning" : "healthy"}`, "aria-label": "Result", tabindex: "-1", id: "result", "data-key": "result" },
    el("p", { class: "lead" }, `${doneText({ results, did }, unit)}.`),
    failed.length > 0 && el("ul", {}, failed.map((result) => el("li", {}, `${words(result.lane)}: ${result.subject}, ${result.provider}: ${result.failure}`))),
    el("details", {}, el("summary", {}, `Each ${unit[0]}`), el("ul", { class: "plain" }, results.map((result) =>
      el("li", {}, `${result.failure ? "Not acknowledged" : "Acknowledged"}: ${words(result.lane)}, ${result.subject}, ${result.provider}`)))));
}

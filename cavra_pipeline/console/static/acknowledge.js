// The acknowledge action: a dialog that asks for the state and the label, and says what came of it.

import { ask } from "./api.js";
import { announce, choice, dialog, el, field, problem } from "./dom.js";

const ACTOR = "[A-Za-z0-9][A-Za-z0-9 ._:\\/\\-]*";

/** Opens a form; `send` gets its values, `done` gets what it returned; `verb` and `past` name the act. */
export function actForm(title, text, fields, context, send, done, verb = "Acknowledge", past = "Acknowledged") {
  const isOpen = context.status?.access === "open";
  const trouble = el("div", {});
  const button = el("button", { class: "main" }, verb);
  const form = el("form", {}, el("p", {}, text), el("div", { class: "fields" }, fields,
    isOpen && field("Your label", el("input", { name: "by", required: true, maxlength: 128, pattern: ACTOR }), "A name or team label, such as incident-lead; no email addresses.")),
  !isOpen && el("p", { class: "soft" }, `Recorded as ${context.status?.actor}.`), trouble, el("p", { class: "acts" }, button));
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    button.disabled = true;
    try {
      const answer = await send(Object.fromEntries(new FormData(form)));
      box.close();
      announce(typeof answer === "string" ? answer : past);
      await done(answer);
    } catch (error) {
      trouble.replaceChildren(problem(error));
    }
    button.disabled = false;
  });
  const box = dialog(title, form);
}

export function acknowledgeButton({ lane, subject, provider, states, key, context, done }) {
  const open = () => {
    const state = field("State", choice("state", states.map((one) => [one]), states[0]), "Acknowledged, accepted and resolved let a live retry go ahead.");
    // Shown only once the service has refused: it knows no such delivery.
    const force = el("p", { hidden: true }, el("label", {}, el("input", { type: "checkbox", name: "force" }), " Record it although no such delivery is known"));
    const send = async ({ force: isForced, ...given }) => {
      try {
        await ask(`/lanes/${lane}/acknowledgements`, {}, { subject, provider, ...given, force: isForced !== undefined });
      } catch (error) {
        force.hidden = !(error.errors || []).some((one) => one.what.startsWith("no delivery of it"));
        throw error;
      }
    };
    actForm("Acknowledge", `${subject}, ${provider}`, [state, force], context, send,
      async () => { await done(); document.getElementById("gaps")?.focus(); });
  };
  return el("button", { type: "button", "data-key": key, "aria-label": `Acknowledge ${subject}, ${provider}`, onclick: open }, "Acknowledge");
}

// Our own messages beside the fields of a form: the browser's bubble speaks the browser's language.

import { el } from "./dom.js";

/** Shows beside each wrong field of a form what is wrong when it is sent, and focuses the first; returns the form. */
export function withMessages(form) {
  form.noValidate = true;
  // Before every other listener: what is wrong is not sent.
  form.addEventListener("submit", (event) => {
    const wrong = [...form.elements].filter((input) => !mark(input));
    if (!wrong.length) return;
    event.preventDefault();
    event.stopImmediatePropagation();
    wrong[0].closest("details")?.setAttribute("open", "");
    wrong[0].focus();
  }, true);
  for (const type of ["input", "change"]) form.addEventListener(type, ({ target }) => target.hasAttribute("aria-invalid") && mark(target));
  return form;
}

/** Shows what is wrong with a field, or removes what was shown; returns whether the field is right. */
function mark(input) {
  const text = input.willValidate ? faultOf(input) : "";
  const id = `${input.id}-fault`;
  const hints = (input.getAttribute("aria-describedby") ?? "").split(" ").filter((name) => name && name !== id);
  document.getElementById(id)?.remove();
  if (text) input.parentElement.append(el("small", { id, class: "fault" }, text));
  const describedBy = text ? [id, ...hints] : hints;
  for (const [name, value] of [["aria-invalid", text && "true"], ["aria-describedby", describedBy.join(" ")]]) {
    if (value) input.setAttribute(name, value);
    else input.removeAttribute(name);
  }
  return !text;
}

/** What is wrong with a field, as a sentence; empty if nothing is. */
function faultOf({ validity, validationMessage, min, max, step, type, dataset }) {
  if (validity.valid) return "";
  if (validity.customError) return validationMessage;
  if (type === "number") return `Enter a${step === "any" ? "" : " whole"} number${min && max ? ` from ${Number(min).toLocaleString("en")} to ${Number(max).toLocaleString("en")}` : ""}.`;
  if (type === "date") return `Enter a day${max ? ` up to ${max}` : ""}.`;
  if (validity.valueMissing) return type === "file" ? "Choose a file." : "Fill this in.";
  return dataset.fault ?? "This is not accepted here.";
}

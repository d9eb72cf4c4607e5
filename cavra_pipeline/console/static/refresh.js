// Asks for a Dagster run that ingests evidence and makes the reports of some days again, and follows it to its end.

import { ask } from "./api.js";
import { announce, busy, clock, el, field, formDialog, problem, tag, words } from "./dom.js";

const LOOK_SECONDS = 2;
// A run that has just been asked for takes seconds to appear; one that has not by then did not start.
const APPEARS_SECONDS = 60;
const LEVELS = { success: "healthy", failure: "critical", canceled: "warning" };
let run = null;
let draw = () => {};

/** The action and what became of the last run; `done` runs when it has ended. */
export function refreshPart(done) {
  const state = el("p", {});
  const button = el("button", { type: "button", "data-key": "refresh-evidence", onclick: () => open(done) }, "Ingest new evidence");
  // The part is drawn again with each live refresh: whoever follows a run draws into the one that is shown.
  draw = () => {
    button.disabled = run !== null && !isOver();
    state.replaceChildren(...(run ? described() : []));
  };
  draw();
  return el("section", { class: "refresh", "aria-label": "Refresh" }, el("p", { class: "acts" }, button), state);
}

const isOver = () => run.status in LEVELS || run.trouble !== undefined;

function described() {
  const days = run.from === run.to ? run.from : `${run.from} to ${run.to}`;
  return [tag(LEVELS[run.status] || "", words(run.status)), ` Run for ${days}: `,
    el("a", { href: run.ui, rel: "noreferrer", "data-key": "refresh-run" }, "open it in Dagster"), run.trouble ? `. ${run.trouble}` : "."];
}

async function follow(done) {
  const began = clock();
  draw();
  while (!isOver()) {
    await new Promise((next) => { setTimeout(next, LOOK_SECONDS * 1000); });
    try {
      Object.assign(run, await ask(`/refresh/${run.run_id}`));
    } catch (error) {
      if (error.status !== 404) run.trouble = error.detail;
      else if (clock() - began > APPEARS_SECONDS * 1000) run.trouble = "It did not start; the log of the service says why.";
    }
    draw();
  }
  announce(`The refresh ended: ${run.trouble || words(run.status)}`);
  await done();
}

function open(done) {
  const today = new Date(clock()).toISOString().slice(0, 10);
  const trouble = el("div", {});
  const button = el("button", { class: "main" }, "Start the run");
  const day = (name, label) => field(label, el("input", { name, type: "date", value: today, max: today, required: true }));
  const form = el("form", {},
    el("p", {}, "Starts a Dagster run that ingests what is new in the landing zone and makes every report of these days. No worker runs. If today is included, the scheduled executive report is sent if it is due and has not been sent."),
    el("div", { class: "fields" }, day("from", "First day, UTC"), day("to", "Last day, UTC")), trouble);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      run = await busy(button, "Starting …", () => ask("/refresh", {}, Object.fromEntries(new FormData(form))));
      box.close();
      announce("The refresh has started");
      follow(done);
    } catch (error) {
      trouble.replaceChildren(problem(error));
    }
  });
  const box = formDialog("Ingest new evidence", form, button);
}

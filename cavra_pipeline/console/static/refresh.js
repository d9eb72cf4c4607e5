// Starts a Dagster run that ingests evidence and rebuilds the reports of some days, and polls it until it ends.

import { ask } from "./api.js";
import { announce, busy, clock, el, field, formDialog, problem, tag, words } from "./dom.js";
import { withMessages } from "./validity.js";

const POLL_SECONDS = 2;
// A new run takes seconds to appear; after this time it has not started.
const START_TIMEOUT_SECONDS = 60;
const LEVELS = { success: "healthy", failure: "critical", canceled: "warning" };
let run = null;
let draw = () => {};

/** The button and the state of the last run; `done` is called when it has ended. */
export function refreshPart(done) {
  const state = el("p", {});
  const button = el("button", { type: "button", "data-key": "refresh-evidence", onclick: () => openForm(done) }, "Ingest new evidence");
  // A live refresh replaces the nodes: polling calls the newest draw().
  draw = () => {
    button.disabled = run !== null && !hasEnded();
    state.replaceChildren(...(run ? runDescription() : []));
  };
  draw();
  return el("section", { class: "refresh", "aria-label": "Refresh" }, el("p", { class: "acts" }, button), state);
}

const hasEnded = () => run.status in LEVELS || run.failure !== undefined;

function runDescription() {
  const days = run.from === run.to ? run.from : `${run.from} to ${run.to}`;
  return [tag(LEVELS[run.status] || "", words(run.status)), ` Run for ${days}: `,
    el("a", { href: run.ui, rel: "noreferrer", "data-key": "refresh-run" }, "open it in Dagster"), run.failure ? `. ${run.failure}` : "."];
}

async function follow(done) {
  const began = clock();
  draw();
  while (!hasEnded()) {
    await new Promise((next) => { setTimeout(next, POLL_SECONDS * 1000); });
    try {
      Object.assign(run, await ask(`/refresh/${run.run_id}`));
    } catch (error) {
      if (error.status !== 404) run.failure = error.detail;
      else if (clock() - began > START_TIMEOUT_SECONDS * 1000) run.failure = "It did not start; the log of the service says why.";
    }
    draw();
  }
  announce(`The refresh ended: ${run.failure || words(run.status)}`);
  await done();
}

function openForm(done) {
  const today = new Date(clock()).toISOString().slice(0, 10);
  const errorBox = el("div", {});
  const button = el("button", { class: "main" }, "Start the run");
  const day = (name, label) => field(label, el("input", { name, type: "date", value: today, max: today, required: true }));
  const form = el("form", {},
    el("p", {}, "Starts a Dagster run that ingests what is new in the landing zone and makes every report of these days. No worker runs. If today is included, the scheduled executive report is sent if it is due and has not been sent."),
    el("div", { class: "fields" }, day("from", "First day, UTC"), day("to", "Last day, UTC")), errorBox);
  form.addEventListener("submit", async (event) => {
    event.preventDefault();
    try {
      run = await busy(button, "Starting …", () => ask("/refresh", {}, Object.fromEntries(new FormData(form))));
      box.close();
      announce("The refresh has started");
      follow(done);
    } catch (error) {
      errorBox.replaceChildren(problem(error));
    }
  });
  const box = formDialog("Ingest new evidence", withMessages(form), button);
}

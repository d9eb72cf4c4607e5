// The worker of a lane: what its next run would take, and a dry run that records what it selects and sends nothing.

import { ask } from "./api.js";
import { WORKERS, LANES, announce, busy, el, facts, hash, laneChoice, nothing, plural, problem, save, stamp, subjectOf, swap, tag, words } from "./dom.js";
import { isPast } from "./moment.js";
import { tabs } from "./nav.js";
import { table } from "./table.js";

export async function render(params, context) {
  const lane = LANES.includes(params.lane) ? params.lane : "recovery_escalation";
  const result = el("div", {});
  const mayRun = !context.status || context.status.scopes.includes("live");
  const isLive = context.status?.live_lanes.includes(lane);
  const run = async (event) => {
    event.preventDefault();
    const button = form.querySelector("button");
    swap(result, el("p", { class: "soft" }, `The dry run of ${words(lane).toLowerCase()} is going on …`));
    try {
      const answer = await busy(button, "Running …", () => ask(`@${WORKERS[lane]}`, {}, { dry_run: true }));
      swap(result, outcome(answer, lane));
      announce(`${plural(answer.run.selected_retries.length, "retry", "retries")} selected, nothing sent`);
    } catch (error) {
      swap(result, problem(error));
    }
  };
  const form = el("form", { "aria-label": "Worker", onsubmit: run, onchange: (event) => { location.hash = hash("worker", { lane: event.target.value }); } },
    el("div", { class: "fields" }, laneChoice(lane)),
    WORKERS[lane] && mayRun && !isPast() && el("p", { class: "acts" }, el("button", { class: "main", "data-key": "dry-run" }, "Dry run"), el("a", { class: "button", href: hash("forecast", { lane }) }, "Forecast the next runs")),
    el("p", { class: "soft" }, `The lane is ${isLive ? "live on this host: its schedule sends" : "not live on this host: its worker sends nothing"}. A dry run is recorded as evidence, with what it selects.`));
  if (!WORKERS[lane]) swap(result, nothing("The worker of this lane runs from the command line only.", "Run ", el("code", {}, `cavra-pipeline worker --lane ${lane}`), "; it is dry unless the host names the lane as live."));
  else if (!mayRun) swap(result, nothing("Your token may not run a worker: that needs the scope live.", el("a", { href: hash("forecast", { lane }) }, "The forecast"), " shows what its next runs would take."));
  else if (isPast()) swap(result, nothing("A worker runs now, not at a past instant.", "Choose Now above."));
  return [tabs("plan", "worker", `?lane=${lane}`), form, result];
}

function outcome({ run }, lane) {
  return [
    el("section", { class: "verdict healthy", "aria-label": "The run" },
      el("p", { class: "state" }, `${plural(run.selected_retries.length, "retry", "retries")} selected, nothing sent`),
      el("p", { class: "soft" }, `Dry run ${run.run_id} of ${words(lane).toLowerCase()} at ${stamp(run.as_of)}, recorded as evidence.`)),
    facts([["To retry", run.retryable_count], ["Waiting", run.waiting_retry_count], ["Exhausted", run.suppressed_retry_count],
      ["Selected", run.selected_retry_count], ["Need an acknowledgement", run.acknowledgement_pending_count]]),
    table({ key: "selected", caption: "Selected retries", rows: run.selected_retries, empty: "none: nothing is due that the lane's gate lets through.", columns: [
      { name: "subject", title: "Subject", value: (one) => subjectOf(lane, one), cell: (one) => el("a", { href: hash("delivery", { lane, subject: subjectOf(lane, one), provider: one.provider }) }, subjectOf(lane, one)) },
      { name: "provider", title: "Provider", value: (one) => one.provider },
      { name: "action", title: "Action", value: (one) => one.action, cell: (one) => tag(one.action, words(one.action)) },
      { name: "failures", title: "Failures", value: (one) => one.retry_count, number: true },
    ] }),
    el("p", { class: "acts" }, el("button", { type: "button", onclick: () => save(`${run.run_id}.json`, "application/json", `${JSON.stringify(run, null, 2)}\n`) }, "Export as JSON"),
      el("a", { class: "button", href: hash("evidence", { lane, record_type: "worker_run" }) }, "Open its evidence"))];
}

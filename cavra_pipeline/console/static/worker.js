// The worker of a lane: its next run, and a dry run, which records its selection and sends nothing.

import { ask } from "./api.js";
import { downStep, dueSchedules, isDaemonUp } from "./alerts.js";
import { causeLines, downLanesOf, gateOf, retryWarning } from "./causes.js";
import { declinedOf, inOrder, stateTag, statesOf } from "./decisions.js";
import { WORKERS, LANES, announce, busy, command, el, facts, hash, laneChoice, now, plural, problem, providerName, save, span, stamp, subjectOf, swap, tag, words } from "./dom.js";
import { hasEvidence } from "./empty.js";
import { INTERVAL_STEP, INTERVAL_STEP_HERE, MAX_RETRIES, SCHEDULES } from "./lanes.js"; // written by the server
import { asOf, isPast } from "./moment.js";
import { tabs } from "./nav.js";
import { table } from "./table.js";

export async function render(params, context) {
  const lane = LANES.includes(params.lane) ? params.lane : "recovery_escalation";
  const planAnswer = await ask(`/lanes/${lane}/plan`, { as_of: asOf() });
  const [{ incidents }, { lanes }] = await Promise.all([ask("/incidents", { as_of: planAnswer.plan.as_of, open: true }), ask("/lanes", { as_of: asOf() })]);
  const [downLane] = hasEvidence(lanes) ? downLanesOf(lanes.filter((laneStatus) => laneStatus.lane === lane)) : [];
  const result = el("div", {});
  const mayRun = !context.status || context.status.scopes.includes("live");
  const isLive = context.status?.live_lanes.includes(lane);
  const run = async ({ currentTarget: button }) => {
    swap(result, el("p", { class: "soft" }, `The dry run of ${words(lane)} is going on …`));
    try {
      const answer = await busy(button, "Running …", () => ask(`@${WORKERS[lane]}`, {}, { dry_run: true }));
      swap(result, outcome(answer, lane));
      announce(`${plural(answer.run.selected_retries.length, "retry", "retries")} selected, nothing sent`);
    } catch (error) {
      swap(result, problem(error));
    }
  };
  const form = el("form", { "aria-label": "Worker", onsubmit: (event) => event.preventDefault(), onchange: (event) => { location.hash = hash("worker", { lane: event.target.value }); } },
    el("div", { class: "fields" }, laneChoice(lane)));
  return [tabs("plan", "worker", `?lane=${lane}`), form, downLane && el("p", { class: "notice" }, workerLine(downLane, await dueSchedules(context), context), " ", el("a", { href: hash("health", { lane, run: 1 }), "data-key": "down-health" }, "Open its Retry health"), "."), nextRun(planAnswer, incidents, isLive, [
    WORKERS[lane] && mayRun && !isPast() && el("button", { type: "button", class: "main", "data-key": "dry-run", "aria-describedby": "how-to-run", onclick: run }, "Dry run"),
    el("a", { class: "button", href: hash("forecast", { lane }), "data-key": "forecast" }, "Forecast the next runs")], howToRun(lane, mayRun)), result, dueTable(planAnswer)];
}

/** What is wrong with a lane's worker, and the step: it is down, or runs less often than expected; null if neither. */
export function workerLine(lane, schedules, context) {
  const every = (minutes) => span(minutes * 60000);
  if (lane.usual_interval_minutes) return [el("strong", {}, `The worker runs every ${every(lane.usual_interval_minutes)}, expected every ${every(lane.expected_interval_minutes)}. `), intervalStep(lane, schedules, context)];
  if (!downLanesOf([lane]).length) return null;
  const since = lane.outage_open_since;
  return [el("strong", {}, since ? `The worker has been down since ${stamp(since)} (${span(now() - Date.parse(since))}). ` : "No worker run has been recorded yet. "), downStep(context, [lane.lane], schedules)];
}

/** What a person does about a worker that runs less often than expected: nothing where this host's schedule is due often enough. */
function intervalStep(lane, schedules, context) {
  const due = !isPast() && isDaemonUp(context) && schedules.find((row) => row.schedule === SCHEDULES[lane.lane])?.due_every_minutes;
  return due && due <= lane.expected_interval_minutes ? INTERVAL_STEP_HERE.replace("{every}", span(due * 60000)) : INTERVAL_STEP;
}

/** How to run this lane's worker, where the button is missing or needs a note. */
function howToRun(lane, mayRun) {
  if (isPast()) return "A worker runs now, not at a past instant: choose Now above to run it.";
  if (!WORKERS[lane]) return ["Run it on the command line; that run is dry too, and counts as the lane's last run, even if its schedule is off: ", command(`cavra-pipeline worker --lane ${lane}`)];
  return mayRun ? ["A dry run sends nothing; it is recorded as evidence, with what it selects. ", el("strong", {}, "It counts as the lane's last run"), ", even if its schedule is off: an outage ends with it."] : "Your token may not run a worker: that needs the scope live.";
}

/** What the worker's next run would retry. */
function nextRun({ plan, pending }, incidents, isLive, buttons, how) {
  const ready = plan.retryable_count - pending.length;
  return el("section", { class: `verdict ${ready ? "calm" : ""}`, "aria-label": "The next run" },
    el("p", { class: "state" }, ready ? `The next run would take ${plural(Math.min(ready, MAX_RETRIES), "retry", "retries")}` : "The next run would take nothing"),
    causeLines(plan.lane, incidents, (incident) => retryWarning({ plan, pending }, incident)),
    el("p", {}, `${isLive ? "The lane is live on this host: its schedule sends them." : "The lane is not live on this host: its worker selects, and sends nothing."}${ready > MAX_RETRIES ? ` A run takes at most ${MAX_RETRIES} of the ${ready.toLocaleString("en")} that are ready.` : ""}${pending.length ? ` ${pending.length.toLocaleString("en")}${ready ? " more" : ""} ${pending.length === 1 ? "is" : "are"} held for ${gateOf(plan.lane)}.` : ""}`),
    el("p", { class: "soft", id: "how-to-run" }, how), el("p", { class: "acts" }, buttons));
}

function dueTable({ plan, pending }) {
  const stateOf = statesOf({ plan, pending });
  const declined = declinedOf({ plan, pending });
  const isHeld = (decision) => stateOf(decision) === "gate";
  const rows = inOrder(plan.retry_decisions.filter((decision) => decision.action === "retry"), stateOf);
  return table({ key: "due", caption: isPast() ? "Due at this instant" : "Due now", rows, empty: plan.evidence_record_count ? "nothing." : "there is no evidence for this lane yet.", columns: [
    { name: "subject", title: "Subject", value: (decision) => subjectOf(plan.lane, decision), cell: (decision) => deliveryLink(plan.lane, decision) },
    { name: "provider", title: "Provider", value: (decision) => providerName(decision.provider) },
    { name: "state", title: "State", value: (decision) => (isHeld(decision) ? 1 : 0), cell: (decision) => stateTag(stateOf(decision), plan.lane, declined(decision)) },
    { name: "failures", title: "Failures", value: (decision) => decision.retry_count, cell: (decision) => `${decision.retry_count} of ${decision.max_retry_attempts}`, number: true },
  ] });
}

const deliveryLink = (lane, decision) => el("a", { href: hash("delivery", { lane, subject: subjectOf(lane, decision), provider: decision.provider }), "data-key": `due-${subjectOf(lane, decision)}-${decision.provider}` }, subjectOf(lane, decision));

function outcome({ run }, lane) {
  return [
    el("section", { class: "verdict healthy", "aria-label": "The run" },
      el("p", { class: "state" }, `${plural(run.selected_retries.length, "retry", "retries")} selected, nothing sent`),
      el("p", { class: "soft" }, `Dry run ${run.run_id} of ${words(lane)} at ${stamp(run.as_of)}, recorded as evidence. It counts as the lane's last run, even if its schedule is off.`)),
    facts([["Due", run.retryable_count], ["Waiting", run.waiting_retry_count], ["Exhausted", run.suppressed_retry_count],
      ["Selected", run.selected_retry_count], ["Held for an acknowledgement", run.acknowledgement_pending_count]]),
    table({ key: "selected", caption: "Selected retries", rows: run.selected_retries, empty: "none: nothing is due that the lane's gate lets through.", columns: [
      { name: "subject", title: "Subject", value: (retry) => subjectOf(lane, retry), cell: (retry) => deliveryLink(lane, retry) },
      { name: "provider", title: "Provider", value: (retry) => providerName(retry.provider) },
      { name: "action", title: "Action", value: (retry) => retry.action, cell: (retry) => tag(retry.action, words(retry.action)) },
      { name: "failures", title: "Failures", value: (retry) => retry.retry_count, number: true },
    ] }),
    el("p", { class: "acts" }, el("button", { type: "button", onclick: () => save(`${run.run_id}.json`, "application/json", `${JSON.stringify(run, null, 2)}\n`) }, "Export as JSON"),
      el("a", { class: "button", href: hash("evidence", { lane, record_type: "worker_run" }) }, "Open its evidence"))];
}

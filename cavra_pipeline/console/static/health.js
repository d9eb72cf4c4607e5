// Retry health: evaluates a lane as of now or a past instant, with reasons and actions.

import { ask, askAll, askIfThere } from "./api.js";
import { LABEL, acknowledgeAllButton, acknowledgeButton, decidedWords, openWords, splitByAnswer } from "./acknowledge.js";
import { downStep } from "./alerts.js";
import { causeLines, downLanesOf, failsByIncident, incidentsOf, pairsToAcknowledge, warningOf } from "./causes.js";
import { LANES, SCHEDULES, ago, announce, el, facts, field, hash, laneChoice, loading, problem, providerName, save, say, showDocument, span, stamp, statusLine, subjectOf, swap, tag, time, words } from "./dom.js";
import { hasEvidence, noEvidence } from "./empty.js";
import { GATES, PUT_OFF_STEP, STALE_PLAN_STEP, STATES, WHERE_APPROVED } from "./lanes.js"; // written by the server
import { evidenceLink } from "./overview.js";
import { asOf, isPast } from "./moment.js";
import { healthTimeline } from "./pictures.js";
import { proofFoot } from "./proof.js";
import { table } from "./table.js";
import { withMessages } from "./validity.js";
import { workerLine } from "./worker.js";

const number = (name, max, value) => el("input", { name, type: "number", min: 1, max: max, step: 1, inputmode: "numeric", value });

/** Parameters of a health report; its bundle is requested with the same. */
const PARAMETERS = ["as_of", "expected_interval_minutes", "stale_metadata_minutes", "window_hours"];

/** True if a lane is healthy by CAVRA's rule although an open incident makes deliveries of it fail. */
const isStopped = (health, causes) => health.alert_level === "healthy" && causes.length > 0;
const shownLevel = (health, causes) => (isStopped(health, causes) ? "warning" : health.alert_level);

export async function render(params, context, root) {
  const { lanes } = await ask("/lanes", { as_of: asOf() });
  const result = el("div", {});
  const form = el("form", { "aria-label": "Retry health" },
    el("div", { class: "fields" }, laneChoice(params.lane || LANES[0])),
    el("details", { "data-key": "parameters" }, el("summary", {}, "Other parameters"), el("div", { class: "fields" },
      field("Expected interval (minutes)", number("expected_interval_minutes", 525600, params.expected_interval_minutes || ""), "1 to 525,600. Leave empty for the lane's."),
      field("A plan is stale after (minutes)", number("stale_metadata_minutes", 525600, params.stale_metadata_minutes || ""), "1 to 525,600. Leave empty for the lane's."),
      field("Window (hours)", number("window_hours", 8784, params.window_hours || ""), "How far back counts reach. Leave empty for 168."),
      field("Requested by", el("input", { name: "generated_by", ...LABEL, value: params.generated_by || "" }), LABEL.title))),
    el("p", { class: "acts" }, el("button", { "data-key": "run" }, "Evaluate")));
  const maySave = !isPast() && (!context.status || context.status.scopes.includes("plan"));
  let newest = 0;
  const run = async (isSaved = false, isUpdate = false) => {
    if (!hasEvidence(lanes)) {
      swap(result, await noEvidence());
      return;
    }
    const runNumber = ++newest;
    const values = Object.fromEntries(new FormData(form));
    const { lane, ...parameters } = { ...values, as_of: asOf() };
    history.replaceState(history.state, "", hash("health", { ...values, run: 1, as_of: params.as_of }));
    if (!isUpdate) {
      root.querySelector("#result")?.remove();
      swap(result, loading(`the health of ${words(lane)}`));
    }
    try {
      const { health, metadata } = await ask(`/lanes/${lane}/health`, { ...parameters, keep: isSaved });
      const saveButton = maySave && !isSaved && el("button", { type: "button", "data-key": "save-report", onclick: () => run(true) }, "Save the report");
      const nodes = await report(health, metadata, lanes.find((laneStatus) => laneStatus.lane === lane), context, reload, saveButton);
      if (runNumber !== newest) return;
      swap(result, nodes);
      announce(`${words(lane)} is ${health.alert_level}`);
    } catch (error) {
      if (runNumber === newest) swap(result, problem(error));
    }
  };
  const reload = async (results) => {
    if (!root.isConnected) return;
    const answer = await ask("/lanes", { as_of: asOf() });
    lanes.splice(0, lanes.length, ...answer.lanes);
    await run(false, true);
    say(root, results);
  };
  form.addEventListener("submit", (event) => { event.preventDefault(); run(); });
  form.elements.lane.addEventListener("change", () => run());
  withMessages(form);
  swap(root, form, result);
  await run();
}

async function report(health, metadata, lane, context, reload, saveButton) {
  const until = health.as_of;
  const since = new Date(Date.parse(until) - health.window_hours * 3600000).toISOString();
  const range = { lane: health.lane, since, until };
  const [runs, executions, slots, { incidents }] = await Promise.all([
    askAll("/evidence", "records", { ...range, record_type: "worker_run" }, 2000),
    askAll("/evidence", "records", { ...range, record_type: "execution" }, 2000),
    askIfThere("/slots", { since, until }),
    ask("/incidents", { as_of: until, open: true }),
  ]);
  const failedRetries = failedRetriesOf(executions.rows, lane);
  const laneSlots = (slots?.slots || []).filter((slot) => slot.schedule === SCHEDULES[health.lane]);
  const alertsByCategory = Object.fromEntries(lane.alerts.map((alert) => [alert.category, alert]));
  const alerts = health.alerts.map((alert, at) => ({ record_type: "", pairs: [], ...alertsByCategory[alert.category], ...alert, message: messageOf(alert, lane), action: isOfDownWorker(alert, lane) ? downStep(context, [health.lane], slots?.schedules ?? []) : isPutOff(alert, lane) ? PUT_OFF_STEP : stepOf(health, at) }))
    .sort((a, b) => (b.severity === "critical") - (a.severity === "critical"));
  const gaps = health.acknowledgement_gaps.map((gap) => ({ lane: health.lane, subject: subjectOf(health.lane, gap), provider: gap.provider, state: gap.acknowledgement_state }));
  const causes = incidentsOf(health.lane, incidents);
  const warning = warningOf(gaps, failsByIncident(incidents));
  const unanswered = new Set(pairsToAcknowledge(lane).map((pair) => `${pair.subject} ${pair.provider}`));
  // Where no acknowledgement is missing, one only settles the retry that failed.
  const closeButton = ({ subject, provider }) => acknowledgeButton({ lane: health.lane, subject, provider, key: `failed-${subject}-${provider}`, context, done: reload, isToResolve: !unanswered.has(`${subject} ${provider}`) });
  const buttonFor = (subject, provider, key) => acknowledgeButton({ lane: health.lane, subject, provider, key, context, done: reload });
  return [
    el("section", { class: `verdict ${shownLevel(health, causes)}`, "aria-label": "Verdict" },
      el("p", { class: "state" }, `${words(health.lane)}: ${health.alert_level === "unknown" ? "not in use" : health.alert_level}${isStopped(health, causes) ? ", with an open incident" : ""}`),
      isStopped(health, causes) && el("p", {}, "The lane is healthy by CAVRA's rule: no retry of it has failed or been skipped. Its deliveries fail because of an incident."),
      causeLines(health.lane, incidents),
      el("p", {}, workerLine(lane, slots?.schedules ?? [], context)),
      el("p", { class: "soft" }, `As of ${stamp(health.as_of)}, over ${span(health.window_hours * 3600000)}. A run is expected every ${span(health.expected_interval_minutes * 60000)}; a plan is stale after ${span(health.stale_metadata_minutes * 60000)}. A live retry needs ${lane.live_needs}.`),
      el("p", { class: "soft" }, metadata ? `Saved as evidence: ${metadata.session_id}.` : "Preview only, not saved."),
      alerts.length ? alertItems(health.lane, alerts) : el("p", {}, "No problems."),
      saveButton && el("p", { class: "acts" }, saveButton)),
    facts([
      ["Last worker run", ago(health.latest_worker_age_minutes)], ["Last retry plan", ago(health.latest_retry_plan_age_minutes)],
      ["Missed runs", health.missed_run_count], ["Worker runs", health.worker_run_count], ["Of these dry", health.dry_run_count],
      ["Failing deliveries", health.unresolved_delivery_count], ["Retries delivered", health.delivered_execution_count], ["Retries failed", health.failed_execution_count - health.skipped_execution_count],
      ["Retries skipped", health.skipped_execution_count], ["Unresolved retries", health.unresolved_failed_execution_count], ...gateTiles(health), ["Records", health.evidence_record_count],
      // Rare counts: shown only if not zero.
      ...[["Failed after they were delivered", health.failed_after_delivery_count], ["Later records, left out", health.future_record_count]].filter(([, count]) => count),
    ]),
    healthTimeline(health, runs.rows.map((run) => run.record), laneSlots, lane.usual_interval_minutes !== null),
    !(runs.isWhole && executions.isWhole) && el("p", { class: "notice" }, "Only the newest 2,000 runs and retries of the window are shown; the figures above count all."),
    statusLine(),
    (GATES[health.lane] === "acknowledgement" || gaps.length > 0) && [el("h2", { id: "gaps", tabindex: "-1" }, "Acknowledgement gaps"),
    gaps.length > 1 && el("p", { class: "acts" }, acknowledgeAllButton({ pairs: gaps, of: words(health.lane), key: "all-gaps", context, done: reload, buttonClass: warning ? null : "main", warning })),
    gaps.length > 0 && el("p", { class: "soft" }, decidedWords(gaps) ? `${openWords(gaps, "to acknowledge")}: where a person has decided, the retry stays held.` : "No one has answered these yet."),
    table({ key: "gaps", isTitled: false, caption: "Failing deliveries without an acknowledgement that releases them, those without an answer first", rows: splitByAnswer(health.acknowledgement_gaps.map((gap) => ({ ...gap, state: gap.acknowledgement_state }))).flat(), empty: "none", columns: [
      { name: "subject", title: "Subject", value: (gap) => subjectOf(health.lane, gap), cell: (gap) => deliveryLink(health.lane, subjectOf(health.lane, gap), gap.provider) },
      { name: "provider", title: "Provider", value: (gap) => providerName(gap.provider) },
      { name: "since", title: "Since", value: (gap) => gap.since, cell: (gap) => time(gap.since, true) },
      { name: "state", title: "Acknowledgement", value: (gap) => words(gap.state), cell: (gap) => (gap.state ? tag("warning", words(gap.state)) : "none") },
      { name: "act", title: "Action", cell: (gap) => buttonFor(subjectOf(health.lane, gap), gap.provider, `gap-${subjectOf(health.lane, gap)}-${gap.provider}`) },
    ] })],
    (GATES[health.lane] === "approval" || health.approval_gaps.length > 0) && [el("h2", {}, "Approval gaps"), table({ key: "approvals", isTitled: false, caption: "Failing deliveries without the approval that they need", rows: health.approval_gaps, empty: "none", columns: [
      { name: "subject", title: "Subject", value: (gap) => subjectOf(health.lane, gap), cell: (gap) => deliveryLink(health.lane, subjectOf(health.lane, gap), gap.provider) },
      { name: "provider", title: "Provider", value: (gap) => providerName(gap.provider) },
      { name: "since", title: "Since", value: (gap) => gap.since, cell: (gap) => time(gap.since, true) },
      { name: "state", title: "Approval", value: (gap) => words(gap.approval_state) || "none" },
    ] })],
    el("h2", {}, "Failed or skipped retries"),
    table({ key: "failed", isTitled: false, caption: "Retries that failed or were skipped in the window, unresolved ones first", rows: failedRetries, empty: "none", columns: [
      { name: "at", title: "At", value: (retry) => retry.record?.created_at, cell: (retry) => (retry.record ? time(retry.record.created_at) : "before the window") },
      { name: "subject", title: "Subject", value: (retry) => retry.subject, cell: (retry) => deliveryLink(health.lane, retry.subject, retry.provider) },
      { name: "provider", title: "Provider", value: (retry) => providerName(retry.provider) },
      { name: "status", title: "Status", value: (retry) => words(retry.status) },
      { name: "state", title: "Now", value: (retry) => Object.keys(RETRY_STATES).indexOf(retry.state), cell: (retry) => tag(...RETRY_STATES[retry.state]) },
      { name: "record", title: "Record", cell: (retry) => [retry.record && el("button", { type: "button", "aria-label": `Open the record of ${retry.subject}, ${retry.provider}`,
        onclick: () => showDocument(`Retry ${retry.record.session_id}`, retry.record) }, "Open"), " ", retry.state === "unresolved" && closeButton(retry)] },
    ] }),
    el("p", { class: "acts" },
      el("button", { type: "button", onclick: () => save(`${health.health_id}.json`, "application/json", `${JSON.stringify({ health, metadata }, null, 2)}\n`) }, "Export as JSON"),
      metadata && el("button", { type: "button", onclick: () => showDocument("The report's own evidence", metadata) }, "Its evidence record"),
      context.status && el("a", { href: `${context.status.dagster.assets_url}/${health.lane}_retry_health`, rel: "noreferrer" }, "In Dagster")),
    proofFoot(health, `/lanes/${health.lane}/health/bundle`, Object.fromEntries(PARAMETERS.map((name) => [name, health[name]]))),
  ];
}

/** What became of a retry that failed or was skipped: its level and text. */
const RETRY_STATES = { unresolved: ["critical", "Unresolved"], superseded: ["wait", "Superseded"], resolved: ["healthy", "Resolved since"] };

/** Retries that failed or were skipped, those that the lane counts as unresolved first; `executions` has the newest first. */
function failedRetriesOf(executions, lane) {
  const key = (row) => `${row.subject} ${row.provider}`;
  const unresolved = new Map(lane.alerts.filter((alert) => alert.record_type === "execution").flatMap((alert) => alert.pairs).map((pair) => [key(pair), pair]));
  const seen = new Set();
  const rows = executions.filter((execution) => execution.status !== "delivered").map(({ subject, status, record }) => {
    const row = { subject, provider: record.provider, status, record };
    const state = !unresolved.has(key(row)) ? "resolved" : seen.has(key(row)) ? "superseded" : "unresolved";
    seen.add(key(row));
    return { ...row, state };
  });
  const older = [...unresolved.values()].filter((pair) => !seen.has(key(pair))).map((pair) => ({ ...pair, status: "", state: "unresolved" }));
  return Object.keys(RETRY_STATES).flatMap((state) => [...rows, ...older].filter((row) => row.state === state));
}

/** What the lane's gate holds up: gaps of the kind that it asks for; in a lane of health alerts, those not acknowledged yet. */
function gateTiles(health) {
  const { lane } = health;
  if (GATES[lane] === "acknowledgement") return [["Acknowledgement gaps", health.acknowledgement_pending_count]];
  if (GATES[lane] === "approval") return [["Approval gaps", health.approval_pending_count]];
  return STATES[lane].length ? [["Outstanding alert acknowledgements", health.outstanding_alert_acknowledgement_count]] : [];
}

/** True if an alert of a report says that the worker has missed its runs, and the worker is down by the lane's state too. */
const isOfDownWorker = ({ category }, lane) => /^missed_.*_worker$/.test(category) && downLanesOf([lane]).length > 0;

const gapCount = (lane) => lane.acknowledgement_gaps.length + lane.approval_gaps.length;

const IS_OF_GAPS = /_(acknowledgement|approval)_gap$/;

/** True if an alert is of gaps, each of which a person has decided against for now. */
const isPutOff = ({ category }, lane) => IS_OF_GAPS.test(category) && gapCount(lane) === Object.values(lane.declined_counts).reduce((sum, number) => sum + number, 0);

/** The message of an alert; of gaps, with how many of them a person has put off. */
function messageOf(alert, lane) {
  const putOff = IS_OF_GAPS.test(alert.category) ? Object.entries(lane.declined_counts).map(([state, number]) => (gapCount(lane) === 1 ? state : `${number} of them ${state}`)).join(", ") : "";
  return putOff ? `${alert.message.replace(/\.$/, "")} (${putOff}).` : alert.message;
}

/** What to do about an alert of a report: a worker that is down makes no plan, so its run is all that a stale plan needs. */
export const stepOf = (health, at) => (/^stale_.*_retry_plan$/.test(health.alerts[at].category) && health.missed_worker_count ? STALE_PLAN_STEP : health.recommended_actions[at]);

const deliveryLink = (lane, subject, provider) => el("a", { href: hash("delivery", { lane, subject, provider }), "data-key": `of-${subject}-${provider}` }, subject);

const alertItems = (lane, alerts) => el("ul", { class: "alerts" }, alerts.map((alert) => el("li", {},
  el("p", {}, tag(alert.severity), " ", alert.message), el("p", {}, el("strong", {}, "Next: "), alert.action, /approval/.test(alert.category) && ` ${WHERE_APPROVED}`, /acknowledgement_outstanding$/.test(alert.category) && [" ", el("a", { href: hash("closure"), "data-key": `to-${alert.category}` }, "Acknowledge them in the closure"), "."]),
  el("p", {}, evidenceLink(lane, alert, `evidence-${lane}-${alert.category}`)))));

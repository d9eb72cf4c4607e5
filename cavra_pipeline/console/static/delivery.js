// One delivery: its attempts, its state and why, what would release it, its evidence and forecast.

import { acknowledgeButton, withdrawButton } from "./acknowledge.js";
import { dueSchedules, forecastNote } from "./alerts.js";
import { ask } from "./api.js";
import { SPENT, failureOf, faultAt, gateOf, titleOf } from "./causes.js";
import { heldAs } from "./decisions.js";
import { el, facts, hash, emptyState, now, plural, problem, providerName, say, showDocument, span, stamp, statusLine, subjectOf, swap, time, words } from "./dom.js";
import { GATES, NOTHING_TO_FIX, PSEUDONYM_NOTE, RELEASES, WHERE_APPROVED } from "./lanes.js"; // written by the server
import { asOf } from "./moment.js";
import { timeline } from "./pictures.js";
import { table } from "./table.js";

export const REASONS = {
  max_retry_attempts_reached: "it has failed as often as the policy allows",
  non_retryable_status_code: "the policy never retries its status",
  retry_delay_not_elapsed: "its delay has not passed yet",
  retry_delay_elapsed: "its delay has passed",
};
export const NEVER = {
  acknowledgement: "it needs an acknowledgement", approval: "it needs an approval", no_connector: "this host has no such connector",
  not_retryable: "the policy gives it no further retry", schedule_disabled: "the schedule of its worker is disabled", not_due: "it is not due in that time",
};
/** Headline of a due retry, by what releases it. */
const HELD = { acknowledgement: "Held: needs an acknowledgement", approval: "Held: needs an approval", subject: "Held: needs a newer record of its subject", connector: "Held: needs a connector" };
/** What a person gives so that a retry is released. */
const GATED = ["acknowledgement", "approval"];
/** A note if the lane is not live on this host; else a falsy value. */
export const liveNote = (lane, { status }) => status && !status.live_lanes.includes(lane) && "This is what live runs would do; the lane is not live on this host, so nothing is sent.";
/** Decisions of a plan, named as on the command line. */
const OUTCOMES = { retry: "due", wait: "waiting", suppress: "exhausted" };
/** Decisions of a worker run that are one state, whatever the run called them. */
const OUTCOME_OF_REASON = { retry_delay_not_elapsed: "waiting", max_retry_attempts_reached: "exhausted", non_retryable_status_code: "exhausted" };
const LEVELS = { suppress: "critical", wait: "warning", retry: "warning", settled: "healthy", not_failing: "healthy" };

export async function render(params, context, root) {
  const at = { as_of: asOf() };
  if (!params.subject || !params.provider) return emptyState("No delivery is named.", "Open one from a plan, a gap or an incident.");
  const { explanations } = await ask("/explain", { ...at, subject: params.subject, provider: params.provider, lane: params.lane });
  const explanation = explanations[0];
  const isFailing = !["settled", "not_failing"].includes(explanation.state);
  const [schedules, { incidents }, forecast] = await Promise.all([
    isFailing ? dueSchedules(context) : [],
    explanation.provider_incident_id ? ask("/incidents", { ...at, provider: explanation.provider, open: true }) : { incidents: [] },
    isFailing ? ask(`/lanes/${explanation.lane}/forecast`, at) : { pairs: [] },
  ]);
  const incident = incidents.find((candidate) => candidate.incident_id === explanation.provider_incident_id);
  const pair = forecast.pairs.find((candidate) => subjectOf(explanation.lane, candidate) === explanation.subject && candidate.provider === explanation.provider);
  const reload = async (message) => {
    swap(root, await render(params, context, root));
    say(root, message);
  };
  const needs = explanation.released_by.map((need) => need.needs);
  return [
    el("p", { class: "crumb" }, el("a", { href: hash("health", { lane: explanation.lane, run: 1 }) }, words(explanation.lane)), ` › ${explanation.subject} › ${providerName(explanation.provider)}`),
    el("p", { class: "lead" }, subjectLine(explanation)),
    el("section", { class: `verdict ${LEVELS[explanation.state]}`, "aria-label": "Verdict" },
      el("p", { class: "state" }, headline(explanation)),
      reasonText(explanation) && el("p", {}, el("strong", {}, "Why: "), reasonText(explanation)),
      incident && el("p", {}, el("strong", {}, "Cause: "), titleOf(incident), ", which also stops ", el("a", { href: hash("incident", { id: incident.incident_id }), "data-key": "incident" }, plural(incident.pairs.length - 1, "other delivery", "other deliveries")), "."),
      !incident && explanation.cause && el("p", {}, el("strong", {}, "Cause: "), failureText(explanation), !explanation.is_failing_now && !explanation.first_step && `: ${NOTHING_TO_FIX}`, "."),
      explanation.first_step && el("p", {}, el("strong", {}, "First: "), explanation.first_step),
      explanation.declined && explanation.state !== "suppress" && el("p", {}, el("strong", {}, "Ask: "), personText(explanation)),
      explanation.released_by.length > 0 && el("p", {}, el("strong", {}, "What would release it: "), explanation.released_by.map(releaseText).join("; "), ".", needs.includes("approval") && ` ${WHERE_APPROVED}`),
      el("p", { class: "acts" },
        needs.includes("acknowledgement") && acknowledgeButton({ ...explanation, key: "acknowledge", buttonClass: explanation.declined || explanation.first_step ? null : "main", warning: warningOf(explanation), context, done: reload }),
        (isFailing || !GATED.includes(GATES[explanation.lane])) && withdrawButton({ ...explanation, state: explanation.acknowledgement_state, key: "withdraw", context, done: reload }),
        el("a", { class: "button", href: hash("evidence", { lane: explanation.lane, subject: explanation.subject, provider: explanation.provider }), "data-key": "records" }, "Open its evidence"),
        el("a", { class: "button", href: hash("plan", { lane: explanation.lane, subject: explanation.subject, provider: explanation.provider }), "data-key": "what-if" }, "Try another policy"))),
    statusLine(),
    facts([["Failures", explanation.retry_count], ["Failing since", explanation.failing_since ? stamp(explanation.failing_since) : "–"], [explanation.state === "retry" ? "Due since" : "Next retry", explanation.next_retry_at ? stamp(explanation.next_retry_at) : "–"],
      ...[["Acknowledgement", explanation.acknowledgement_state], ["Approval", explanation.approval_state]].filter(([name, state]) => state || GATES[explanation.lane] === name.toLowerCase()).map(([name, state]) => [name, words(state) || "none"])]),
    attemptTimeline(explanation), forecastText(explanation, pair, forecast, liveNote(explanation.lane, context), forecastNote(explanation.lane, schedules)), historyTable(explanation)];
}

/** What was sent, when first, and to whom. */
function subjectLine({ lane, provider, lines }) {
  const first = lines.find((line) => line.what === "delivery");
  return `${words(lane)}${first ? ` of ${stamp(first.at)}` : ""}, to ${providerName(provider)}`;
}

function headline(explanation) {
  if (explanation.state === "suppress") return `Exhausted after ${plural(explanation.retry_count, "failure")}`;
  const gate = explanation.released_by.filter(({ needs }) => GATED.includes(needs)).map(({ needs }) => (explanation.declined ? `, then ${heldAs(explanation.declined.state).toLowerCase()}` : `, then needs ${gateOf(explanation.lane)}`)).join("");
  if (explanation.state === "wait") return `Waiting for its retry at ${stamp(explanation.next_retry_at)}${gate}`;
  if (explanation.state === "retry") return explanation.released_by.map(({ needs }) => (explanation.declined && GATED.includes(needs) ? heldAs(explanation.declined.state) : HELD[needs])).find(Boolean) ?? "Ready to retry";
  return explanation.state === "settled" ? "Delivered" : "Not failing";
}

/** Why a delivery is not retried: the state by which a person decided against it, else the rule. */
const notTriedReason = (explanation, name) => (GATED.includes(name) && explanation.declined ? `it was ${words(explanation.declined.state).toLowerCase()}` : NEVER[name]);

function reasonText(explanation) {
  if (explanation.state === "settled") return `it arrived at ${stamp(explanation.settled_at)}.`;
  if (explanation.state === "retry" && explanation.released_by.some((need) => GATED.includes(need.needs))) return explanation.declined ? "this state releases no retry; its delay has passed." : "its delay has passed, and no one has released it.";
  return explanation.reason && `${REASONS[explanation.reason] ?? words(explanation.reason).toLowerCase()}.`;
}

/** Why a delivery of no incident fails, with the status of its newest failure. */
function failureText({ provider, cause, is_failing_now: isNow, lines }) {
  const newest = lines.findLast((line) => line.what === "delivery" && line.outcome === "failed");
  return failureOf({ provider, cause, is_failing_now: isNow, status_codes: newest?.status_code ? [newest.status_code] : [] });
}

/** Whom to ask about a retry that a person has decided against. */
const personText = ({ declined: { state, by, is_pseudonym: isPseudonym } }) => [el("span", { class: "entire" }, by ?? "the person"), `, who ${words(state).toLowerCase()} it.`, isPseudonym && ` ${PSEUDONYM_NOTE}`];

/** What to know before the delivery is acknowledged. */
function warningOf({ first_step: first, declined }) {
  const parts = [first && `${first} ${SPENT.charAt(0).toUpperCase()}${SPENT.slice(1)} `, declined && ["Ask ", personText({ declined })]].filter(Boolean);
  return parts.length > 0 && parts;
}

function releaseText({ needs, at, detail }) {
  return (RELEASES[needs] ?? words(needs).toLowerCase()).replace("{at}", () => stamp(at)).replace("{detail}", () => String(detail).replaceAll("_", " "));
}

const parse = (text) => Date.parse(text);

/** Timeline of attempts (numbered points), acknowledgements and approvals, plans and runs, and the incident. */
function attemptTimeline(explanation) {
  const deliveryLines = explanation.lines.filter((line) => line.what !== "provider_incident");
  if (!deliveryLines.length) return null;
  const until = now();
  const from = Math.min(...deliveryLines.map((line) => parse(line.at)));
  const to = Math.max(until, explanation.next_retry_at ? parse(explanation.next_retry_at) : 0);
  const attemptLines = attempts(deliveryLines);
  const spans = (what, kind) => explanation.lines.filter((line) => line.what === what).map((line) => ({ from: parse(line.at), to: line.until ? parse(line.until) : until, kind, text: `${words(what)}, ${stamp(line.at)}: ${words(line.outcome)}${line.reason ? `, ${reasonOf(line, explanation)}` : ""}` }));
  const decisionLines = deliveryLines.filter((line) => ["acknowledgement", "approval"].includes(line.what));
  const rows = [
    { title: "Attempts", spans: explanation.state === "wait" ? [{ from: parse(attemptLines.at(-1).at), to: parse(explanation.next_retry_at), kind: "pause", text: `Delay until ${stamp(explanation.next_retry_at)}` }] : [],
      marks: attemptLines.map((attempt, at) => ({ at: parse(attempt.at), kind: attempt.outcome === "failed" ? "bad" : attempt.outcome === "delivered" ? "good" : "unknown", label: `${at + 1}${attempt.status_code ? ` · ${attempt.status_code}` : ""}`,
        text: `Attempt ${at + 1}, ${stamp(attempt.at)}: ${words(attempt.outcome)}${attempt.status_code ? ` with ${attempt.status_code}` : ""}` })) },
    decisionLines.length > 0 && { title: "Acknowledgements", marks: decisionLines.map((decision) => ({ at: parse(decision.at), kind: "calm", label: words(decision.outcome), text: `${words(decision.outcome)} by ${decision.by ?? "nobody"}, ${stamp(decision.at)}` })) },
    { title: "Plans and runs", spans: [...spans("retry_plan", "track"), ...spans("worker_run", "unknown")] },
    spans("provider_incident", "late").length > 0 && { title: "Incident", spans: spans("provider_incident", "late") },
  ].filter(Boolean);
  const events = [...attemptLines, ...decisionLines].map((line) => parse(line.at));
  const lastEvent = Math.max(...events, explanation.next_retry_at ? parse(explanation.next_retry_at) : 0);
  const failed = attemptLines.filter((attempt) => attempt.outcome === "failed").length;
  return timeline("Attempts over time", `${stamp(new Date(from).toISOString())} to ${stamp(new Date(to).toISOString())}: ${plural(attemptLines.length, "attempt")}, ${failed} failed.`, rows, from, to, { now: until, knee: Math.min(to, lastEvent + (lastEvent - from) * 0.15 + 600000) });
}

/** Merges execution and delivery records of one attempt: the execution names the delivery, or has the same instant. */
function attempts(lines) {
  const deliveries = lines.filter((line) => line.what === "delivery");
  const isSent = (execution) => deliveries.some((delivery) => (execution.retried_as ? delivery.record_id === execution.retried_as : delivery.at === execution.at));
  return [...deliveries, ...lines.filter((line) => line.what === "execution" && !isSent(line))].sort((a, b) => parse(a.at) - parse(b.at));
}

function forecastText(explanation, pair, forecast, note, scheduleNote) {
  if (!pair) return null;
  const parts = pair.never_tried ? [`It is not tried in the next ${forecast.hours} hours: ${notTriedReason(explanation, pair.never_tried) ?? words(pair.never_tried).toLowerCase()}.`]
    : [`It ${note ? "would be" : "is"} tried at ${stamp(pair.first_tried_at)}.`, pair.exhausted_at && `If every retry fails, it is exhausted at ${stamp(pair.exhausted_at)}.`, pair.delivered_at && `If retries are delivered, it arrives at ${stamp(pair.delivered_at)}.`, scheduleNote];
  const precedent = pair.alike_failure_count && `Of ${plural(pair.alike_failure_count, "failure")} like this in the 30 days before, ${pair.alike_delivered_count} were followed by a success.`;
  return [el("h2", {}, "If nothing changes"), el("p", {}, note && !pair.never_tried && `${note} `, parts.filter(Boolean).join(" ")), precedent && el("p", { class: "soft" }, precedent)];
}

/** The reason of a line: the provider's fault, a rule of the policy, or the record's own text. */
const reasonOf = ({ reason }, explanation) => faultAt(explanation.provider, reason) ?? { ...NEVER, ...REASONS }[reason] ?? words(reason).toLowerCase();

function historyTable(explanation) {
  const open = (line) => line.record_id && el("button", { type: "button", "aria-label": `Open ${line.record_id}`, "data-key": `open-${line.record_id}`, onclick: async ({ currentTarget: button }) => {
    try {
      const { records } = await ask("/evidence", { session_id: line.record_id });
      showDocument(line.record_id, records[0]?.record ?? { record: "not in the evidence" });
    } catch (error) {
      button.after(problem(error));
    }
  } }, "Open");
  return [el("h2", {}, "Everything that concerns it"), table({ key: "story", caption: "In order of time", isTitled: false, rows: explanation.lines, sorts: false, columns: [
    { name: "at", title: "At", value: (line) => line.at, cell: (line) => [time(line.at), line.until && line.until !== line.at && el("small", {}, `for ${span(parse(line.until) - parse(line.at))}`)] },
    { name: "what", title: "What", value: (line) => words(line.what) + (line.record_count > 1 ? ` (${plural(line.record_count, "record")})` : "") },
    { name: "outcome", title: "Outcome", value: (line) => [words(OUTCOME_OF_REASON[line.reason] ?? OUTCOMES[line.outcome] ?? line.outcome), line.status_code, line.by && `by ${line.by}`, line.external_ref].filter(Boolean).join(", ") },
    { name: "reason", title: "Why", value: (line) => words(reasonOf(line, explanation)) },
    { name: "record", title: "Record", cell: (line) => open(line) || (line.incident_id ? el("a", { href: hash("incident", { id: line.incident_id }) }, "Incident") : "–") },
  ] })];
}

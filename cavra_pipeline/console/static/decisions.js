// The decisions of a retry plan: filter, sort, export, and compare with a saved plan.

import { acknowledgeAllButton, acknowledgeButton, openWords } from "./acknowledge.js";
import { ask, askText } from "./api.js";
import { causeLines, failsByIncident, gateOf, incidentsOf, retryWarning, warningOf } from "./causes.js";
import { REASONS } from "./delivery.js";
import { announce, choice, command, el, facts, field, hash, now, plural, problem, providerName, save, span, stamp, statusLine, subjectOf, swap, tag, time, words } from "./dom.js";
import { GATES, WHERE_APPROVED } from "./lanes.js"; // written by the server
import { proofFoot } from "./proof.js";
import { scrollRegion, table } from "./table.js";

/** Actions of a saved plan, which does not record whether a due retry is held. */
export const ACTIONS = { retry: "ready or held", wait: "waiting", suppress: "exhausted" };
/** The choice to compare with the lane's own policy. */
const OWN_POLICY = "own-policy";
/** States of a decision: a due retry is held (`gate`) until a person releases it. */
const STATES = { retry: "Ready", gate: "Held", wait: "Waiting", suppress: "Exhausted" };
const stateName = (state, lane) => ({ gate: `Held: needs ${gateOf(lane)}`, wait_then_gate: `Waiting, then needs ${gateOf(lane)}` })[state] ?? STATES[state];
/** A state as a tag; `declined` is the state by which a person has decided against a held retry. */
export const stateTag = (state, lane, declined = null) => tag({ gate: "warning", wait_then_gate: "wait" }[state] ?? state, state === "gate" && declined ? heldAs(declined) : stateName(state, lane));

/** What a held retry is that a person has decided against: "Held: deferred". */
export const heldAs = (declined) => `Held: ${words(declined).toLowerCase()}`;

/** The held pair of a decision of this plan; undefined if nothing holds it. */
function pendingPairs({ plan, pending }) {
  const pairs = new Map(pending.map((pair) => [`${pair.subject} ${pair.provider}`, pair]));
  return (decision) => (decision.action === "retry" ? pairs.get(`${subjectOf(plan.lane, decision)} ${decision.provider}`) : undefined);
}

/** A function that returns the state of a decision of this plan. */
export function statesOf(planAnswer) {
  const pairOf = pendingPairs(planAnswer);
  return (decision) => (pairOf(decision) ? "gate" : decision.action);
}

/** A function that returns by which state a person has decided against a decision's retry; null where no one has. */
export function declinedOf(planAnswer) {
  const pairOf = pendingPairs(planAnswer);
  return (decision) => pairOf(decision)?.declined_state ?? null;
}

/** Text and colour of the number of ready, held, waiting and exhausted deliveries. */
function countParts({ plan, pending }) {
  const gated = pending.length;
  const held = gated > 0 && [openWords(pending.map((pair) => ({ state: pair.declined_state })), `held for ${gateOf(plan.lane)}`), "warning"];
  const counted = (count, text, level) => count > 0 && [`${count.toLocaleString("en")} ${text}`, level];
  return [counted(plan.retryable_count - gated, "ready to retry", "calm"), held, counted(plan.waiting_count, "waiting", "wait"), counted(plan.suppressed_count, "exhausted", "critical")].filter(Boolean);
}

export const summaryOf = (planAnswer) => countParts(planAnswer).map(([text]) => text).join(", ") || (planAnswer.plan.evidence_record_count ? "Nothing is failing" : "There is no evidence for this lane yet");

/** The values of the filter of a plan's decisions in a node. */
export const filterOf = (root) => Object.fromEntries(new FormData(root.querySelector("form[role=search]")));

/** The due retries of a plan that an acknowledgement releases, as its buttons take them. */
const gapsOf = ({ plan: { lane }, pending }) => (GATES[lane] === "acknowledgement" ? pending.map(({ subject, provider, declined_state: state }) => ({ lane, subject, provider, state })) : []);

/** The plan's section: decisions (by the `filter`), exports, and a comparison with a saved plan. `saveButton` takes a CSS class; `done` is called after an acknowledgement. */
export async function planReport(planAnswer, policy, isPast, context, [saveButton, note], filter, done) {
  const { plan } = planAnswer;
  const [{ reports }, { incidents }] = await Promise.all([ask("/history", { lane: plan.lane, limit: 500 }), ask("/incidents", { as_of: plan.as_of, open: true })]);
  const gaps = gapsOf(planAnswer);
  const isFailingFirst = failsByIncident(incidents);
  const gapOf = new Map(gaps.map((gap) => [`${gap.subject} ${gap.provider}`, gap]));
  const actOf = (decision) => {
    const gap = gapOf.get(`${subjectOf(plan.lane, decision)} ${decision.provider}`);
    return gap && el("p", { class: "acts" }, acknowledgeButton({ ...gap, key: `ack-${gap.subject}-${gap.provider}`, context, done, warning: warningOf([gap], isFailingFirst) }));
  };
  const isDoomed = incidentsOf(plan.lane, incidents).some((incident) => retryWarning(planAnswer, incident));
  // A what-if is compared with the lane's own policy; a plan of that policy, with the newest of a day: another what-if would show changes that never happened.
  const isWhatIf = Object.keys(policy).length > 0;
  const savedPlans = reports.filter((candidate) => /retry_plan$/.test(candidate.report) && candidate.report_id !== plan.retry_plan_id && candidate.as_of <= plan.as_of)
    .sort((a, b) => (a.report === "asked_retry_plan") - (b.report === "asked_retry_plan") || b.as_of.localeCompare(a.as_of)).slice(0, 60);
  const choices = [...(isWhatIf ? [[OWN_POLICY, "The lane's own policy, at the same instant"]] : []),
    ...savedPlans.map((savedPlan) => [savedPlan.report_id, `${stamp(savedPlan.as_of)} (${words(savedPlan.alert_level)}${savedPlan.report === "asked_retry_plan" ? ", requested" : ""})`])];
  const comparison = el("div", { "aria-live": "polite" });
  const savedPlanField = field("Against", choice("against", choices));
  const compare = async () => {
    const id = savedPlanField.querySelector("select").value;
    try {
      const before = id === OWN_POLICY ? (await ask(`/lanes/${plan.lane}/plan`, { as_of: plan.as_of })).plan : (await ask(`/history/${encodeURIComponent(id)}`)).report.document;
      swap(comparison, changesTable(before, plan, id === OWN_POLICY ? "Changes by this policy" : `Changes since ${stamp(before.as_of)}`, id === OWN_POLICY));
    } catch (error) {
      swap(comparison, problem(error));
    }
  };
  savedPlanField.querySelector("select").addEventListener("change", compare);
  if (choices.length) await compare();
  const errorBox = el("div", {});
  // The service writes the CSV: the rule against spreadsheet formulas is implemented once.
  const exportCsv = async () => {
    try {
      const text = await askText(`/lanes/${plan.lane}/plan.csv`, { ...policy, as_of: plan.as_of });
      save(`${plan.retry_plan_id}.csv`, "text/csv;charset=utf-8", text);
      swap(errorBox);
    } catch (error) {
      swap(errorBox, problem(error));
    }
  };
  return [
    el("section", { class: `verdict ${plan.evidence_record_count > 0 && plan.alert_level}`, "aria-label": "The plan" },
      el("p", { class: "state" }, countParts(planAnswer).length ? countParts(planAnswer).map(([text, level], at) => [at > 0 && ", ", el("span", { class: level }, text)]) : summaryOf(planAnswer)),
      causeLines(plan.lane, incidents, (incident) => retryWarning(planAnswer, incident)),
      el("p", { class: "soft" }, `${words(plan.lane)} as of ${stamp(plan.as_of)}: at most ${plan.max_retry_attempts} attempts, after ${span(plan.base_retry_delay_minutes * 60000)}, times ${plan.backoff_multiplier} for each further failure, at most ${span(plan.max_retry_delay_minutes * 60000)}.`),
      planAnswer.metadata ? savedNote(plan, planAnswer) : el("p", { class: "soft" }, `Preview only, not saved. ${note}`),
      planAnswer.pending.length > 0 && GATES[plan.lane] === "approval" && el("p", {}, WHERE_APPROVED),
      el("p", { class: "acts" }, saveButton && saveButton(isDoomed ? null : "main"),
        acknowledgeAllButton({ pairs: gaps, of: words(plan.lane), key: "all-held", context, done, buttonClass: null, warning: warningOf(gaps, isFailingFirst) }))),
    statusLine(),
    decisionsTable(plan, decisionColumns(planAnswer, isPast, actOf), statesOf(planAnswer), filter),
    el("p", { class: "acts" },
      el("button", { type: "button", onclick: exportCsv }, "Export as CSV"),
      el("button", { type: "button", onclick: () => save(`${plan.retry_plan_id}.json`, "application/json", `${JSON.stringify(planAnswer, null, 2)}\n`) }, "Export as JSON"),
      context.status && el("a", { href: `${context.status.dagster.assets_url}/${plan.lane}_retry_plan`, rel: "noreferrer" }, "In Dagster")), errorBox,
    proofFoot(plan, `/lanes/${plan.lane}/plan/bundle`, { ...policy, as_of: plan.as_of }),
    el("h2", {}, "What changes against another plan"),
    choices.length ? [el("div", { class: "compare" }, savedPlanField), comparison] : el("p", { class: "soft" }, "No plan of this lane was saved before."),
  ];
}

/** Where a saved plan is listed and how it is executed. */
const savedNote = (plan, { metadata }) => [el("p", { role: "status" }, el("strong", {}, "Saved. "), `Requested by ${metadata.signer}; listed in the `, el("a", { href: hash("history", { lane: plan.lane }), "data-key": "to-history" }, "history"), ". Nothing was sent. To execute it (dry unless --live is given): ",
  command(`cavra-pipeline worker --lane ${plan.lane} --plan ${plan.retry_plan_id}`)),
el("p", { class: "soft" }, `Its evidence record is ${metadata.session_id}.`)];

const rank = (state) => Object.keys(STATES).indexOf(state);

/** Rows in the order of the command `retry-plan --lane`: ready, held, waiting, exhausted; the oldest failure first. */
export function inOrder(rows, stateOf, decisionOf = (row) => row) {
  const failedAt = (row) => decisionOf(row).next_retry_at ?? decisionOf(row).latest_delivery_at;
  return [...rows].sort((a, b) => rank(stateOf(a)) - rank(stateOf(b)) || failedAt(a).localeCompare(failedAt(b)));
}

function decisionsTable(plan, columns, stateOf, filter) {
  const allDecisions = inOrder(plan.retry_decisions, stateOf);
  const text = el("input", { name: "find", type: "search", autocomplete: "off", value: filter.find ?? "" });
  const counts = Object.keys(STATES).map((state) => [state, allDecisions.filter((decision) => stateOf(decision) === state).length]).filter(([state, count]) => count || state !== "gate");
  const action = choice("action", [["", `All (${allDecisions.length.toLocaleString("en")})`], ...counts.map(([state, count]) => [state, `${state === "gate" ? STATES.gate : stateName(state, plan.lane)} (${count.toLocaleString("en")})`])], filter.action);
  const provider = choice("by_provider", [["", "All"], ...[...new Set(allDecisions.map((decision) => decision.provider))].sort().map((name) => [name, providerName(name)])], filter.by_provider);
  const result = el("div", {});
  const draw = () => {
    const needle = text.value.trim().toLowerCase();
    const rows = allDecisions.filter((decision) => (!action.value || stateOf(decision) === action.value) && (!provider.value || decision.provider === provider.value)
      && (!needle || JSON.stringify(Object.values(decision)).toLowerCase().includes(needle)));
    swap(result, scrollRegion("decisions", "Decisions", table({ key: "decisions", caption: "Decisions", isTitled: false, rows, empty: allDecisions.length ? "none fits the filter" : plan.evidence_record_count ? "no delivery is failing" : "there is no evidence for this lane yet", columns })));
    announce(`${plural(rows.length, "decision")} shown`);
  };
  for (const input of [text, action, provider]) input.addEventListener("input", draw);
  draw();
  return [el("h2", {}, "Decisions"), el("form", { role: "search", "aria-label": "Filter the decisions", onsubmit: (event) => event.preventDefault() },
    el("div", { class: "fields" }, field("State", action), field("Provider", provider), field("Find", text, "In any field."))), result];
}

function decisionColumns(planAnswer, isPast, actOf) {
  const { plan } = planAnswer;
  const [stateOf, declined] = [statesOf(planAnswer), declinedOf(planAnswer)];
  const subject = (decision) => subjectOf(plan.lane, decision);
  const pair = (decision) => ({ lane: plan.lane, subject: subject(decision), provider: decision.provider });
  // Each cell links to its records; titles name the target, since many cells read the same.
  const link = (name, title, address) => (content) => (decision) => {
    const text = content(decision);
    return el("a", { href: address(decision), class: name === "subject" ? null : "quiet", "data-key": `${name}-${subject(decision)}-${decision.provider}`, title }, text);
  };
  const story = (name) => link(name, "Everything that concerns it", (decision) => hash("delivery", pair(decision)));
  const records = (name) => link(name, "Every record of it", (decision) => hash("evidence", pair(decision)));
  const failures = (name) => link(name, "The deliveries that failed", (decision) => hash("evidence", { ...pair(decision), record_type: "delivery" }));
  const newest = (name) => link(name, "The delivery that failed last", (decision) => hash("evidence", { session_id: decision.latest_delivery_id }));
  const storyOfState = story("state")((decision) => [stateTag(stateOf(decision), plan.lane, declined(decision)), decision.action === "suppress" && [" ", el("small", {}, REASONS[decision.reason] ?? words(decision.reason).toLowerCase())]]);
  return [
    { name: "subject", title: "Subject", value: subject, cell: story("subject")(subject) },
    { name: "provider", title: "Provider", value: (decision) => providerName(decision.provider), cell: records("provider")((decision) => providerName(decision.provider)) },
    { name: "state", title: "State", value: (decision) => rank(stateOf(decision)), cell: (decision) => [storyOfState(decision), actOf(decision)] },
    { name: "when", title: "When", value: (decision) => decision.next_retry_at ?? "9", cell: newest("when")((decision) => retryTime(decision, stateOf(decision), plan, isPast)) },
    { name: "failures", title: "Failures", value: (decision) => decision.retry_count, cell: failures("failures")((decision) => [`${decision.retry_count} of ${decision.max_retry_attempts}`, decision.failed_status_codes.length > 0 && [" ", el("small", { class: decision.failed_status_codes.length === 1 && "whole" }, `status ${decision.failed_status_codes.join(" ")}`)]]), number: true },
    { name: "latest", title: "Last failed", value: (decision) => decision.latest_delivery_at, cell: newest("latest")((decision) => time(decision.latest_delivery_at)) },
  ];
}

function retryTime(decision, state, plan, isPast) {
  if (state === "suppress") return "never";
  if (state === "retry") return isPast ? "at this instant" : "now";
  if (state === "gate") return "once released";
  const left = Date.parse(decision.next_retry_at) - (isPast ? Date.parse(plan.as_of) : now());
  return [el("span", { "data-until": isPast ? null : decision.next_retry_at, class: "count" }, `in ${span(left)}`), " ", el("small", {}, time(decision.next_retry_at))];
}

/** What differs between two decisions about one delivery, in sentences; empty if nothing that matters. */
function changeWords(before, after, isOwnPolicy) {
  const parts = [];
  const hasOtherState = before.action !== after.action;
  if (hasOtherState) parts.push(isOwnPolicy ? `It is ${ACTIONS[before.action]} by the lane's own policy, and ${ACTIONS[after.action]} by this one.` : `It was ${ACTIONS[before.action]}, and is ${ACTIONS[after.action]} now.`);
  if (before.retry_count !== after.retry_count) parts.push(`Its failures went from ${before.retry_count} to ${after.retry_count}.`);
  // The retry of a decision that does not wait may go now: its instant has passed.
  if (after.action === "retry" && hasOtherState) parts.push(`Its retry delay ended at ${stamp(after.next_retry_at)}.`);
  if (after.action === "wait" && before.next_retry_at !== after.next_retry_at) parts.push(`Its next retry is due at ${stamp(after.next_retry_at)}${isOwnPolicy && before.action === "wait" ? ` instead of ${stamp(before.next_retry_at)}` : ""}.`);
  return parts.join(" ");
}

/** Compares the decisions of two plans by subject and provider. */
function changesTable(before, after, caption, isOwnPolicy) {
  const subject = (decision) => subjectOf(after.lane, decision);
  const key = (decision) => `${subject(decision)} ${decision.provider}`;
  const [decisionsBefore, decisionsAfter] = [before, after].map((plan) => new Map(plan.retry_decisions.map((decision) => [key(decision), decision])));
  const rows = [];
  for (const [name, decision] of decisionsAfter) {
    const decisionBefore = decisionsBefore.get(name);
    if (!decisionBefore) rows.push({ decision, change: "New", text: `It is ${ACTIONS[decision.action]} after ${plural(decision.retry_count, "failure")}.` });
    const text = decisionBefore && changeWords(decisionBefore, decision, isOwnPolicy);
    if (text) rows.push({ decision, change: "Changed", text });
  }
  for (const [name, decision] of decisionsBefore) if (!decisionsAfter.has(name)) rows.push({ decision, change: "Gone", text: "It is no longer failing." });
  const counts = [["Ready or held", "retryable_count"], ["Waiting", "waiting_count"], ["Exhausted", "suppressed_count"]].map(([title, name]) => [title, `${before[name]} → ${after[name]}`]);
  return [facts([...counts, ["Unchanged decisions", decisionsAfter.size - rows.filter((row) => row.change !== "Gone").length]]),
    table({ key: "changes", caption, rows, empty: "none", columns: [
      { name: "change", title: "Change", value: (row) => row.change },
      { name: "subject", title: "Subject", value: (row) => subject(row.decision) },
      { name: "provider", title: "Provider", value: (row) => providerName(row.decision.provider) },
      { name: "text", title: "What", value: (row) => row.text },
    ] })];
}

// Causes of provider incidents: what each means, what to do about it (docs/incidents.md), and its card.

import { decidedWords, openWords, splitByAnswer } from "./acknowledge.js";
import { el, hash, listed, now, plural, providerName, span, stamp, subjectOf, time, whole, words } from "./dom.js";
import { icon } from "./icons.js";
import { CAUSES, FIX_FIRST, GATES, NOTHING_TO_FIX, STEPS, WHERE_APPROVED } from "./lanes.js"; // written by the server

const wordsOf = (incident) => CAUSES[incident.cause] ?? CAUSES.mixed;

export function adviceOf(incident) {
  if (incident.ended_at) return `${words(NOTHING_TO_FIX)}.`;
  const cause = Object.hasOwn(CAUSES, incident.cause) ? incident.cause : "mixed";
  return `${stepOf(cause, incident.provider)}. ${CAUSES[cause].retries}`.trim();
}

/** What a person does about a cause at a provider, without a full stop. */
const stepOf = (cause, provider) => (Object.hasOwn(STEPS[cause], provider) ? STEPS[cause][provider] : CAUSES[cause].step.replaceAll("{name}", () => provider));

/** What fails at a provider of failures that belong to no incident, with the statuses: "Slack no longer knows the address (404)"; in the past tense where it has accepted others since. */
export const failureOf = ({ provider, cause, status_codes: codes, is_failing_now: isNow }) => `${isNow ? faultAt(provider, cause) : `${providerName(provider)} ${CAUSES[cause].was}`}${codes.length ? ` (${codes.join(", ")})` : ""}`;

/** True if every retry fails until a person has fixed the cause. */
export const isFixedFirst = (incident) => !incident.ended_at && FIX_FIRST.includes(incident.cause);

/** Why a cause is fixed before a retry. */
export const SPENT = "a retry that fails uses up an attempt.";

/** Advice to fix the cause before acknowledging, where every retry fails until then; else null. */
export const firstOf = (incident) => (isFixedFirst(incident) ? `Fix the cause first: ${SPENT}` : null);

/** The advice where those of the pairs that no one has answered, or some of them, fail until a person has fixed the cause; null if none does. */
export function warningOf(pairs, isFailingFirst) {
  const [unanswered] = splitByAnswer(pairs);
  const chosen = unanswered.length ? unanswered : pairs;
  const failing = chosen.filter(isFailingFirst);
  if (!failing.length) return null;
  if (failing.length === chosen.length) return `Fix the cause first: ${SPENT}`;
  return `${failing.length.toLocaleString("en")} of these (${listed([...new Set(failing.map((pair) => providerName(pair.provider)))].sort())}) ${failing.length === 1 ? "fails" : "fail"} until the cause is fixed: ${SPENT}`;
}

/** Whether an open incident makes a pair fail until its cause is fixed. */
export const failsByIncident = (incidents) => (pair) => incidents.some((incident) => isFixedFirst(incident) && pair.provider === incident.provider
  && incident.pairs.some((failing) => pair.lane === failing.lane && pair.subject === failing.subject));

/** Whether a pair of no incident fails until its cause is fixed: every failure at its provider has such a cause. */
export const failsByCause = (causes) => (pair) => {
  const ofProvider = causes.filter((cause) => cause.provider === pair.provider);
  return ofProvider.length > 0 && ofProvider.every(isFixedFirst);
};

/** One paragraph with advice for each incident of a lane; `note` returns what to append to it. */
export const causeLines = (lane, incidents, note = () => null) => incidentsOf(lane, incidents).map((incident) => el("p", {}, el("strong", {}, "Cause: "),
  el("a", { href: incidentAddress(incident, lane), "data-key": `why-${incident.incident_id}` }, titleOf(incident)), ` since ${stamp(incident.began_at)}. ${adviceOf(incident)} `, note(incident)));

/** A warning that an incident makes a plan's due retries fail; null if it does not. */
export function retryWarning({ plan: { lane, retry_decisions: decisions }, pending }, incident) {
  const failing = new Set(incident.pairs.filter((pair) => pair.lane === lane).map((pair) => pair.subject));
  const pendingKeys = new Set(pending.map((pair) => `${pair.subject} ${pair.provider}`));
  const due = decisions.filter((decision) => decision.action === "retry" && decision.provider === incident.provider && failing.has(subjectOf(lane, decision)));
  if (!due.length || !isFixedFirst(incident)) return null;
  const waiting = due.filter((decision) => pendingKeys.has(`${subjectOf(lane, decision)} ${decision.provider}`)).length;
  const parts = [[due.length - waiting, "ready"], [waiting, "held"]].filter(([count]) => count).map(([count, state]) => `${count.toLocaleString("en")} ${state}`);
  return el("strong", {}, `${parts.join(" and ")} ${due.length === 1 ? "retry" : "retries"} would fail. ${firstOf(incident)}`);
}

/** What acknowledging an incident's deliveries does, and what it does not. */
export function effectOf(incident, gaps) {
  const unanswered = splitByAnswer(gaps)[0].length;
  const text = `${gaps.length > unanswered ? `${plural(gaps.length, "delivery is", "deliveries are")} held: ${openWords(gaps, "to acknowledge")}` : plural(gaps.length, "delivery needs an acknowledgement", "deliveries need an acknowledgement")}. An acknowledgement lets the worker retry ${gaps.length === 1 ? "it" : "them"}; it does not fix ${providerName(incident.provider)}.`;
  return [text, firstOf(incident)].filter(Boolean).join(" ");
}

export function titleOf(incident) {
  const codes = incident.status_codes.length ? ` (${incident.status_codes.join(", ")})` : "";
  return `${providerName(incident.provider)} ${incident.ended_at ? wordsOf(incident).was : wordsOf(incident).what}${codes}`;
}

/** What is wrong, for the alert of a provider incident; null for other alerts. */
export const faultOf = ({ kind, cause, evidence: { provider } }) => (kind === "provider_incident" && provider ? faultAt(provider, cause) : null);

/** A provider's fault for a cause; null if it is not a cause of incidents. */
export const faultAt = (provider, cause) => (Object.hasOwn(CAUSES, cause) ? `${providerName(provider)} ${CAUSES[cause].what}` : null);

/** The address of an incident; `lane` preselects the lane of its retry plan. */
export const incidentAddress = (incident, lane) => hash("incident", { id: incident.incident_id, lane });

// Limit of the API for subjects in one request.
const MAX_SUBJECTS = 100;

/** A link to the records of the pairs' subjects; its text says if it omits some. */
export function recordsLink(pairs, filters, attributes) {
  const subjects = [...new Set(pairs.map((pair) => pair.subject))];
  return el("a", { href: hash("evidence", { ...filters, subject: subjects.slice(0, MAX_SUBJECTS) }), ...attributes }, "Open its evidence",
    subjects.length > MAX_SUBJECTS && ` (the first ${MAX_SUBJECTS} of ${subjects.length.toLocaleString("en")} subjects)`);
}

/** The incidents that make deliveries of a lane fail. */
export const incidentsOf = (lane, incidents) => incidents.filter((incident) => incident.pairs.some((pair) => pair.lane === lane));

/** A link to the records that an incident is based on: its provider's delivery records since it began. */
export const incidentRecords = (incident, key) => recordsLink(incident.pairs, { provider: incident.provider, since: incident.began_at }, { class: "button", "data-key": key });

/** Deliveries of an incident (null: of no incident) that need an acknowledgement before a live retry. */
export const gapsOf = (incidentId, lanes) => gaps("acknowledgement_gaps", incidentId, lanes);

/** Deliveries of an incident (null: of no incident) that need an approval. */
export const approvalGapsOf = (incidentId, lanes) => gaps("approval_gaps", incidentId, lanes);

const gaps = (name, incidentId, lanes) => lanes.flatMap((lane) => lane[name]
  .filter((gap) => gap.provider_incident_id === incidentId)
  .map((gap) => ({ lane: lane.lane, subject: subjectOf(lane.lane, gap), provider: gap.provider, state: gap.acknowledgement_state ?? gap.approval_state })));

/** The pairs of a lane that need an acknowledgement, each with its open item of the closure. */
export function pairsToAcknowledge({ lane, acknowledgement_gaps: gaps, outstanding_acknowledgements: alerts }) {
  const pair = (item) => (record) => ({ item, lane, subject: subjectOf(lane, record), provider: record.provider, state: record.acknowledgement_state });
  return [...gaps.map(pair("acknowledgement_gap")), ...alerts.map(pair(`${lane}_acknowledgement_outstanding`))];
}

/** What releases a held retry of a lane: "an acknowledgement" or "an approval". */
export const gateOf = (lane) => `an ${GATES[lane]}`;

/** How many deliveries need an approval, and where it is given; empty without any. */
export const approvalText = (unapproved) => (unapproved.length ? `${plural(unapproved.length, "delivery needs", "deliveries need")} an approval. ${WHERE_APPROVED}` : "");

/** A card of the overview: the problem, its size, its start and the next step. */
export function causeCard({ level, count, unit, title, href, since, details, next, note, buttons }) {
  return el("li", { class: `cause ${level}` },
    el("p", { class: "figure" }, el("strong", {}, count.toLocaleString("en")), " ", el("span", {}, unit)),
    el("div", {}, el("h3", {}, icon("incidents"), href ? el("a", { href, "data-key": `cause-${href}` }, title) : title),
      el("p", {}, since && [`Since `, time(since), ` (${span(now() - Date.parse(since))}). `], details),
      el("p", {}, el("strong", {}, "Next: "), next), note && el("p", { class: "soft" }, note)),
    el("p", { class: "acts" }, buttons));
}

const hasNeverRun = (lane) => lane.alert_level !== "unknown" && lane.latest_worker_age_minutes === null;

/** The lanes whose worker is down by its evidence, or has never run. */
export const downLanesOf = (lanes) => lanes.filter((lane) => (lane.outage_open_since && !lane.usual_interval_minutes) || hasNeverRun(lane));

/** Links to the health of each lane whose worker is down, with the time since its first missed run. */
export const downLinks = (downLanes) => downLanes.map((lane, at) => [at > 0 && ", ", el("a", { href: hash("health", { lane: lane.lane, run: 1 }), "data-key": `down-${lane.lane}` }, words(lane.lane)),
  " ", whole(hasNeverRun(lane) ? "(no worker run has been recorded yet)" : `(${span(now() - Date.parse(lane.outage_open_since))})`)]);

export const inLanes = (incident) => `In ${plural(incident.lanes.length, "lane")}: ${listed(incident.lanes.map(words))}.`;

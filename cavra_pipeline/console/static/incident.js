// One provider incident: its cause, what to do, its deliveries, and actions on all of them.

import { acknowledgeAllButton } from "./acknowledge.js";
import { ask } from "./api.js";
import { adviceOf, approvalGapsOf, approvalText, effectOf, firstOf, gapsOf, inLanes, incidentRecords, isFixedFirst, titleOf } from "./causes.js";
import { declinedOf, inOrder, stateTag, statesOf } from "./decisions.js";
import { el, facts, hash, emptyState, now, plural, say, span, stamp, statusLine, subjectOf, swap, time, words } from "./dom.js";
import { asOf, isPast } from "./moment.js";
import { endButton, silenceButton, silenceOf } from "./silence.js";
import { scrollRegion, table } from "./table.js";

export async function render(params, context, root) {
  const at = { as_of: asOf() };
  const [{ incidents }, { lanes }, answer] = await Promise.all([ask("/incidents", at), ask("/lanes", at), ask("/alerts")]);
  const incident = incidents.find((candidate) => candidate.incident_id === params.id);
  if (!incident) return missing(params.id);
  const gaps = gapsOf(incident.incident_id, lanes);
  const effect = gaps.length > 0 && effectOf(incident, gaps);
  const unapproved = approvalGapsOf(incident.incident_id, lanes);
  const plans = await Promise.all([...new Set(incident.pairs.map((pair) => pair.lane))].map((name) => ask(`/lanes/${name}/plan`, at)));
  const rows = incidentRows(incident, plans, new Set([...gaps, ...unapproved].map((gap) => `${gap.lane} ${gap.subject}`)));
  const reload = async (outcome, section) => {
    swap(root, section, await render(params, context, root));
    say(root, outcome);
  };
  const alert = answer.alerts.find((candidate) => candidate.kind === "provider_incident" && candidate.evidence.incident_id === incident.incident_id);
  const subject = alert?.subject ?? `${incident.provider}${incident.lane ? ` in ${incident.lane}` : ""} since ${incident.began_at}`;
  const silence = !isPast() && silenceOf(answer, "provider_incident", subject);
  const lane = incident.lanes.includes(params.lane) ? params.lane : mainLane(incident);
  const end = incident.ended_at ? Date.parse(incident.ended_at) : now();
  return [
    el("section", { class: `verdict ${incident.ended_at ? "healthy" : "critical"}`, "aria-label": "Verdict" },
      el("p", { class: "state" }, titleOf(incident)),
      el("p", {}, `${incident.ended_at ? `Ended at ${stamp(incident.ended_at)}, after` : `Open since ${stamp(incident.began_at)},`} ${span(end - Date.parse(incident.began_at))}. ${inLanes(incident)}`),
      el("p", {}, el("strong", {}, "Next: "), adviceOf(incident)),
      effect && el("p", {}, effect),
      unapproved.length > 0 && el("p", { class: "soft" }, approvalText(unapproved)),
      silence && el("p", { class: "soft" }, `Silenced until ${stamp(silence.ends_at)} by ${silence.author}: ${silence.comment}. `, endButton(silence, context, reload)),
      el("p", { class: "acts" },
        acknowledgeAllButton({ pairs: gaps, of: titleOf(incident), key: "all", context, done: reload, buttonClass: isFixedFirst(incident) ? null : "main", warning: firstOf(incident) }),
        !incident.ended_at && !silence && silenceButton({ kind: "provider_incident", subject, name: `Provider incident: ${titleOf(incident)}`, key: "silence", context, done: reload }),
        incidentRecords(incident, "records"),
        alert && el("a", { class: "button", href: hash("alert", { id: alert.alert_id }), "data-key": "alert" }, "Open its alert"),
        el("a", { class: "button", href: hash("plan", { lane, provider: incident.provider }), "data-key": "what-if" }, "Preview its retry plan"))),
    statusLine(),
    facts([["Failures", incident.failure_count], ["Deliveries that failed", incident.subject_count],
      ["Last success before", incident.last_success_at ? stamp(incident.last_success_at) : "none"], ["Statuses", incident.status_codes.join(", ") || "none"],
      ["Need an acknowledgement", gaps.length], ["Need an approval", unapproved.length]]),
    scrollRegion("pairs", "Deliveries that have not arrived yet", table({ key: "pairs", caption: "Deliveries that have not arrived yet", rows, empty: `none: ${plural(incident.subject_count, "delivery", "deliveries")} failed and all have arrived since.`, columns: [
      { name: "subject", title: "Subject", value: (pair) => pair.subject, cell: (pair) => [el("a", { href: hash("delivery", { lane: pair.lane, subject: pair.subject, provider: incident.provider }), "data-key": `pair-${pair.lane}-${pair.subject}` }, pair.subject), el("small", {}, words(pair.lane))] },
      { name: "state", title: "State", value: (pair) => pair.state, cell: (pair) => (pair.state ? stateTag(pair.state, pair.lane, pair.declined) : "–") },
      { name: "failures", title: "Failures", value: (pair) => pair.decision?.retry_count, cell: (pair) => (pair.decision ? `${pair.decision.retry_count} of ${pair.decision.max_retry_attempts}` : "–"), number: true },
      { name: "latest", title: "Last attempt", value: (pair) => pair.decision?.latest_delivery_at, cell: (pair) => time(pair.decision?.latest_delivery_at) },
    ] }))];
}

/** The deliveries of an incident with their decisions and states, in the order of a plan; `pendingKeys` are those that need a person. */
function incidentRows({ provider, pairs }, plans, pendingKeys) {
  const known = new Map(plans.flatMap((planAnswer) => planAnswer.plan.retry_decisions.filter((decision) => decision.provider === provider)
    .map((decision) => [`${planAnswer.plan.lane} ${subjectOf(planAnswer.plan.lane, decision)}`, { decision, state: statesOf(planAnswer)(decision), declined: declinedOf(planAnswer)(decision) }])));
  const rows = pairs.map((pair) => ({ ...pair, ...known.get(`${pair.lane} ${pair.subject}`) }));
  const ordered = inOrder(rows.filter((row) => row.decision), (row) => row.state, (row) => row.decision);
  return [...ordered, ...rows.filter((row) => !row.decision)].map((row) => (row.state === "wait" && pendingKeys.has(`${row.lane} ${row.subject}`) ? { ...row, state: "wait_then_gate" } : row));
}

/** Says that no incident of an id is known; at a past instant, when it began. */
async function missing(id) {
  const later = isPast() && (await ask("/incidents")).incidents.find((candidate) => candidate.incident_id === id);
  return emptyState(later ? `This incident began later, at ${stamp(later.began_at)}.` : "No incident of that id is known at this instant.", later && `${titleOf(later)}. `, el("a", { href: hash("incidents") }, "See all incidents"), ".");
}

/** The lane with most of an incident's deliveries. */
function mainLane({ lanes, pairs }) {
  const count = (lane) => pairs.filter((pair) => pair.lane === lane).length;
  return lanes.reduce((largest, lane) => (count(lane) > count(largest) ? lane : largest));
}

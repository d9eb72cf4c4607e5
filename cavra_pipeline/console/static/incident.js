// One provider incident: its cause, what to do, the deliveries behind it, and acting on all of them at once.

import { acknowledgeAllButton, resultsOf } from "./acknowledge.js";
import { ask } from "./api.js";
import { WHERE_APPROVED, adviceOf, approvalGapsOf, effectOf, firstOf, gapsOf, inLanes, incidentRecords, isFixedFirst, titleOf } from "./causes.js";
import { stateTag, statesOf } from "./decisions.js";
import { el, facts, hash, nothing, now, plural, span, stamp, subjectOf, swap, visible, words } from "./dom.js";
import { asOf, isPast } from "./moment.js";
import { silenceButton, silenceOf } from "./silence.js";
import { table } from "./table.js";

export async function render(params, context, root) {
  const at = { as_of: asOf() };
  const [{ incidents }, { lanes }, { alerts, silences }] = await Promise.all([ask("/incidents", at), ask("/lanes", at), ask("/alerts")]);
  const found = incidents.find((one) => one.incident_id === params.id);
  if (!found) return nothing("No incident of that id is known at this instant.", el("a", { href: hash("incidents") }, "See all incidents"), ".");
  const gaps = gapsOf(found.incident_id, lanes);
  const effect = gaps.length > 0 && effectOf(found, gaps);
  const unapproved = approvalGapsOf(found.incident_id, lanes);
  const states = new Map((await Promise.all([...new Set(found.pairs.map((one) => one.lane))].map((one) => ask(`/lanes/${one}/plan`, at)))).flatMap((made) => made.plan.retry_decisions
    .filter((one) => one.provider === found.provider).map((one) => [`${made.plan.lane} ${subjectOf(made.plan.lane, one)}`, statesOf(made)(one)])));
  const stateOf = (one) => states.get(`${one.lane} ${one.subject}`);
  const again = async (said) => {
    swap(root, await render(params, context, root));
    if (typeof said === "string") root.querySelector("#said").textContent = visible(said);
    else if (said) {
      root.prepend(resultsOf(said));
      root.querySelector("#result").focus();
    }
  };
  const alert = alerts.find((one) => one.kind === "provider_incident" && one.evidence.incident_id === found.incident_id);
  const subject = alert?.subject ?? `${found.provider}${found.lane ? ` in ${found.lane}` : ""} since ${found.began_at}`;
  const silence = !isPast() && silenceOf(silences, "provider_incident", subject);
  const lane = found.lanes.includes(params.lane) ? params.lane : mostIn(found);
  const end = found.ended_at ? Date.parse(found.ended_at) : now();
  return [
    el("section", { class: `verdict ${found.ended_at ? "healthy" : "critical"}`, "aria-label": "Verdict" },
      el("p", { class: "state" }, titleOf(found)),
      el("p", {}, `${found.ended_at ? `Ended at ${stamp(found.ended_at)}, after` : `Open since ${stamp(found.began_at)},`} ${span(end - Date.parse(found.began_at))}. ${inLanes(found)}`),
      el("p", {}, el("strong", {}, "Next: "), adviceOf(found)),
      effect && el("p", {}, effect),
      unapproved.length > 0 && el("p", { class: "soft" }, `${plural(unapproved.length, "delivery needs", "deliveries need")} an approval. ${WHERE_APPROVED}`),
      silence && el("p", { class: "soft" }, `Silenced until ${stamp(silence.ends_at)} by ${silence.author}.`),
      el("p", { class: "acts" },
        acknowledgeAllButton({ pairs: gaps, of: titleOf(found), key: "all", context, done: again, look: isFixedFirst(found) ? null : "main", warning: firstOf(found) }),
        !found.ended_at && !silence && silenceButton({ kind: "provider_incident", subject, name: `Provider incident: ${titleOf(found)}`, key: "silence", context, done: again }),
        incidentRecords(found, "records"),
        alert && el("a", { class: "button", href: hash("alert", { id: alert.alert_id }), "data-key": "alert" }, "Open its alert"),
        el("a", { class: "button", href: hash("plan", { lane, provider: found.provider }), "data-key": "what-if" }, "Preview its retry plan"))),
    el("p", { id: "said", role: "status" }),
    facts([["Failures", found.failure_count], ["Deliveries that failed", found.subject_count],
      ["Last success before", found.last_success_at ? stamp(found.last_success_at) : "none"], ["Statuses", found.status_codes.join(", ") || "none"],
      ["Need an acknowledgement", gaps.length], ["Need an approval", unapproved.length]]),
    table({ key: "pairs", caption: "Deliveries that have not arrived yet", rows: found.pairs, empty: `none: ${plural(found.subject_count, "delivery", "deliveries")} failed and all have arrived since.`, columns: [
      { name: "subject", title: "Subject", value: (one) => one.subject, cell: (one) => el("a", { href: hash("delivery", { ...one, provider: found.provider }), "data-key": `pair-${one.lane}-${one.subject}` }, one.subject) },
      { name: "lane", title: "Lane", value: (one) => words(one.lane) },
      { name: "state", title: "State", value: stateOf, cell: (one) => (stateOf(one) ? stateTag(stateOf(one), one.lane) : "–") },
    ] })];
}

/** The lane that most of an incident's deliveries are in. */
function mostIn({ lanes, pairs }) {
  const count = (lane) => pairs.filter((one) => one.lane === lane).length;
  return lanes.reduce((most, one) => (count(one) > count(most) ? one : most));
}

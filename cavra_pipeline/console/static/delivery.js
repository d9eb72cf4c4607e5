// One delivery to one provider: its attempts over time, its state and why, what would release it, its evidence, its forecast.

import { acknowledgeButton } from "./acknowledge.js";
import { ask } from "./api.js";
import { WHERE_APPROVED, adviceOf, faultAt, firstOf, isFixedFirst, titleOf } from "./causes.js";
import { el, facts, hash, nothing, now, plural, problem, providerName, showDocument, span, stamp, subjectOf, swap, time, words } from "./dom.js";
import { GATES, RELEASES } from "./lanes.js"; // written by the server
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
  acknowledgement: "no acknowledgement releases it", approval: "no approval releases it", no_connector: "this host has no such connector",
  not_retryable: "the policy gives it no further retry", schedule_disabled: "the schedule of its worker is disabled", not_due: "it is not due in that time",
};
/** What holds a due retry, the first that a person decides. */
const HELD = { acknowledgement: "Held: needs an acknowledgement", approval: "Held: needs an approval", subject: "Held: needs a newer record of its subject", connector: "Held: needs a connector" };
/** What is said first of what live runs would do, where a lane is not live here. */
export const liveNote = (lane, { status }) => status && !status.live_lanes.includes(lane) && "This is what live runs would do; the lane is not live on this host, so nothing is sent.";
/** Decisions of a plan, as the command line says them. */
const OUTCOMES = { retry: "due", wait: "waiting", suppress: "exhausted" };
const LEVELS = { suppress: "critical", wait: "warning", retry: "warning", settled: "healthy", not_failing: "healthy" };

export async function render(params, context, root) {
  const at = { as_of: asOf() };
  if (!params.subject || !params.provider) return nothing("No delivery is named.", "Open one from a plan, a gap or an incident.");
  const { explanations } = await ask("/explain", { ...at, subject: params.subject, provider: params.provider, lane: params.lane });
  const found = explanations[0];
  const isFailing = !["settled", "not_failing"].includes(found.state);
  const [{ incidents }, forecast] = await Promise.all([
    found.provider_incident_id ? ask("/incidents", { ...at, provider: found.provider, open: true }) : { incidents: [] },
    isFailing ? ask(`/lanes/${found.lane}/forecast`, at) : { pairs: [] },
  ]);
  const incident = incidents.find((one) => one.incident_id === found.provider_incident_id);
  const pair = forecast.pairs.find((one) => subjectOf(found.lane, one) === found.subject && one.provider === found.provider);
  const again = async () => swap(root, await render(params, context, root));
  const needs = found.released_by.map((one) => one.needs);
  return [
    el("p", { class: "crumb" }, el("a", { href: hash("health", { lane: found.lane, run: 1 }) }, words(found.lane)), ` › ${found.subject} › ${providerName(found.provider)}`),
    el("section", { class: `verdict ${LEVELS[found.state]}`, "aria-label": "Verdict" },
      el("p", { class: "state" }, headline(found)),
      why(found) && el("p", {}, el("strong", {}, "Why: "), why(found)),
      found.released_by.length > 0 && el("p", {}, el("strong", {}, "What would release it: "), found.released_by.map(release).join("; "), ".", needs.includes("approval") && ` ${WHERE_APPROVED}`),
      incident && el("p", {}, el("strong", {}, "Cause: "), titleOf(incident), ", which also stops ", el("a", { href: hash("incident", { id: incident.incident_id }), "data-key": "incident" }, plural(incident.pairs.length - 1, "other delivery", "other deliveries")), "."),
      incident && isFixedFirst(incident) && needs.includes("live_run") && el("p", {}, el("strong", {}, "First: "), adviceOf(incident)),
      incident && needs.includes("acknowledgement") && el("p", {}, `An acknowledgement lets the worker retry it; it does not fix ${providerName(incident.provider)}. ${firstOf(incident) ?? ""}`),
      el("p", { class: "acts" },
        needs.includes("acknowledgement") && acknowledgeButton({ ...found, key: "acknowledge", look: found.acknowledgement_state || (incident && isFixedFirst(incident)) ? null : "main", context, done: again }),
        el("a", { class: "button", href: hash("evidence", { lane: found.lane, subject: found.subject, provider: found.provider }), "data-key": "records" }, "Open its evidence"),
        el("a", { class: "button", href: hash("plan", { lane: found.lane, run: 1 }), "data-key": "what-if" }, "Try another policy"))),
    facts([["Failures", found.retry_count], ["Failing since", found.failing_since ? stamp(found.failing_since) : "–"], [found.state === "retry" ? "Due since" : "Next retry", found.next_retry_at ? stamp(found.next_retry_at) : "–"],
      ...[["Acknowledgement", found.acknowledgement_state], ["Approval", found.approval_state]].filter(([name, state]) => state || GATES[found.lane] === name.toLowerCase()).map(([name, state]) => [name, words(state) || "none"])]),
    picture(found), outlook(found, pair, forecast, liveNote(found.lane, context)), story(found)];
}

function headline(found) {
  if (found.state === "suppress") return `Exhausted after ${plural(found.retry_count, "failure")}`;
  if (found.state === "wait") return `Waiting for its retry at ${stamp(found.next_retry_at)}`;
  if (found.state === "retry") return found.released_by.map(({ needs }) => (needs === "acknowledgement" && found.acknowledgement_state ? `Held: ${words(found.acknowledgement_state).toLowerCase()} by a person` : HELD[needs])).find(Boolean) ?? "Ready to retry";
  return found.state === "settled" ? "Delivered" : "Not failing";
}

/** Why something is not retried: the state that a person gave, where one did. */
const notTried = (found, name) => (name === "acknowledgement" && found.acknowledgement_state ? `it was ${words(found.acknowledgement_state).toLowerCase()}` : NEVER[name]);

function why(found) {
  if (found.state === "settled") return `it arrived at ${stamp(found.settled_at)}.`;
  const held = found.state === "retry" && found.released_by.map((one) => notTried(found, one.needs)).find(Boolean);
  if (held && found.acknowledgement_state && found.released_by.some((one) => one.needs === "acknowledgement")) return "this state releases no retry; its delay has passed.";
  return held ? `${held}; its delay has passed.` : found.reason && `${REASONS[found.reason] ?? words(found.reason).toLowerCase()}.`;
}

function release({ needs, at, detail }) {
  return (RELEASES[needs] ?? words(needs).toLowerCase()).replace("{at}", () => stamp(at)).replace("{detail}", () => String(detail).replaceAll("_", " "));
}

const parse = (text) => Date.parse(text);

/** Attempts as numbered points, acknowledgements and approvals below them, plans and runs that passed, and the incident behind. */
function picture(found) {
  const own = found.lines.filter((one) => one.what !== "provider_incident");
  if (!own.length) return null;
  const until = now();
  const from = Math.min(...own.map((one) => parse(one.at)));
  const to = Math.max(until, found.next_retry_at ? parse(found.next_retry_at) : 0);
  const tries = attempts(own);
  const spans = (what, kind) => found.lines.filter((one) => one.what === what).map((one) => ({ from: parse(one.at), to: one.until ? parse(one.until) : until, kind, text: `${words(what)}, ${stamp(one.at)}: ${words(one.outcome)}${one.reason ? `, ${reasonOf(one, found)}` : ""}` }));
  const said = own.filter((one) => ["acknowledgement", "approval"].includes(one.what));
  const rows = [
    { title: "Attempts", spans: found.state === "wait" ? [{ from: parse(tries.at(-1).at), to: parse(found.next_retry_at), kind: "pause", text: `Delay until ${stamp(found.next_retry_at)}` }] : [],
      marks: tries.map((one, at) => ({ at: parse(one.at), kind: one.outcome === "failed" ? "bad" : one.outcome === "delivered" ? "good" : "unknown", label: `${at + 1}${one.status_code ? ` · ${one.status_code}` : ""}`,
        text: `Attempt ${at + 1}, ${stamp(one.at)}: ${words(one.outcome)}${one.status_code ? ` with ${one.status_code}` : ""}` })) },
    said.length > 0 && { title: "Acknowledgements", marks: said.map((one) => ({ at: parse(one.at), kind: "calm", label: words(one.outcome), text: `${words(one.outcome)} by ${one.by ?? "nobody"}, ${stamp(one.at)}` })) },
    { title: "Plans and runs", spans: [...spans("retry_plan", "track"), ...spans("worker_run", "unknown")] },
    spans("provider_incident", "late").length > 0 && { title: "Incident", spans: spans("provider_incident", "late") },
  ].filter(Boolean);
  const events = [...tries, ...said].map((one) => parse(one.at));
  const busy = Math.max(...events, found.next_retry_at ? parse(found.next_retry_at) : 0);
  const failed = tries.filter((one) => one.outcome === "failed").length;
  return timeline("Attempts over time", `${stamp(new Date(from).toISOString())} to ${stamp(new Date(to).toISOString())}: ${plural(tries.length, "attempt")}, ${failed} failed.`, rows, from, to, { now: until, knee: Math.min(to, busy + (busy - from) * 0.15 + 600000) });
}

/** A retry leaves two records, its execution and its delivery, which are one attempt: the execution names the delivery, or has its instant. */
function attempts(lines) {
  const sent = lines.filter((one) => one.what === "delivery");
  const isSent = (one) => sent.some((other) => (one.retried_as ? other.record_id === one.retried_as : other.at === one.at));
  return [...sent, ...lines.filter((one) => one.what === "execution" && !isSent(one))].sort((a, b) => parse(a.at) - parse(b.at));
}

function outlook(found, pair, forecast, note) {
  if (!pair) return null;
  const parts = pair.never_tried ? [`It is not tried in the next ${forecast.hours} hours: ${notTried(found, pair.never_tried) ?? words(pair.never_tried).toLowerCase()}.`]
    : [`It ${note ? "would be" : "is"} tried at ${stamp(pair.first_tried_at)}.`, pair.exhausted_at && `If every retry fails, it is exhausted at ${stamp(pair.exhausted_at)}.`, pair.delivered_at && `If retries are delivered, it arrives at ${stamp(pair.delivered_at)}.`];
  const alike = pair.alike_failure_count && `Of ${plural(pair.alike_failure_count, "failure")} like this in the 30 days before, ${pair.alike_delivered_count} were followed by a success.`;
  return [el("h2", {}, "If nothing changes"), el("p", {}, note && !pair.never_tried && `${note} `, parts.filter(Boolean).join(" ")), alike && el("p", { class: "soft" }, alike)];
}

/** Why something of a delivery came to be: what the provider does wrong, a rule of the policy, or what the record says. */
const reasonOf = ({ reason }, found) => faultAt(found.provider, reason) ?? { ...NEVER, ...REASONS }[reason] ?? words(reason).toLowerCase();

function story(found) {
  const open = (one) => one.record_id && el("button", { type: "button", "aria-label": `Open ${one.record_id}`, "data-key": `open-${one.record_id}`, onclick: async ({ currentTarget: button }) => {
    try {
      const { records } = await ask("/evidence", { session_id: one.record_id });
      showDocument(one.record_id, records[0]?.record ?? { record: "not in the evidence" });
    } catch (error) {
      button.after(problem(error));
    }
  } }, "Open");
  return [el("h2", {}, "Everything that concerns it"), table({ key: "story", caption: "In order of time", isTitled: false, rows: found.lines, sorts: false, columns: [
    { name: "at", title: "At", value: (one) => one.at, cell: (one) => [time(one.at), one.until && one.until !== one.at && el("small", {}, `for ${span(parse(one.until) - parse(one.at))}`)] },
    { name: "what", title: "What", value: (one) => words(one.what) + (one.record_count > 1 ? ` (${plural(one.record_count, "record")})` : "") },
    { name: "outcome", title: "Outcome", value: (one) => [words(one.reason === "retry_delay_not_elapsed" ? "waiting" : OUTCOMES[one.outcome] ?? one.outcome), one.status_code, one.by && `by ${one.by}`, one.external_ref].filter(Boolean).join(", ") },
    { name: "reason", title: "Why", value: (one) => words(reasonOf(one, found)) },
    { name: "record", title: "Record", cell: (one) => open(one) || (one.incident_id ? el("a", { href: hash("incident", { id: one.incident_id }) }, "Incident") : "–") },
  ] })];
}

// One alert: what is wrong and why, who acknowledged it, whether it is silenced, what happened, and what it is based on.

import { actForm, markDone, mayAct } from "./acknowledge.js";
import { dueSchedules, stepOf } from "./alerts.js";
import { ask } from "./api.js";
import { LANES, SCHEDULES, el, facts, hash, emptyState, listed, plural, providerName, say, stamp, statusLine, subjectOf, subjectWords, swap, tag, time, words } from "./dom.js";
import { faultOf, titleOf } from "./causes.js";
import { isSecret } from "./intake.js";
import { UNITS } from "./lanes.js"; // written by the server
import { liveNote } from "./delivery.js";
import { endButton, silenceButton, silenceOf } from "./silence.js";
import { table } from "./table.js";

export const isLive = true;

/** The title of an alert. */
export const nameOf = (alert) => `${words(alert.kind)} of ${subjectWords(alert)}`;

/** The state of an alert in words; `firing` reads as open. */
export const stateWords = ({ state }) => (state === "firing" ? "Open" : words(state));

/** Link text and address of the view that shows an alert's cause, by its evidence, else by its kind; null without one. */
export function placeOf({ kind, subject, evidence }) {
  const lane = evidence.lane ?? LANES.find((name) => subject.includes(name));
  if (evidence.incident_id) return ["Open the incident", hash("incident", { id: evidence.incident_id })];
  if (kind === "missed_run") return ["Open its scheduled runs", hash("slots", { schedule: subject })];
  if (kind.startsWith("source_")) return ["Open the sources", hash("sources")];
  if (kind === "quarantine") return ["Open quarantine and findings", hash("intake")];
  if (kind === "secret_finding") return ["Open the findings of its day", hash("intake", { from: subject, to: subject })];
  if (kind === "recovery_past_limit") return ["Open the recoveries", hash("recoveries")];
  if (kind === "exhaustion_ahead" && lane) return ["Open the forecast", hash("forecast", { lane })];
  if (kind === "failed_execution" && lane) return ["Open its evidence", hash("evidence", { lane, record_type: "execution", provider: providerIn(subject, lane) })];
  return lane ? ["Open its lane", hash("health", { lane, run: 1 })] : null;
}

/** The provider in the subject of a failed_execution alert, "PROVIDER in LANE". */
const providerIn = (subject, lane) => (subject.endsWith(` in ${lane}`) ? subject.slice(0, -` in ${lane}`.length) : undefined);

const lanesOf = (schedule) => Object.keys(SCHEDULES).filter((lane) => SCHEDULES[lane] === schedule);

export async function render(params, context, root) {
  if (!params.id) return emptyState("No alert is named.", el("a", { href: hash("alerts") }, "See all alerts"), ".");
  const [{ alert, events }, answer] = await Promise.all([ask(`/alerts/${encodeURIComponent(params.id)}`), ask("/alerts")]);
  const { incidents } = alert.evidence.incident_id ? await ask("/incidents") : { incidents: [] };
  const incident = incidents.find((candidate) => candidate.incident_id === alert.evidence.incident_id);
  const gaps = alert.kind === "acknowledgement_gap" && alert.state !== "resolved" ? await gapsOf(alert.evidence.lane) : [];
  const secrets = alert.kind === "secret_finding" ? (await ask("/findings", { from: alert.subject, to: alert.subject })).findings.filter(isSecret) : [];
  const reload = async (message) => {
    swap(root, await render(params, context, root));
    say(root, message);
  };
  const silence = silenceOf(answer, alert.kind, alert.subject);
  const place = placeOf(alert);
  const lanes = lanesOf(alert.subject);
  const basis = basisOf(alert);
  const isOpen = alert.state !== "resolved";
  return [
    el("p", { class: "crumb" }, el("a", { href: hash("alerts") }, "Alerts"), ` › ${words(alert.kind)} › ${subjectWords(alert)}`),
    el("section", { class: `verdict ${isOpen ? alert.severity : "healthy"}`, "aria-label": "Verdict" },
      el("p", { class: "state" }, incident ? titleOf(incident) : [`${words(alert.kind)}: `, breakable(subjectWords(alert))]),
      el("p", {}, tag(isOpen ? alert.severity : "healthy", stateWords(alert)), ` ${alert.resolved_at ? `at ${stamp(alert.resolved_at)}, open since ${stamp(alert.since)}` : `since ${stamp(alert.since)}`}${alert.cause && !incident ? `; cause: ${faultOf(alert) ?? words(alert.cause).toLowerCase()}` : ""}.`),
      alert.kind === "exhaustion_ahead" && el("p", {}, liveNote(alert.evidence.lane ?? alert.subject, context)),
      alert.action && !alert.resolved_at && el("p", {}, el("strong", {}, "Next: "), stepOf(alert, context, alert.kind === "worker_down" ? await dueSchedules(context) : [])),
      alert.muted_by && !silence && el("p", { class: "soft" }, `No notification is sent: it is ${mutedWords(alert.muted_by)}.`),
      silence && el("p", { class: "soft" }, `Silenced until ${stamp(silence.ends_at)} by ${silence.author}: ${silence.comment}. `, endButton(silence, context, reload)),
      el("p", { class: "acts" },
        isOpen && alertActs(alert, context, reload, "main"), isOpen && !silence && silenceButton({ ...alert, name: nameOf(alert), key: "silence", context, done: reload }),
        place && el("a", { class: "button", href: place[1], "data-key": "place" }, place[0]),
        lanes.map((lane) => el("a", { href: hash("evidence", { lane, record_type: "worker_run" }), "data-key": `records-${lane}` }, `Open the worker runs of ${words(lane)}`)),
        el("a", { href: hash("api", { find: "alerts" }), "data-key": "api" }, "See it in the API"))),
    statusLine(),
    gaps.length > 0 && [el("h2", {}, plural(gaps.length, "delivery needs an acknowledgement", "deliveries need an acknowledgement")),
      el("ul", { class: "plain" }, gaps.map((gap) => el("li", {}, el("a", { href: hash("delivery", { lane: gap.lane, subject: gap.subject, provider: gap.provider }), "data-key": `gap-${gap.subject}-${gap.provider}` }, gap.subject), `, ${providerName(gap.provider)}${gap.state ? ` (${words(gap.state).toLowerCase()})` : ""}`)))],
    secrets.length > 0 && [el("h2", {}, plural(secrets.length, "leaked secret")),
      el("ul", { class: "plain" }, secrets.map((finding) => el("li", {}, el("strong", {}, finding.rule), ` in ${finding.path}: ${finding.source_file}, line ${finding.line_number.toLocaleString("en")}; ${words(finding.action).toLowerCase()}`)))],
    facts([["Acknowledged by", alert.acknowledged_by ?? "no one"], ["Episode", alert.episode], UNITS[alert.kind] && [`${UNITS[alert.kind]} (highest count)`, alert.occurrence_count], ["Notifications held back", alert.swallowed_count],
      ["Last notification", alert.last_notified_at ? stamp(alert.last_notified_at) : "none"], ["Notifying", answer.connectors?.join(", ") || "no one"]].filter(Boolean)),
    el("div", { class: basis.length > 0 && "split" },
      basis.length > 0 && el("section", { "aria-labelledby": "based" }, el("h2", { id: "based" }, "What it is based on"),
        el("dl", { class: "record" }, basis.map(([name, value]) => el("div", {}, el("dt", {}, name), el("dd", {}, value))))),
      el("section", { "aria-labelledby": "events" }, el("h2", { id: "events" }, "Activity"), eventsTable(events)))];
}

/** Labels of the counts in an alert's evidence. Other members are names, ids and instants. */
const BASIS = { subject_count: "Deliveries that failed, since arrived or not", pair_count: "Deliveries that have not arrived", fault_count: "Faults", gap_minutes: "Minutes without a tick", drop_day: "Day of the landing files" };

/** An alert's evidence as rows, and how often each known cause was seen. */
function basisOf({ kind, evidence, causes }) {
  const valueText = (name, value) => (name === "provider" ? providerName(value) : name.endsWith("_at") ? stamp(value) : ["lane", "alert_kind"].includes(name) ? words(value) : String(value));
  // The incident has its own button; the number of a leak tells a person nothing.
  return [...Object.entries(evidence).filter(([name]) => !["incident_id", "newest_leak"].includes(name)).map(([name, value]) => [BASIS[name] ?? words(name).replace(/ id$/, ""), valueText(name, value)]),
    ...Object.entries(causes).filter(([cause]) => cause !== "unknown_cause").map(([cause, count]) => [`${UNITS[kind] ? `${UNITS[kind]} by cause` : "Cause"}: ${faultOf({ kind, cause, evidence }) ?? words(cause).toLowerCase()}`, UNITS[kind] ? count.toLocaleString("en") : plural(count, "time")])];
}

/** The current acknowledgement gaps of a lane. */
async function gapsOf(name) {
  const lane = (await ask("/lanes")).lanes.find((candidate) => candidate.lane === name);
  return (lane?.acknowledgement_gaps ?? []).map((gap) => ({ lane: name, subject: subjectOf(name, gap), provider: gap.provider, state: gap.acknowledgement_state }));
}

/** The name of a notification, as the glossary defines it. */
export const noticeWords = (name) => ({ firing: "First", more: "Update" })[name] ?? words(name);

/** What mutes an alert, by the kind of the alert that explains it, or by the cause that names it. */
const MUTED_BY = { provider_incident: "a provider incident", worker_down: "a worker that is down", daemon_down: "the Dagster daemon, which is down", code_location_down: "a code location that does not load",
  code_location_not_loadable: "a code location that does not load", instigator_off: "a schedule or sensor that is off", schedule_stopped: "a schedule that is off", flapping: "its flapping: it opens and resolves too often" };

/** Why no notification of an alert is sent; a silence has words of its own. */
export const mutedWords = (reason) => `muted by ${MUTED_BY[reason] ?? words(reason).toLowerCase()}`;

/** The detail of an event in words; empty for an unknown cause. A silence's reason is a person's own words. */
export function eventDetail({ event, detail }) {
  if (!detail || detail === "unknown_cause" || event === "silenced") return detail === "unknown_cause" ? "" : detail;
  // An alert whose every cause is another alert is muted by it.
  const causes = ["opened", "cause"].includes(event) ? detail.split(", ") : [];
  if (causes.length && causes.every((cause) => Object.hasOwn(MUTED_BY, cause))) return words(listed(causes.map(mutedWords)));
  return words(detail).replace(/^(Firing|More)(?= by )/, (name) => noticeWords(name.toLowerCase()));
}

/** A subject that may wrap after an underscore only. */
const breakable = (subject) => subject.split(/(?<=_)/).flatMap((part) => [part, el("wbr")]);

export function eventsTable(events) {
  return table({ key: "events", caption: "Activity", isTitled: false, rows: events, sorts: false, empty: "nothing yet.", columns: [
    { name: "at", title: "At", value: (event) => event.happened_at, cell: (event) => time(event.happened_at) },
    { name: "event", title: "Event", value: (event) => words(event.event) },
    { name: "who", title: "By", value: (event) => event.actor },
    { name: "detail", title: "Detail", value: (event) => eventDetail(event) },
  ] });
}

/** The buttons of an alert: Acknowledge, and Resolve where only a person can resolve it. */
export function alertActs(alert, context, reload, buttonClass = null) {
  if (!mayAct(context)) return null;
  const title = nameOf(alert);
  const act = async (action, values, past) => {
    await ask(`/alerts/${alert.alert_id}/${action}`, {}, values);
    return `${past} by ${values.by ?? context.status?.actor}: ${title}.`;
  };
  return [
    // Acknowledging an alert that only a person resolves would resolve it before the secret is rotated.
    !alert.acknowledged_by && !alert.ends_by_hand && el("button", { type: "button", class: buttonClass, "data-key": `take-${alert.alert_id}`, "data-done": alert.alert_id, "aria-label": `Acknowledge alert: ${title}`,
      onclick: () => actForm("Acknowledge an alert", `${title}: this records who handles it, and stops reminders until it resolves. It fixes nothing by itself.`, [], context,
        (values) => act("acknowledge", values, "Acknowledged"), reload, "Acknowledge alert") }, "Acknowledge alert"),
    alert.ends_by_hand && el("button", { type: "button", class: buttonClass, "data-key": `end-${alert.alert_id}`, "aria-label": `Resolve ${title}`,
      onclick: () => actForm("Resolve an alert", `${title}: resolve it only once the leaked secret is rotated.`, [], context,
        (values) => act("resolve", values, "Resolved"), reload, "Resolve", "Resolved") }, "Resolve"),
  ];
}

/** Button that acknowledges many alerts, those left ticked; null where fewer than two are left to acknowledge. */
export function acknowledgeAlertsButton(alerts, context, done) {
  const left = alerts.filter((alert) => !alert.acknowledged_by && !alert.ends_by_hand && !alert.muted_by);
  if (left.length < 2 || !mayAct(context)) return null;
  const list = el("ul", { class: "plain" }, left.map((alert, at) => el("li", {}, el("label", {}, el("input", { type: "checkbox", checked: true, "data-at": at }), nameOf(alert)))));
  const send = async (values) => {
    const chosen = [...list.querySelectorAll("input:checked")].map((input) => left[input.dataset.at]);
    if (!chosen.length) throw new Error("Tick the alerts that you acknowledge.");
    const outcomes = await Promise.allSettled(chosen.map((alert) => ask(`/alerts/${alert.alert_id}/acknowledge`, {}, values)));
    const failed = chosen.filter((_, at) => outcomes[at].status === "rejected");
    if (failed.length === chosen.length) throw outcomes[0].reason;
    const rest = failed.length ? ` Not acknowledged: ${listed(failed.map(nameOf))}.` : "";
    const did = `acknowledged by ${values.by ?? context.status?.actor}`;
    markDone(chosen.filter((alert) => !failed.includes(alert)).map((alert) => alert.alert_id), did);
    return `${plural(chosen.length - failed.length, "alert")} ${did}.${rest}`;
  };
  const text = `Acknowledge ${plural(left.length, "alert")}`;
  return el("button", { type: "button", "data-key": "take-all", onclick: () => actForm("Acknowledge alerts",
    [el("p", {}, "This records who handles them, and stops reminders until they resolve. It fixes nothing by itself."), list], [], context, send, done, "Acknowledge alerts") }, text);
}

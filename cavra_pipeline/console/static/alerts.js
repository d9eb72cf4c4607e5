// Open alerts and who acknowledged them, silences, undelivered notifications, and activity.

import { askIfThere } from "./api.js";
import { alertActs, causeWords, nameOf, noticeWords, placeOf, stateWords } from "./alert.js";
import { faultOf } from "./causes.js";
import { el, hash, plural, subjectWords, swap, tag, time, visible, words } from "./dom.js";
import { silenceButton, silenceOf, silenceWords, silencesTable } from "./silence.js";
import { table } from "./table.js";

export const isLive = true;

export async function render(params, context, root) {
  const [found, history] = await Promise.all([askIfThere("/alerts"), askIfThere("/alerts/events", { limit: 100 })]);
  if (!found) return el("p", { class: "soft" }, "This service has no alerts yet.");
  const again = async (said) => {
    swap(root, await render(params, context, root));
    if (typeof said === "string") root.querySelector("#said").textContent = visible(said);
  };
  const isIdle = isDaemonDown(context);
  const names = Object.fromEntries(found.alerts.map((one) => [one.alert_id, one]));
  return [
    el("p", { class: "state" }, headline(found, isIdle)),
    el("p", { class: "soft" }, found.connectors.length ? `Notifying: ${found.connectors.join(", ")}. ` : ["Notifying: no one. To notify a person, name connectors in ", el("code", {}, "CAVRA_ALERT_CONNECTORS"), ". "],
      !found.silences.length && "No silence. ", !found.unsent_notices.length && "No undelivered notification."),
    idleNotice(context),
    el("p", { id: "said", role: "status" }),
    found.alerts.length > 0 && openAlerts(found, context, again),
    !found.alerts.length && el("p", {}, "The ", el("a", { href: hash("overview") }, "overview"), " evaluates the lanes by itself, with or without alerts."),
    found.silences.length > 0 && silencesTable(found.silences, context, again),
    found.unsent_notices.length > 0 && table({ key: "unsent", caption: "Undelivered notifications", rows: found.unsent_notices, columns: [
      { name: "provider", title: "Connector", value: (one) => one.provider },
      { name: "group", title: "About", value: (one) => one.group_name },
      { name: "notice", title: "Notification", value: (one) => noticeWords(one.notice) },
      { name: "state", title: "State", value: (one) => words(one.state) },
      { name: "tries", title: "Tries", value: (one) => one.attempt_count, number: true },
      { name: "why", title: "Why", value: (one) => [words(one.reason), one.status_code].filter(Boolean).join(", ") },
      { name: "next", title: "Next try", value: (one) => one.next_attempt_at, cell: (one) => time(one.next_attempt_at) },
    ] }),
    table({ key: "activity", caption: "Activity", rows: history?.events || [], sorts: false, empty: "nothing yet.", columns: [
      { name: "at", title: "At", value: (one) => one.happened_at, cell: (one) => time(one.happened_at) },
      { name: "alert", title: "Alert", value: (one) => one.subject, cell: (one) => link(one, `event-${one.alert_id}-${one.happened_at}`) },
      { name: "event", title: "Event", value: (one) => words(one.event) },
      { name: "detail", title: "Detail", value: (one) => causeWords(one.detail ?? (one.actor ? `by ${one.actor}` : names[one.alert_id]?.cause)) },
    ] }),
  ];
}

function headline({ alerts, alert_count: count }, isIdle) {
  if (!count) return isIdle ? "Alerts are not being evaluated" : "No alert is open";
  const free = alerts.filter((one) => !one.acknowledged_by).length;
  return `${plural(count, "alert is", "alerts are")} open, ${free === count ? "not acknowledged" : free ? `${free} not acknowledged` : "acknowledged"}`;
}

const isDaemonDown = (context) => ["silent", "never_seen"].includes(context.status?.dagster.daemon);

/** What does not happen while no Dagster daemon runs, and how to start it; null while one does. */
export const idleNotice = (context) => isDaemonDown(context) && el("p", { class: "notice" }, el("strong", {}, "No Dagster daemon runs: "),
  "no worker is started, no alert is evaluated and no one is notified. Start it with ", el("code", {}, "cavra-pipeline dev"), ".");

const link = (one, key, text) => el("a", { href: hash("alert", { id: one.alert_id }), "data-key": key }, text ?? `${words(one.kind)}: ${subjectWords(one)}`);

const next = (one, place) => [one.action, place && [" ", el("a", { href: place[1], "data-key": `place-${one.alert_id}`, "aria-label": `${place[0]} of ${subjectWords(one)}` }, place[0])]];

function stateOf(one, silences) {
  const silence = silenceOf(silences, one.kind, one.subject);
  const muted = silence ? `. ${silenceWords(silence)}` : one.muted_by ? `, muted: ${words(one.muted_by).toLowerCase()}` : "";
  return stateWords(one) + (one.acknowledged_by ? ` by ${one.acknowledged_by}` : "") + muted;
}

/** The open alert that another one is muted by: of the kind that mutes it, about the same provider if it is about one. */
function causeOf(one, alerts) {
  const about = ({ subject }) => subject.split(" ")[0];
  const causes = alerts.filter((other) => other.kind === one.muted_by && other !== one);
  return causes.find((other) => about(other) === about(one)) ?? (causes.length === 1 ? causes[0] : undefined);
}

const followers = (rows, cause) => rows.length > 0 && el("details", { "data-key": `muted-${cause.alert_id}` }, el("summary", {}, plural(rows.length, "alert is muted by it", "alerts are muted by it")),
  el("ul", { class: "plain" }, rows.map((one) => el("li", {}, link(one, `see-${one.alert_id}`)))));

function openAlerts(found, context, again) {
  const causes = new Map(found.alerts.map((one) => [one, causeOf(one, found.alerts)]));
  const shown = found.alerts.filter((one) => !causes.get(one) || causes.get(causes.get(one)));
  const rest = found.alerts.length - shown.length;
  return table({ key: "alerts", caption: "Open alerts", note: rest > 0 && `${plural(rest, "more is", "more are")} muted by a cause in the table`, rows: shown, columns: alertColumns(found, causes, context, again) });
}

const alertColumns = (found, causes, context, again) => [
  { name: "alert", title: "Alert", value: (one) => one.subject, cell: (one) => [link(one, `see-${one.alert_id}`, words(one.kind)), el("br"), faultOf(one) ?? subjectWords(one), followers(found.alerts.filter((other) => causes.get(other) === one), one)] },
  { name: "severity", title: "Severity", value: (one) => one.severity, cell: (one) => tag(one.severity) },
  { name: "state", title: "State", value: (one) => one.state, cell: (one) => stateOf(one, found.silences) },
  { name: "since", title: "Since", value: (one) => one.since ?? one.opened_at, cell: (one) => time(one.since ?? one.opened_at, true) },
  { name: "next", title: "Next", value: (one) => one.action, cell: (one) => next(one, placeOf(one)) },
  { name: "act", title: "Action", cell: (one) => el("span", { class: "acts" }, alertActs(one, context, again),
    !silenceOf(found.silences, one.kind, one.subject) && silenceButton({ ...one, name: nameOf(one), key: `mute-${one.alert_id}`, context, done: again })) },
];

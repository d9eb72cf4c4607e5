// Open alerts and who acknowledged them, silences, undelivered notifications, and activity.

import { askIfThere } from "./api.js";
import { acknowledgeAlertsButton, alertActs, eventDetail, mutedWords, nameOf, noticeWords, placeOf, stateWords } from "./alert.js";
import { faultOf } from "./causes.js";
import { LANES, SCHEDULES, clock, command, el, hash, listed, nearStamp, plural, say, statusLine, subjectWords, swap, tag, time, words } from "./dom.js";
import { DOWN_STEPS, FORECAST_NOTE } from "./lanes.js"; // written by the server
import { isPast } from "./moment.js";
import { silenceButton, silenceOf, silenceWords, silencesTable } from "./silence.js";
import { table } from "./table.js";

export const isLive = true;

export async function render(params, context, root) {
  const [answer, history, schedules] = await Promise.all([askIfThere("/alerts"), askIfThere("/alerts/events", { limit: 100 }), dueSchedules(context)]);
  if (!answer) return el("p", { class: "soft" }, "This service has no alerts yet.");
  const reload = async (message) => {
    swap(root, await render(params, context, root));
    say(root, message);
  };
  const isIdle = isDaemonDown(context);
  const acknowledgeAll = acknowledgeAlertsButton(answer.alerts, context, reload);
  const alertsById = Object.fromEntries(answer.alerts.map((alert) => [alert.alert_id, alert]));
  return [
    el("p", { class: "state" }, headline(answer, isIdle)),
    el("p", { class: "soft" }, answer.connectors.length ? `Notifying: ${answer.connectors.join(", ")}. ` : ["Notifying: no one. To notify a person, name connectors in ", el("code", {}, "CAVRA_ALERT_CONNECTORS"), ". "],
      !answer.silences.length && "No silence. ", !answer.unsent_notices.length && "No undelivered notification."),
    idleNotice(context),
    statusLine(),
    acknowledgeAll && el("p", { class: "acts" }, acknowledgeAll),
    answer.alerts.length > 0 && openAlerts(answer, schedules, context, reload),
    !answer.alerts.length && el("p", {}, "The ", el("a", { href: hash("overview") }, "overview"), " evaluates the lanes by itself, with or without alerts."),
    answer.silences.length > 0 && silencesTable(answer.silences, context, reload),
    answer.unsent_notices.length > 0 && table({ key: "unsent", caption: "Undelivered notifications", rows: answer.unsent_notices, columns: [
      { name: "provider", title: "Connector", value: (notice) => notice.provider },
      { name: "group", title: "About", value: (notice) => notice.group_name },
      { name: "notice", title: "Notification", value: (notice) => noticeWords(notice.notice) },
      { name: "state", title: "State", value: (notice) => words(notice.state) },
      { name: "tries", title: "Tries", value: (notice) => notice.attempt_count, number: true },
      { name: "why", title: "Why", value: (notice) => [words(notice.reason), notice.status_code].filter(Boolean).join(", ") },
      { name: "next", title: "Next try", value: (notice) => notice.next_attempt_at, cell: (notice) => time(notice.next_attempt_at) },
    ] }),
    table({ key: "activity", caption: "Activity", rows: history?.events || [], sorts: false, empty: "nothing yet.", columns: [
      { name: "at", title: "At", value: (event) => event.happened_at, cell: (event) => time(event.happened_at) },
      { name: "alert", title: "Alert", value: (event) => event.subject, cell: (event) => alertLink(event, `event-${event.alert_id}-${event.happened_at}`) },
      { name: "event", title: "Event", value: (event) => words(event.event) },
      { name: "detail", title: "Detail", value: (event) => eventDetail({ ...event, detail: event.detail ?? (event.actor ? `by ${event.actor}` : alertsById[event.alert_id]?.cause) }) },
    ] }),
  ];
}

function headline({ alerts, alert_count: count }, isIdle) {
  if (!count) return isIdle ? "Alerts are not being evaluated" : "No alert is open";
  const unacknowledgedCount = alerts.filter((alert) => !alert.acknowledged_by).length;
  return `${plural(count, "alert is", "alerts are")} open, ${unacknowledgedCount === count ? (count === 1 ? "not acknowledged" : "none acknowledged") : unacknowledgedCount ? `${unacknowledgedCount} not acknowledged` : "acknowledged"}`;
}

/** When each schedule is due next, for `downStep`; empty where no daemon runs, and of a past instant. */
export async function dueSchedules(context) {
  if (isPast() || !isDaemonUp(context)) return [];
  return (await askIfThere("/slots", { since: new Date(clock()).toISOString() }))?.schedules ?? [];
}

/** What a person does about the workers of these lanes that are down; a past instant says nothing of the daemon at that time. */
export function downStep(context, lanes, schedules) {
  if (isPast() || !context.status) return DOWN_STEPS.unknown;
  if (isDaemonDown(context)) return DOWN_STEPS.daemon_off;
  const due = schedules.filter((row) => row.next_due_at && lanes.some((lane) => SCHEDULES[lane] === row.schedule)).map((row) => row.next_due_at);
  const step = DOWN_STEPS[due.length === 1 ? "due" : due.length ? "several_due" : "never_due"];
  return step.replace("{times}", listed([...new Set(due)].sort().map(nearStamp))).replace("{outages}", lanes.length === 1 ? "outage" : "outages");
}

/** What a person does about an alert: of a worker that is down, as on the overview. */
export const stepOf = (alert, context, schedules) => (alert.kind === "worker_down" ? downStep(context, LANES.filter((lane) => lane === alert.subject), schedules) : alert.action);

/** How a forecast's instants differ from this host's schedule; empty where that is not known. */
export function forecastNote(lane, schedules) {
  const due = schedules.find((row) => row.schedule === SCHEDULES[lane])?.next_due_at;
  return due ? FORECAST_NOTE.replace("{time}", nearStamp(due)) : "";
}

export const isDaemonUp = (context) => ["alive", "starting"].includes(context.status?.dagster.daemon);

export const isDaemonDown = (context) => ["silent", "never_seen"].includes(context.status?.dagster.daemon);

/** A notice that no Dagster daemon runs, and how to start it; false while one runs. */
export const idleNotice = (context) => isDaemonDown(context) && el("p", { class: "notice" }, el("strong", {}, "No Dagster daemon runs: "),
  "no worker is started, no alert is evaluated and no one is notified. Start it with ", command("cavra-pipeline dev"), ".");

const alertLink = (alert, key, text) => el("a", { href: hash("alert", { id: alert.alert_id }), "data-key": key }, text ?? `${words(alert.kind)}: ${subjectWords(alert)}`);

const nextStep = (alert, step, place) => [step, place && [" ", el("a", { href: place[1], "data-key": `place-${alert.alert_id}`, "aria-label": `${place[0]} of ${subjectWords(alert)}` }, place[0])]];

function stateOf(alert, answer) {
  const silence = silenceOf(answer, alert.kind, alert.subject);
  const muted = silence ? `. ${silenceWords(silence)}` : alert.muted_by ? `, ${mutedWords(alert.muted_by)}` : "";
  return stateWords(alert) + (alert.acknowledged_by ? ` by ${alert.acknowledged_by}` : "") + muted;
}

/** The open alert that mutes this one: of the muting kind, preferring the same provider. */
function causeOf(alert, alerts) {
  const providerOf = ({ subject }) => subject.split(" ")[0];
  const causes = alerts.filter((other) => other.kind === alert.muted_by && other !== alert);
  return causes.find((other) => providerOf(other) === providerOf(alert)) ?? (causes.length === 1 ? causes[0] : undefined);
}

const mutedList = (rows, cause) => rows.length > 0 && el("details", { "data-key": `muted-${cause.alert_id}` }, el("summary", {}, plural(rows.length, "alert is muted by it", "alerts are muted by it")),
  el("ul", { class: "plain" }, rows.map((alert) => el("li", {}, alertLink(alert, `see-${alert.alert_id}`)))));

function openAlerts(answer, schedules, context, reload) {
  const causes = new Map(answer.alerts.map((alert) => [alert, causeOf(alert, answer.alerts)]));
  const visibleAlerts = answer.alerts.filter((alert) => !causes.get(alert) || causes.get(causes.get(alert)));
  const silenced = answer.alerts.filter((alert) => silenceOf(answer, alert.kind, alert.subject)).length;
  const muted = answer.alerts.filter((alert) => alert.muted_by && !silenceOf(answer, alert.kind, alert.subject)).length;
  const note = [muted && `${muted.toLocaleString("en")} muted by ${muted === 1 ? "its" : "their"} cause`, silenced && `${silenced.toLocaleString("en")} silenced`].filter(Boolean).join(", ");
  return table({ key: "alerts", caption: "Open alerts", note, rows: visibleAlerts, columns: alertColumns(answer, causes, schedules, context, reload) });
}

const alertColumns = (answer, causes, schedules, context, reload) => [
  { name: "alert", title: "Alert", value: (alert) => alert.subject, cell: (alert) => [alertLink(alert, `see-${alert.alert_id}`, words(alert.kind)), el("br"), faultOf(alert) ?? subjectWords(alert), mutedList(answer.alerts.filter((other) => causes.get(other) === alert), alert)] },
  { name: "severity", title: "Severity", value: (alert) => alert.severity, cell: (alert) => tag(alert.severity) },
  { name: "state", title: "State", value: (alert) => alert.state, cell: (alert) => stateOf(alert, answer) },
  { name: "since", title: "Since", value: (alert) => alert.since ?? alert.opened_at, cell: (alert) => time(alert.since ?? alert.opened_at, true) },
  { name: "next", title: "Next", value: (alert) => alert.action, cell: (alert) => nextStep(alert, stepOf(alert, context, schedules), placeOf(alert)) },
  { name: "act", title: "Action", cell: (alert) => el("span", { class: "acts" }, alertActs(alert, context, reload),
    !silenceOf(answer, alert.kind, alert.subject) && silenceButton({ ...alert, name: nameOf(alert), key: `mute-${alert.alert_id}`, context, done: reload })) },
];

// Recoveries: open, past their limit or closed, with owners; opens and closes them.

import { actForm } from "./acknowledge.js";
import { ask } from "./api.js";
import { CLOSURE_STATES, choice, el, facts, field, hash, plural, providerName, say, span, stamp, statusLine, swap, tag, time, whole, words } from "./dom.js";
import { RECOVERY_STEP } from "./lanes.js"; // written by the server
import { asOf } from "./moment.js";
import { tabs } from "./nav.js";
import { scrollRegion, table } from "./table.js";
import { withMessages } from "./validity.js";

const LEVELS = { breached: "critical", open: "warning", closed: "healthy" };
const TEXTS = { breached: "Past its limit", open: "Open", closed: "Closed" };
const minutes = (count) => span(count * 60000);
const number = (name, max, value) => el("input", { name, type: "number", min: 1, max: max, step: 1, inputmode: "numeric", value });

export async function render(params, context, root) {
  const parameters = { as_of: asOf(), slo_minutes: params.slo_minutes };
  const [report, { incidents }, { lanes }] = await Promise.all([ask("/recoveries", parameters), ask("/incidents", { as_of: asOf(), open: true }), ask("/lanes", { as_of: asOf() })]);
  const failingOf = (provider) => incidents.filter((incident) => incident.provider === provider).reduce((sum, incident) => sum + incident.pairs.length, 0)
    + lanes.reduce((sum, lane) => sum + (lane.failing_without_incident[provider] ?? 0), 0);
  const mayAct = !context.status || context.status.scopes.includes("acknowledge");
  const form = el("form", { "aria-label": "Recoveries", onsubmit: (event) => {
    event.preventDefault();
    location.hash = hash("recoveries", Object.fromEntries(new FormData(form)));
  } }, el("div", { class: "fields" },
    field("Limit (minutes)", number("slo_minutes", 525600, params.slo_minutes || ""), "1 to 525,600. Leave empty for 240.")),
  el("p", { class: "acts" }, el("button", { "data-key": "show" }, "Show recoveries")));
  const reload = async (text) => {
    swap(root, await render(params, context, root));
    root.querySelector("#recoveries").focus();
    say(root, text);
  };
  const act = mayAct && !parameters.as_of && ((recovery) => closeButton(recovery, failingOf(recovery.provider), context, reload));
  return [tabs("recoveries", "recoveries"), verdict(report), statusLine(),
    mayAct && !parameters.as_of && el("p", { class: "acts" }, playbookButton(context, reload)),
    !mayAct && el("p", { class: "soft" }, "Your token may not open or close a recovery: that needs the scope acknowledge."),
    parameters.as_of && el("p", { class: "soft" }, "Recoveries are opened and closed as of now: choose Now above to do so."),
    openTable(report.recoveries.filter((recovery) => recovery.slo_status !== "closed"), report, act),
    closedTable(report.recoveries.filter((recovery) => recovery.slo_status === "closed"), act),
    groupsTable(report.recovery_groups), countTables(report), el("details", { "data-key": "limit" }, el("summary", {}, "Another limit"), withMessages(form))];
}

function verdict(report) {
  const { recovery_open_count: open, recovery_slo_breached_count: breachedCount, recovery_slo_minutes: limit } = report;
  const unownedCount = report.recoveries.filter((recovery) => recovery.slo_status !== "closed" && !recovery.owner).length;
  const isKnown = report.state !== "no_playbook";
  const headline = !isKnown ? "No recovery is known"
    : breachedCount ? `${plural(breachedCount, "recovery is past its", "recoveries are past their")} limit of ${minutes(limit)}`
      : open ? `${plural(open, "recovery is open, within its", "recoveries are open, within their")} limit of ${minutes(limit)}` : "No recovery is open";
  return [el("section", { class: `verdict ${report.alert_level}`, "aria-label": "Verdict" },
    el("p", { class: "state" }, headline),
    !isKnown && el("p", {}, "No recovery playbook has arrived, so this is no all-clear. Ingest CAVRA's evidence, or open a playbook here: it opens a recovery for each connector that fails often."),
    isKnown && open > 0 && el("p", {}, el("strong", {}, "Next: "), unownedCount > 0 && `Name an owner for ${plural(unownedCount, "recovery", "recoveries")}. `, RECOVERY_STEP),
    el("p", { class: "soft" }, `As of ${stamp(report.as_of)}, based on ${plural(report.playbook_count, "playbook")}.`)),
  isKnown && facts([["Open", open], ["Past the limit", breachedCount], ["Closed", report.recovery_closed_count],
    ["Closed within its limit", report.recoveries.filter((recovery) => recovery.slo_status === "closed" && Date.parse(recovery.closed_at) - Date.parse(recovery.opened_at) <= limit * 60000).length]])];
}

const providerColumn = { name: "provider", title: "Provider", value: (recovery) => providerName(recovery.provider) };
const recoveryColumn = { ...providerColumn, cell: (recovery) => [providerName(recovery.provider), el("small", {}, whole(recovery.playbook_id))] };
const stateColumn = { name: "state", title: "State", value: (recovery) => recovery.slo_status, cell: (recovery) => [tag(LEVELS[recovery.slo_status], TEXTS[recovery.slo_status]), el("small", {}, `closure: ${closureOf(recovery)}`)] };
const closureOf = (recovery) => (recovery.closure_state === "open" ? "none" : words(recovery.closure_state).toLowerCase());
const closureColumn = { name: "closure", title: "Closure", value: closureOf };
const ownerColumn = { name: "owner", title: "Owner, ticket", value: (recovery) => recovery.owner, cell: (recovery) => [recovery.owner ?? el("strong", {}, "no one"), recovery.external_ref && el("small", {}, recovery.external_ref)] };
const openedColumn = { name: "opened", title: "Opened", value: (recovery) => recovery.opened_at, cell: (recovery) => time(recovery.opened_at) };
const failuresColumn = { name: "failures", title: "Failures", value: (recovery) => recovery.failure_count, number: true };
const actionColumn = (act) => ({ name: "act", title: "Action", cell: (recovery) => act(recovery) });

function openTable(rows, report, act) {
  const minutesLeft = (recovery) => report.recovery_slo_minutes - recovery.age_minutes;
  return scrollRegion("recoveries", "Open recoveries", table({ key: "open", caption: "Open recoveries", rows, empty: "none. Open a playbook when a connector fails often.", columns: [
    recoveryColumn, stateColumn,
    { name: "age", title: "Open for", value: (recovery) => recovery.age_minutes, cell: (recovery) => [whole(minutes(recovery.age_minutes)), el("small", {}, "since ", time(recovery.opened_at)), minutesLeft(recovery) > 0 && el("small", {}, `${minutes(minutesLeft(recovery))} left`)] },
    failuresColumn, ownerColumn,
    { name: "notified", title: "Notified via", value: (recovery) => recovery.notified_through.map(providerName).join(", ") || "no one" },
    act && actionColumn(act),
  ].filter(Boolean) }));
}

function closedTable(rows, act) {
  return scrollRegion("closed", "Closed recoveries", table({ key: "closed", caption: "Closed recoveries", rows, empty: "none so far.", columns: [
    recoveryColumn, openedColumn, { name: "closed", title: "Closed", value: (recovery) => recovery.closed_at, cell: (recovery) => time(recovery.closed_at) },
    { name: "minutes", title: "Open for", value: (recovery) => recovery.closure_minutes, cell: (recovery) => whole(minutes(recovery.closure_minutes)) },
    failuresColumn, closureColumn, ownerColumn, act && actionColumn(act),
  ].filter(Boolean) }));
}

/** Overlapping recoveries of one provider: probably one outage. */
function groupsTable(recoveryGroups) {
  const rows = recoveryGroups.filter((group) => group.recovery_count > 1);
  return rows.length > 0 && [el("h2", {}, "One outage, several recoveries"),
    table({ key: "groups", isTitled: false, caption: "Recoveries of one provider that overlap", rows, columns: [
      recoveryColumn, openedColumn, { name: "closed", title: "Closed", value: (group) => group.closed_at, cell: (group) => (group.closed_at ? time(group.closed_at) : "still open") },
      { name: "count", title: "Recoveries", value: (group) => group.recovery_count, number: true },
      { name: "open", title: "Still open", value: (group) => group.open_count, number: true },
    ] })];
}

/** Closures by state, provider and day. As in CAVRA, each record counts. */
function countTables(report) {
  const number = (name, title) => ({ name, title, value: (row) => row[name], number: true });
  if (!report.provider_summary.length) return null;
  return el("details", { "data-key": "counts" }, el("summary", {}, "Counts by provider and by day"),
    table({ key: "providers", caption: "By provider", rows: report.provider_summary, columns: [
      providerColumn, number("recovery_playbook_count", "Recoveries"), number("open_recovery_count", "Open"),
      number("slo_breached_count", "Past the limit"), number("recovery_closure_count", "Closures"),
    ] }),
    table({ key: "days", caption: "Closures by day", rows: report.closure_trends, empty: "none so far.", columns: [
      { name: "date", title: "Day (UTC)", value: (trend) => trend.date }, number("closure_count", "Closures"),
      ...CLOSURE_STATES.map((state) => number(`${state}_count`, words(state))),
    ] }));
}

/** `failing` is how many deliveries to the provider have not arrived yet. */
function closeButton(recovery, failing, context, reload) {
  const isClosed = recovery.slo_status === "closed";
  const verb = isClosed ? "Reopen" : "Close";
  const open = () => {
    const ref = el("input", { name: "external_ref", maxlength: 256, autocomplete: "off" });
    actForm(`${verb} a recovery`, [el("p", {}, `${providerName(recovery.provider)}, playbook ${recovery.playbook_id}, open since ${stamp(recovery.opened_at)}.`),
      !isClosed && failing > 0 && el("p", {}, el("strong", {}, `${plural(failing, "delivery", "deliveries")} to ${providerName(recovery.provider)} ${failing === 1 ? "has" : "have"} not arrived yet.`), " Closing the recovery sends nothing.")].filter(Boolean),
      [field("State", choice("state", CLOSURE_STATES.map((name) => [name]), isClosed ? "reopened" : CLOSURE_STATES[0]), "Resolved and mitigated close it. Any other state leaves it open, or opens it again."),
        field("Ticket", ref, "Optional, such as OPS-123.")], context,
      async ({ external_ref: ticket, ...rest }) => {
        const { closure } = await ask("/recoveries/closures", {}, { playbook_id: recovery.playbook_id, provider: recovery.provider, ...rest, external_ref: ticket.trim() || undefined });
        return closure ? `Recorded: the recovery of ${providerName(recovery.provider)} is ${words(closure.closure_state).toLowerCase()}.` : "Nothing was recorded: the newest closure says the same.";
      }, reload, isClosed ? "Record reopening" : "Record closure", "Recorded");
  };
  return el("button", { type: "button", "data-key": `close-${recovery.playbook_id}-${recovery.provider}`, "aria-label": `${verb} the recovery of ${providerName(recovery.provider)} in ${recovery.playbook_id}`, onclick: open }, verb);
}

function playbookButton(context, reload) {
  const open = () => actForm("Open a playbook", "Opens a recovery for each connector whose deliveries fail often and that has none open. Nothing is sent.",
    [field("Min failures", number("min_failure_count", 10000, 2), "A connector with at least this many failures gets a recovery."),
      field("Look back (hours)", number("lookback_hours", 8760, 24), "1 to 8,760.")], context,
    async ({ min_failure_count: minFailures, lookback_hours: hours, ...rest }) => {
      const { playbook } = await ask("/playbook", {}, { min_failure_count: Number(minFailures), lookback_hours: Number(hours), ...rest });
      return playbook ? `Opened ${plural(playbook.provider_count, "recovery", "recoveries")} with playbook ${playbook.playbook_id}.` : "No recovery was opened: no connector fails that often without an open recovery.";
    }, reload, "Open a playbook", "Done");
  return el("button", { type: "button", "data-key": "playbook", onclick: open }, "Open a playbook");
}

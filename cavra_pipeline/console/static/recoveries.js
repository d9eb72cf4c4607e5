// Recoveries: which are open, past their limit or closed, who has them, and opening and closing one.

import { actForm } from "./acknowledge.js";
import { ask } from "./api.js";
import { CLOSURE_STATES, announce, choice, el, facts, field, hash, plural, providerName, span, stamp, swap, tag, time, visible, whole, words } from "./dom.js";
import { RECOVERY_STEP } from "./lanes.js"; // written by the server
import { asOf } from "./moment.js";
import { tabs } from "./nav.js";
import { across, table } from "./table.js";

const LEVELS = { breached: "critical", open: "warning", closed: "healthy" };
const TEXTS = { breached: "Past its limit", open: "Open", closed: "Closed" };
const minutes = (count) => span(count * 60000);
const number = (name, most, value) => el("input", { name, type: "number", min: 1, max: most, step: 1, inputmode: "numeric", value });

export async function render(params, context, root) {
  const asked = { as_of: asOf(), slo_minutes: params.slo_minutes };
  const report = await ask("/recoveries", asked);
  const mayAct = !context.status || context.status.scopes.includes("acknowledge");
  const form = el("form", { "aria-label": "Recoveries", onsubmit: (event) => {
    event.preventDefault();
    location.hash = hash("recoveries", Object.fromEntries(new FormData(form)));
  } }, el("div", { class: "fields" },
    field("Limit (minutes)", number("slo_minutes", 525600, params.slo_minutes || ""), "1 to 525,600. Leave empty for 240.")),
  el("p", { class: "acts" }, el("button", { "data-key": "show" }, "Show recoveries")));
  const again = async (text) => {
    swap(root, await render(params, context, root));
    root.querySelector("#said").textContent = visible(text);
    announce(text);
    root.querySelector("#recoveries").focus();
  };
  const act = mayAct && !asked.as_of && ((one) => closeButton(one, context, again));
  return [tabs("recoveries", "recoveries"), verdict(report), el("p", { id: "said" }),
    mayAct && !asked.as_of && el("p", { class: "acts" }, playbookButton(context, again)),
    !mayAct && el("p", { class: "soft" }, "Your token may not open or close a recovery: that needs the scope acknowledge."),
    asked.as_of && el("p", { class: "soft" }, "Recoveries are opened and closed as of now: choose Now above to do so."),
    openTable(report.recoveries.filter((one) => one.slo_status !== "closed"), report, act),
    closedTable(report.recoveries.filter((one) => one.slo_status === "closed"), act),
    groups(report.recovery_groups), counts(report), el("details", { "data-key": "limit" }, el("summary", {}, "Another limit"), form)];
}

function verdict(report) {
  const { recovery_open_count: open, recovery_slo_breached_count: late, recovery_slo_minutes: limit } = report;
  const unowned = report.recoveries.filter((one) => one.slo_status !== "closed" && !one.owner).length;
  const isKnown = report.state !== "no_playbook";
  const headline = !isKnown ? "No recovery is known"
    : late ? `${plural(late, "recovery is past its", "recoveries are past their")} limit of ${minutes(limit)}`
      : open ? `${plural(open, "recovery is open, within its", "recoveries are open, within their")} limit of ${minutes(limit)}` : "No recovery is open";
  return [el("section", { class: `verdict ${report.alert_level}`, "aria-label": "Verdict" },
    el("p", { class: "state" }, headline),
    !isKnown && el("p", {}, "No recovery playbook has arrived, so this is no all-clear. Ingest CAVRA's evidence, or open a playbook here: it opens a recovery for each connector that fails often."),
    isKnown && open > 0 && el("p", {}, el("strong", {}, "Next: "), unowned > 0 && `Name an owner for ${plural(unowned, "recovery", "recoveries")}. `, RECOVERY_STEP),
    el("p", { class: "soft" }, `As of ${stamp(report.as_of)}, based on ${plural(report.playbook_count, "playbook")}.`)),
  isKnown && facts([["Open", open], ["Past the limit", late], ["Closed", report.recovery_closed_count],
    ["Closed within its limit", report.recoveries.filter((one) => one.slo_status === "closed" && Date.parse(one.closed_at) - Date.parse(one.opened_at) <= limit * 60000).length]])];
}

const provider = { name: "provider", title: "Provider", value: (one) => providerName(one.provider) };
const recovery = { ...provider, cell: (one) => [providerName(one.provider), el("small", {}, whole(one.playbook_id))] };
const state = { name: "state", title: "State", value: (one) => one.slo_status, cell: (one) => [tag(LEVELS[one.slo_status], TEXTS[one.slo_status]), el("small", {}, `closure: ${closureOf(one)}`)] };
const closureOf = (one) => (one.closure_state === "open" ? "none" : words(one.closure_state).toLowerCase());
const closure = { name: "closure", title: "Closure", value: closureOf };
const owner = { name: "owner", title: "Owner, ticket", value: (one) => one.owner, cell: (one) => [one.owner ?? el("strong", {}, "no one"), one.external_ref && el("small", {}, one.external_ref)] };
const opened = { name: "opened", title: "Opened", value: (one) => one.opened_at, cell: (one) => time(one.opened_at) };
const failures = { name: "failures", title: "Failures", value: (one) => one.failure_count, number: true };
const action = (act) => ({ name: "act", title: "Action", cell: (one) => act(one) });

function openTable(rows, report, act) {
  const left = (one) => report.recovery_slo_minutes - one.age_minutes;
  return across("recoveries", "Open recoveries", table({ key: "open", caption: "Open recoveries", rows, empty: "none. Open a playbook when a connector fails often.", columns: [
    recovery, state,
    { name: "age", title: "Open for", value: (one) => one.age_minutes, cell: (one) => [whole(minutes(one.age_minutes)), el("small", {}, "since ", time(one.opened_at)), left(one) > 0 && el("small", {}, `${minutes(left(one))} left`)] },
    failures, owner,
    { name: "notified", title: "Notified via", value: (one) => one.notified_through.map(providerName).join(", ") || "no one" },
    act && action(act),
  ].filter(Boolean) }));
}

function closedTable(rows, act) {
  return across("closed", "Closed recoveries", table({ key: "closed", caption: "Closed recoveries", rows, empty: "none so far.", columns: [
    recovery, opened, { name: "closed", title: "Closed", value: (one) => one.closed_at, cell: (one) => time(one.closed_at) },
    { name: "minutes", title: "Open for", value: (one) => one.closure_minutes, cell: (one) => whole(minutes(one.closure_minutes)) },
    failures, closure, owner, act && action(act),
  ].filter(Boolean) }));
}

/** Recoveries of one provider that overlap: probably one outage. */
function groups(all) {
  const rows = all.filter((one) => one.recovery_count > 1);
  return rows.length > 0 && [el("h2", {}, "One outage, several recoveries"),
    table({ key: "groups", isTitled: false, caption: "Recoveries of one provider that overlap", rows, columns: [
      recovery, opened, { name: "closed", title: "Closed", value: (one) => one.closed_at, cell: (one) => (one.closed_at ? time(one.closed_at) : "still open") },
      { name: "count", title: "Recoveries", value: (one) => one.recovery_count, number: true },
      { name: "open", title: "Still open", value: (one) => one.open_count, number: true },
    ] })];
}

/** Closures by state, provider and day, as CAVRA counts it: by record. */
function counts(report) {
  const number = (name, title) => ({ name, title, value: (one) => one[name], number: true });
  if (!report.provider_summary.length) return null;
  return el("details", { "data-key": "counts" }, el("summary", {}, "Counts by provider and by day"),
    table({ key: "providers", caption: "By provider", rows: report.provider_summary, columns: [
      provider, number("recovery_playbook_count", "Recoveries"), number("open_recovery_count", "Open"),
      number("slo_breached_count", "Past the limit"), number("recovery_closure_count", "Closures"),
    ] }),
    table({ key: "days", caption: "Closures by day", rows: report.closure_trends, empty: "none so far.", columns: [
      { name: "date", title: "Day (UTC)", value: (one) => one.date }, number("closure_count", "Closures"),
      ...CLOSURE_STATES.map((one) => number(`${one}_count`, words(one))),
    ] }));
}

function closeButton(one, context, again) {
  const isClosed = one.slo_status === "closed";
  const verb = isClosed ? "Reopen" : "Close";
  const open = () => {
    const ref = el("input", { name: "external_ref", maxlength: 256, autocomplete: "off" });
    actForm(`${verb} a recovery`, `${providerName(one.provider)}, playbook ${one.playbook_id}, open since ${stamp(one.opened_at)}.`,
      [field("State", choice("state", CLOSURE_STATES.map((name) => [name]), isClosed ? "reopened" : CLOSURE_STATES[0]), "Resolved and mitigated close it. Any other state leaves it open, or opens it again."),
        field("Ticket", ref, "Optional, such as OPS-123.")], context,
      async ({ external_ref: given, ...rest }) => {
        const { closure } = await ask("/recoveries/closures", {}, { playbook_id: one.playbook_id, provider: one.provider, ...rest, external_ref: given.trim() || undefined });
        return closure ? `Recorded: ${providerName(one.provider)} is ${closure.closure_state}.` : "Nothing was recorded: the newest closure says the same.";
      }, again, isClosed ? "Record reopening" : "Record closure", "Recorded");
  };
  return el("button", { type: "button", "data-key": `close-${one.playbook_id}-${one.provider}`, "aria-label": `${verb} the recovery of ${providerName(one.provider)} in ${one.playbook_id}`, onclick: open }, verb);
}

function playbookButton(context, again) {
  const open = () => actForm("Open a playbook", "Opens a recovery for each connector whose deliveries fail often and that has none open. Nothing is sent.",
    [field("Min failures", number("min_failure_count", 10000, 2), "A connector with as many failures gets a recovery."),
      field("Look back (hours)", number("lookback_hours", 8760, 24), "1 to 8,760.")], context,
    async ({ min_failure_count: least, lookback_hours: hours, ...rest }) => {
      const { playbook: made } = await ask("/playbook", {}, { min_failure_count: Number(least), lookback_hours: Number(hours), ...rest });
      return made ? `Opened ${plural(made.provider_count, "recovery", "recoveries")} with playbook ${made.playbook_id}.` : "No recovery was opened: no connector fails that often without an open recovery.";
    }, again, "Open a playbook", "Done");
  return el("button", { type: "button", "data-key": "playbook", onclick: open }, "Open a playbook");
}

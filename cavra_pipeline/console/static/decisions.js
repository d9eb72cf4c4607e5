// The decisions of a retry plan: filtered and sorted, exported, and against a saved plan.

import { ask, askText } from "./api.js";
import { causeLines, gateOf, incidentsOf, retryWarning } from "./causes.js";
import { REASONS } from "./delivery.js";
import { announce, choice, el, facts, field, hash, now, plural, problem, providerName, save, span, stamp, subjectOf, swap, tag, time, words } from "./dom.js";
import { proofFoot } from "./proof.js";
import { across, table } from "./table.js";

/** What a saved plan says; which of the due retries are held, it does not. */
const ACTIONS = { retry: "ready or held", wait: "waiting", suppress: "exhausted" };
/** A plan says what is due; of that, a person may first have to release some (`gate`). */
const STATES = { retry: "Ready", gate: "Held", wait: "Waiting", suppress: "Exhausted" };
const stateName = (state, lane) => (state === "gate" ? `Held: needs ${gateOf(lane)}` : STATES[state]);
export const stateTag = (state, lane) => tag(state === "gate" ? "warning" : state, stateName(state, lane));

/** The state of each decision of a plan. */
export function statesOf({ plan, pending }) {
  const held = new Set(pending.map((one) => `${one.subject} ${one.provider}`));
  return (one) => (one.action === "retry" && held.has(`${subjectOf(plan.lane, one)} ${one.provider}`) ? "gate" : one.action);
}

/** How many deliveries are ready to be retried, held, waiting and exhausted; each with its colour. */
function parts({ plan, pending }) {
  const gated = pending.length;
  return [[plan.retryable_count - gated, "ready to retry", "calm"], [gated, `held for ${gateOf(plan.lane)}`, "warning"], [plan.waiting_count, "waiting", "wait"], [plan.suppressed_count, "exhausted", "critical"]]
    .filter(([count]) => count).map(([count, text, level]) => [`${count.toLocaleString("en")} ${text}`, level]);
}

export const inShort = (made) => parts(made).map(([text]) => text).join(", ") || (made.plan.evidence_record_count ? "Nothing is failing" : "No evidence of this lane has arrived");

/** The plan, its decisions (first those of the provider `shown`, if given) and exports, and what it changes against a saved one; `saveButton` makes one of a class. */
export async function report(plan, made, policy, isPast, context, [saveButton, note], shown) {
  const [{ reports }, { incidents }] = await Promise.all([ask("/history", { lane: plan.lane, limit: 500 }), ask("/incidents", { as_of: plan.as_of, open: true })]);
  const isDoomed = incidentsOf(plan.lane, incidents).some((one) => retryWarning(made, one));
  const kept = reports.filter((one) => /retry_plan$/.test(one.report) && one.report_id !== plan.retry_plan_id)
    .sort((a, b) => b.as_of.localeCompare(a.as_of)).slice(0, 60);
  const compared = el("div", { "aria-live": "polite" });
  const against = field("Against", choice("against", kept.map((one) => [one.report_id, `${stamp(one.as_of)} (${words(one.alert_level)}${one.report === "asked_retry_plan" ? ", requested" : ""})`])));
  const compare = async () => {
    const id = against.querySelector("select").value;
    try {
      const { report: before } = await ask(`/history/${encodeURIComponent(id)}`);
      swap(compared, changes(before.document, plan));
    } catch (error) {
      swap(compared, problem(error));
    }
  };
  against.querySelector("select").addEventListener("change", compare);
  if (kept.length) await compare();
  const trouble = el("div", {});
  // The service writes the cells, so that the rule for what a spreadsheet takes for a formula stands once.
  const exportCsv = async () => {
    try {
      const text = await askText(`/lanes/${plan.lane}/plan.csv`, { ...policy, as_of: plan.as_of });
      save(`${plan.retry_plan_id}.csv`, "text/csv;charset=utf-8", text);
      swap(trouble);
    } catch (error) {
      swap(trouble, problem(error));
    }
  };
  return [
    el("section", { class: `verdict ${plan.evidence_record_count > 0 && plan.alert_level}`, "aria-label": "The plan" },
      el("p", { class: "state" }, parts(made).length ? parts(made).map(([text, level], at) => [at > 0 && ", ", el("span", { class: level }, text)]) : inShort(made)),
      causeLines(plan.lane, incidents, (one) => retryWarning(made, one)),
      el("p", { class: "soft" }, `${words(plan.lane)} as of ${stamp(plan.as_of)}: at most ${plan.max_retry_attempts} attempts, after ${span(plan.base_retry_delay_minutes * 60000)}, times ${plan.backoff_multiplier} for each further failure, at most ${span(plan.max_retry_delay_minutes * 60000)}.`),
      el("p", { class: "soft" }, made.metadata ? `Plan ${plan.retry_plan_id}, requested by ${made.actor}; its evidence record is ${made.metadata.session_id}.` : `Preview only, not saved. ${note}`),
      saveButton && el("p", { class: "acts" }, saveButton(isDoomed ? null : "main"))),
    decisions(plan, statesOf(made), isPast, shown),
    el("p", { class: "acts" },
      el("button", { type: "button", onclick: exportCsv }, "Export as CSV"),
      el("button", { type: "button", onclick: () => save(`${plan.retry_plan_id}.json`, "application/json", `${JSON.stringify(made, null, 2)}\n`) }, "Export as JSON"),
      context.status && el("a", { href: `${context.status.dagster.assets_url}/${plan.lane}_retry_plan`, rel: "noreferrer" }, "In Dagster")), trouble,
    proofFoot(plan, `/lanes/${plan.lane}/plan/bundle`, { ...policy, as_of: plan.as_of }),
    el("h2", {}, "What changes against the last plan"),
    kept.length ? [el("div", { class: "compare" }, against), compared] : el("p", { class: "soft" }, "No plan of this lane is saved yet."),
  ];
}

const rank = (state) => Object.keys(STATES).indexOf(state);

function decisions(plan, stateOf, isPast, shown) {
  const all = plan.retry_decisions;
  const text = el("input", { name: "find", type: "search", autocomplete: "off" });
  const counts = Object.keys(STATES).map((state) => [state, all.filter((one) => stateOf(one) === state).length]).filter(([state, count]) => count || state !== "gate");
  const action = choice("action", [["", `All (${all.length.toLocaleString("en")})`], ...counts.map(([state, count]) => [state, `${stateName(state, plan.lane)} (${count.toLocaleString("en")})`])]);
  const provider = choice("by_provider", [["", "All"], ...[...new Set(all.map((one) => one.provider))].sort().map((one) => [one, providerName(one)])], shown);
  const held = el("div", {});
  const draw = () => {
    const needle = text.value.trim().toLowerCase();
    const rows = all.filter((one) => (!action.value || stateOf(one) === action.value) && (!provider.value || one.provider === provider.value)
      && (!needle || JSON.stringify(Object.values(one)).toLowerCase().includes(needle)));
    swap(held, across("decisions", "Decisions", table({ key: "decisions", caption: "Decisions", isTitled: false, rows, empty: all.length ? "none fits the filter" : "nothing failed that is not delivered", columns: columns(plan, stateOf, isPast) })));
    announce(`${plural(rows.length, "decision")} shown`);
  };
  for (const one of [text, action, provider]) one.addEventListener("input", draw);
  draw();
  return [el("h2", {}, "Decisions"), el("form", { role: "search", "aria-label": "Filter the decisions", onsubmit: (event) => event.preventDefault() },
    el("div", { class: "fields" }, field("State", action), field("Provider", provider), field("Find", text, "In any field."))), held];
}

function columns(plan, stateOf, isPast) {
  const subject = (one) => subjectOf(plan.lane, one);
  const pair = (one) => ({ lane: plan.lane, subject: subject(one), provider: one.provider });
  // Each cell leads to the records that it follows from; the name says where, as many cells read the same.
  const link = (name, title, address) => (content) => (one) => {
    const shown = content(one);
    return el("a", { href: address(one), class: name === "subject" ? null : "quiet", "data-key": `${name}-${subject(one)}-${one.provider}`, title }, shown);
  };
  const story = (name) => link(name, "Everything that concerns it", (one) => hash("delivery", pair(one)));
  const records = (name) => link(name, "Every record of it", (one) => hash("evidence", pair(one)));
  const failures = (name) => link(name, "The deliveries that failed", (one) => hash("evidence", { ...pair(one), record_type: "delivery" }));
  const newest = (name) => link(name, "The delivery that failed last", (one) => hash("evidence", { session_id: one.latest_delivery_id }));
  return [
    { name: "subject", title: "Subject", value: subject, cell: story("subject")(subject) },
    { name: "provider", title: "Provider", value: (one) => providerName(one.provider), cell: records("provider")((one) => providerName(one.provider)) },
    { name: "state", title: "State", value: (one) => rank(stateOf(one)), cell: story("state")((one) => [stateTag(stateOf(one), plan.lane), one.action === "suppress" && [" ", el("small", {}, REASONS[one.reason] ?? words(one.reason).toLowerCase())]]) },
    { name: "when", title: "When", value: (one) => one.next_retry_at ?? "9", cell: newest("when")((one) => when(one, stateOf(one), plan, isPast)) },
    { name: "failures", title: "Failures", value: (one) => one.retry_count, cell: failures("failures")((one) => [`${one.retry_count} of ${one.max_retry_attempts}`, one.failed_status_codes.length > 0 && [" ", el("small", { class: one.failed_status_codes.length === 1 && "whole" }, `status ${one.failed_status_codes.join(" ")}`)]]), number: true },
    { name: "latest", title: "Last failed", value: (one) => one.latest_delivery_at, cell: newest("latest")((one) => time(one.latest_delivery_at)) },
  ];
}

function when(one, state, plan, isPast) {
  if (state === "suppress") return "never";
  if (state === "retry") return "now";
  if (state === "gate") return "once given";
  const left = Date.parse(one.next_retry_at) - (isPast ? Date.parse(plan.as_of) : now());
  return [el("span", { "data-until": isPast ? null : one.next_retry_at, class: "count" }, `in ${span(left)}`), " ", el("small", {}, time(one.next_retry_at))];
}

/** What is new, gone or decided otherwise, by subject and provider. */
function changes(before, after) {
  const subject = (one) => subjectOf(after.lane, one);
  const key = (one) => `${subject(one)} ${one.provider}`;
  const [was, is] = [before, after].map((plan) => new Map(plan.retry_decisions.map((one) => [key(one), one])));
  const rows = [];
  for (const [name, one] of is) {
    const old = was.get(name);
    const parts = [];
    if (old && old.action !== one.action) parts.push(`was ${ACTIONS[old.action]}, is now ${ACTIONS[one.action]}`);
    if (old && old.retry_count !== one.retry_count) parts.push(`failures ${old.retry_count} to ${one.retry_count}`);
    if (old && old.next_retry_at !== one.next_retry_at) parts.push(`next retry ${stamp(old.next_retry_at)} to ${stamp(one.next_retry_at)}`);
    if (!old) rows.push({ one, change: "New", text: `${words(ACTIONS[one.action])}, ${plural(one.retry_count, "failure")}` });
    else if (parts.length) rows.push({ one, change: "Changed", text: parts.join("; ") });
  }
  for (const [name, one] of was) if (!is.has(name)) rows.push({ one, change: "Gone", text: "delivered since, or not yet failed at this instant" });
  const counts = [["Ready or held", "retryable_count"], ["Waiting", "waiting_count"], ["Exhausted", "suppressed_count"]].map(([title, name]) => [title, `${before[name]} → ${after[name]}`]);
  return [facts([...counts, ["Unchanged decisions", is.size - rows.filter((row) => row.change !== "Gone").length]]),
    table({ key: "changes", caption: `Changes since ${stamp(before.as_of)}`, rows, empty: "none", columns: [
      { name: "change", title: "Change", value: (row) => row.change },
      { name: "subject", title: "Subject", value: (row) => subject(row.one) },
      { name: "provider", title: "Provider", value: (row) => providerName(row.one.provider) },
      { name: "text", title: "What", value: (row) => row.text },
    ] })];
}

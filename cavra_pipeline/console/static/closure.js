// Closure: open items, what to do about each, and what CAVRA's own dashboard lists.

import { acknowledgeAllButton, acknowledgeButton, decidedWords, openWords, splitByAnswer } from "./acknowledge.js";
import { ask, query } from "./api.js";
import { failsByIncident, pairsToAcknowledge, warningOf } from "./causes.js";
import { LANES, el, hash, plural, providerName, say, stamp, statusLine, swap, words } from "./dom.js";
import { ITEMS } from "./lanes.js"; // written by the server
import { asOf } from "./moment.js";
import { tabs } from "./nav.js";
import { table } from "./table.js";

const GAP = "acknowledgement_gap";
const ALERTS = ["health alert", "health alerts"];
/** What the list counts, by section 12 of the contract. */
const SCOPE = "The list counts recoveries, missing acknowledgements and what is unresolved in the health alert lanes. It leaves out workers, approvals, leaked secrets and the other lanes' failing deliveries: see the ";

export async function render(params, context, root) {
  const at = { as_of: asOf() };
  const [report, { lanes }, { incidents }] = await Promise.all([ask("/closure", at), ask("/lanes", at), ask("/incidents", { ...at, open: true })]);
  const pairs = lanes.flatMap(pairsToAcknowledge);
  const reload = async (outcome, section) => {
    swap(root, section, await render(params, context, root));
    if (section) return;
    root.querySelector("#unsettled")?.focus();
    say(root, outcome);
  };
  const acknowledgeItem = (item) => {
    const itemPairs = pairs.filter((pair) => pair.item === item);
    const unit = item === GAP ? undefined : ALERTS;
    return acknowledgeAllButton({ pairs: itemPairs, of: title(item), key: `all-${item}`, context, unit, buttonClass: null, warning: item === GAP ? warningOf(itemPairs, failsByIncident(incidents)) : null, done: reload });
  };
  const isKnown = report.evidence_record_count > 0;
  const isClosed = report.closure_state === "closed";
  return [tabs("recoveries", "closure"),
    el("section", { class: `verdict ${isKnown && report.alert_level}`, "aria-label": "Verdict" },
      el("p", { class: "state" }, !isKnown ? "Nothing is known to be open" : isClosed ? "The closure list is empty" : `${plural(report.open_items.reduce((sum, item) => sum + item.count, 0), "item", "items")} on the closure list`),
      el("p", {}, !isKnown ? "No evidence has arrived, so this is no all-clear." : isClosed ? "Nothing that the list counts is open." : "Work through the rows below; a row goes when its count is 0.", " ", SCOPE, el("a", { href: hash("overview"), "data-key": "to-overview" }, "overview"), "."),
      el("p", { class: "soft" }, `As of ${stamp(report.as_of)}.`)),
    el("section", { "aria-labelledby": "open-items" }, el("h2", { id: "open-items" }, "Open now"), openItemsTable(report.open_items, pairs, acknowledgeItem, isKnown)),
    statusLine(),
    pairTables(pairs, context, reload),
    el("section", { "aria-labelledby": "cavra-items" }, el("h2", { id: "cavra-items" }, "What CAVRA lists"), cavraItemsList(report.cavra_open_items))];
}

const ACTS = {
  unresolved_delivery: (lane) => ["Retry the failing deliveries once their connector works.", lane && ["Retry plan", `#/plan${query({ lane })}`]],
  unresolved_failed_execution: (lane) => ["Find out why these retries failed or were skipped.", lane && ["Retry health", `#/health${query({ lane, run: 1 })}`]],
  acknowledgement_outstanding: (lane) => ["Acknowledge each for the connector that it went to.", ["Open the alert plans", `#/evidence${query({ lane, record_type: "alert_plan" })}`]],
};

const laneOf = (item) => LANES.find((lane) => item.startsWith(`${lane}_`));

/** The title of an open item, with its lane. */
function title(item) {
  const what = Object.keys(ITEMS).find((suffix) => item.endsWith(suffix));
  return what ? words([words(item.slice(0, -what.length - 1)), ITEMS[what]].filter(Boolean).join(": ")) : words(item);
}

/** The advice for an open item: a text, and a link or undefined. */
function advice(item, pairs) {
  if (item === "open_recovery") return ["Record what became of each recovery.", ["Recoveries", "#/recoveries"]];
  if (item === GAP) return ["Acknowledge each failing delivery, so that it may be retried.", ["Retry plan", `#/plan${query({ lane: pairs.find((pair) => pair.item === item)?.lane })}`]];
  const lane = laneOf(item);
  const name = Object.keys(ACTS).find((suffix) => item.endsWith(suffix));
  return name ? ACTS[name](lane) : ["Look at its records.", ["Evidence", "#/evidence"]];
}

function openItemsTable(items, pairs, acknowledgeItem, isKnown) {
  return table({ key: "items", caption: "Open items", isTitled: false, rows: items, sorts: false, empty: isKnown ? "none." : "none is known.", columns: [
    { name: "item", title: "Item", value: (item) => title(item.item) },
    { name: "count", title: "Count", value: (item) => item.count, number: true },
    { name: "next", title: "Next", cell: (item) => {
      const [text, link] = advice(item.item, pairs);
      const decisionText = decidedWords(pairs.filter((pair) => pair.item === item.item));
      return [text, decisionText && ` ${words(openWords(pairs.filter((pair) => pair.item === item.item), "to acknowledge"))}.`, " ", link && el("a", { href: link[1], "data-key": `next-${item.item}` }, link[0]), el("p", { class: "acts" }, acknowledgeItem(item.item))];
    } },
  ] });
}

/** Tables of the pairs to acknowledge: health alerts and failing deliveries, unanswered ones first. */
function pairTables(pairs, context, reload) {
  const [openPairs, decidedPairs] = splitByAnswer(pairs);
  return pairs.length > 0 && el("div", { id: "unsettled", tabindex: "-1" },
    openPairs.length > 0 && pairTable("To acknowledge", openPairs, context, reload),
    decidedPairs.length > 0 && pairTable(`Decided, still open: ${decidedWords(pairs)}`, decidedPairs, context, reload));
}

function pairTable(caption, pairs, context, reload) {
  return [el("h2", {}, caption),
    table({ key: `unsettled-${caption}`, caption, isTitled: false, rows: pairs, columns: [
      { name: "subject", title: "Subject", value: (pair) => pair.subject, cell: (pair) => el("a", { href: hash("delivery", { lane: pair.lane, subject: pair.subject, provider: pair.provider }), "data-key": `of-${pair.lane}-${pair.subject}-${pair.provider}` }, pair.subject) },
      { name: "what", title: "What", value: (pair) => (pair.item === GAP ? "Failing delivery" : "Health alert"), cell: (pair) => [pair.item === GAP ? "Failing delivery" : "Health alert", el("small", {}, words(pair.lane))] },
      { name: "provider", title: "Provider", value: (pair) => providerName(pair.provider) },
      { name: "state", title: "Acknowledgement", value: (pair) => words(pair.state) || "none" },
      { name: "act", title: "Action", cell: (pair) => acknowledgeButton({ ...pair, key: `ack-${pair.lane}-${pair.subject}-${pair.provider}`, context, done: reload }) },
    ] })];
}

function cavraItemsList(names) {
  return [el("p", { class: "soft" }, "The items of CAVRA's own dashboard over all records. CAVRA never clears an item that failed once, so this list may be longer than ours; only ours decides."),
    names.length ? el("ul", {}, names.map((name) => el("li", {}, words(name)))) : el("p", {}, "CAVRA lists nothing.")];
}

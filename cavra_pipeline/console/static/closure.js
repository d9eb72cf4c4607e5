// Closure: what keeps the loop from being closed now, what to do about it, and what CAVRA's own dashboard lists.

import { ask, query } from "./api.js";
import { LANES, el, plural, stamp, words } from "./dom.js";
import { asOf } from "./moment.js";
import { tabs } from "./nav.js";
import { table } from "./table.js";

export async function render() {
  const [report, { lanes }] = await Promise.all([ask("/closure", { as_of: asOf() }), ask("/lanes", { as_of: asOf() })]);
  const gated = lanes.filter((one) => one.live_needs_acknowledgement).map((one) => one.lane);
  const isClosed = report.closure_state === "closed";
  return [tabs("recoveries", "closure"),
    el("section", { class: `verdict ${report.alert_level}`, "aria-label": "Verdict" },
      el("p", { class: "state" }, isClosed ? "The loop can be closed" : `${plural(report.open_item_count, "kind of open item keeps", "kinds of open items keep")} the loop open`),
      el("p", {}, isClosed ? "Nothing is open now." : "Work through the items below; each goes away by itself once nothing of it is open."),
      el("p", { class: "soft" }, `As of ${stamp(report.as_of)}, based on ${plural(report.evidence_record_count, "record")}.`)),
    el("div", { class: "split" },
      el("section", { "aria-labelledby": "open-items" }, el("h2", { id: "open-items" }, "Open now"), ours(report.open_items, gated)),
      el("section", { "aria-labelledby": "cavra-items" }, el("h2", { id: "cavra-items" }, "What CAVRA lists"), theirs(report.cavra_open_items)))];
}

const ACTS = {
  unresolved_delivery: (lane) => ["Retry the failing deliveries once their connector works.", lane && ["Plan a retry", `#/plan${query({ lane })}`]],
  unresolved_failed_execution: (lane) => ["Find out why these retries failed or were skipped.", lane && ["Retry Health", `#/health${query({ lane, run: 1 })}`]],
  acknowledgement_outstanding: (lane) => [["Acknowledge each for its provider: ", el("code", {}, `cavra-pipeline ack --lane ${lane ?? "LANE"} --plan HEALTH_ID --provider NAME --state resolved --by LABEL`), "."], ["Open the alert plans", `#/evidence${query({ lane, record_type: "alert_plan" })}`]],
};

const laneOf = (item) => LANES.find((one) => item.startsWith(`${one}_`));

function title(item) {
  const lane = laneOf(item);
  return lane ? `${words(lane)}: ${words(item.slice(lane.length + 1)).toLowerCase()}` : words(item);
}

/** What an item is about and what to do: text, and where. */
function advice(item, gated) {
  if (item === "open_recovery") return ["Record what became of each recovery.", ["Recoveries", "#/recoveries"]];
  if (item === "acknowledgement_gap") return ["Acknowledge each failing delivery, so that it may be retried.", gated.length > 0 && ["Retry Health", `#/health${query({ lane: gated[0], run: 1 })}`]];
  const lane = laneOf(item);
  const name = Object.keys(ACTS).find((one) => item.endsWith(one));
  return name ? ACTS[name](lane) : ["Look at its records.", ["Evidence", "#/evidence"]];
}

function ours(items, gated) {
  return table({ key: "items", caption: "Open items", isTitled: false, rows: items, sorts: false, empty: "none. Nothing has to be done.", columns: [
    { name: "item", title: "Item", value: (one) => title(one.item) },
    { name: "count", title: "Count", value: (one) => one.count, number: true },
    { name: "next", title: "Next", cell: (one) => {
      const [text, link] = advice(one.item, gated);
      return [text, " ", link && el("a", { href: link[1], "data-key": `next-${one.item}` }, link[0])];
    } },
  ] });
}

function theirs(names) {
  return [el("p", { class: "soft" }, "The items of CAVRA's own dashboard over all records. CAVRA keeps for ever what failed once, so this list may be longer than ours; only ours decides."),
    names.length ? el("ul", {}, names.map((name) => el("li", {}, words(name)))) : el("p", {}, "CAVRA lists nothing.")];
}

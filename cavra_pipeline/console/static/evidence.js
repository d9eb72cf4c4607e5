// Evidence records behind an alert or a decision, newest first.

import { ask, query } from "./api.js";
import { LANES, announce, choice, el, field, problem, showDocument, swap, time, words } from "./dom.js";
import { table } from "./table.js";

const TYPES = ["delivery", "acknowledgement", "approval", "retry_plan", "worker_run", "execution", "alert_plan", "playbook", "closure"];
const MEMBERS = ["acknowledgement_state", "alert_level", "delivery_success"];

export async function render(params) {
  const input = (name) => el("input", { name, maxlength: 512, value: params[name] || "" });
  const form = el("form", { role: "search", "aria-label": "Filter the evidence", onsubmit: (event) => {
    event.preventDefault();
    location.hash = `/evidence${query(Object.fromEntries(new FormData(form)))}`;
  } }, el("div", { class: "fields" },
    field("Lane", choice("lane", [["", "All"], ...LANES.map((lane) => [lane])], params.lane)),
    field("Type", choice("record_type", [["", "All"], ...TYPES.map((type) => [type])], params.record_type)),
    field("Subject", input("subject"), "Plan, run or health report."), field("Provider", input("provider"))),
  el("p", { class: "acts" }, el("button", { class: "main", "data-key": "find" }, "Find")));
  const held = el("div", {});
  const rows = [];
  let cursor = null;
  const more = async () => {
    try {
      const page = await ask("/evidence", { ...params, limit: 50, cursor });
      const isFirst = !rows.length;
      rows.push(...page.records);
      cursor = page.next;
      swap(held, list(rows), cursor && el("p", { class: "acts" }, el("button", { type: "button", "data-key": "older", onclick: more }, "Older records")));
      if (!isFirst) announce(`${rows.length} records shown`);
    } catch (error) {
      swap(held, problem(error));
    }
  };
  await more();
  return [form, held];
}

function list(rows) {
  return table({ key: "evidence", caption: "Records", rows, empty: "none fits the filter", columns: [
    { name: "id", title: "Id", value: (one) => one.record.session_id },
    { name: "at", title: "Created", value: (one) => one.record.created_at, cell: (one) => time(one.record.created_at) },
    { name: "type", title: "Type", value: (one) => words(one.record_type) },
    { name: "lane", title: "Lane", value: (one) => words(one.lane) },
    { name: "subject", title: "Subject", value: (one) => one.subject },
    { name: "provider", title: "Provider", value: (one) => one.record.provider ?? (one.record.failed_providers || one.record.providers || []).join(" ") },
    { name: "outcome", title: "Outcome", value: outcome },
    { name: "open", title: "Record", cell: (one) => el("button", { type: "button", "data-key": `open-${one.record.session_id}`, "aria-label": `Open ${one.record.session_id}`,
      onclick: () => showDocument(one.record.session_id, one.record) }, "Open") },
  ] });
}

function outcome({ record, status }) {
  if (status) return words(status);
  if (record.failed_providers?.length) return `Failed: ${record.failed_providers.join(" ")}`;
  const name = MEMBERS.find((one) => record[one] !== undefined && record[one] !== null);
  if (!name) return "";
  return name === "delivery_success" ? (record[name] ? "Delivered" : "Failed") : words(record[name]);
}

// Evidence records behind an alert or a decision, newest first.

import { ask } from "./api.js";
import { LANES, announce, choice, el, field, hash, emptyState, plural, problem, providerName, showDocument, stamp, swap, time, words } from "./dom.js";
import { TYPES } from "./lanes.js"; // written by the server
import { asOf } from "./moment.js";
import { scrollRegion, table } from "./table.js";

const MEMBERS = ["acknowledgement_state", "alert_level", "delivery_success"];

export async function render(params) {
  const subjects = [params.subject ?? []].flat();
  const input = (name, value = params[name] || "") => el("input", { name, maxlength: 8000, value });
  const form = el("form", { role: "search", "aria-label": "Filter the evidence", onsubmit: (event) => {
    event.preventDefault();
    const values = Object.fromEntries(new FormData(form));
    location.hash = hash("evidence", { ...values, subject: values.subject.split(/\s+/).filter(Boolean), since: params.since });
  } }, el("div", { class: "fields" },
    field("Lane", choice("lane", [["", "All"], ...LANES.map((lane) => [lane])], params.lane)),
    field("Type", choice("record_type", [["", "All"], ...TYPES.map((type) => [type])], params.record_type)),
    field("Subjects", input("subject", subjects.join(" ")), "Whole ids of plans, runs or health reports, separated by spaces."), field("Provider", input("provider"))),
  el("p", { class: "acts" }, el("button", { class: "main", "data-key": "find" }, "Find")));
  const { as_of: _, ...filters } = params;
  const parameters = { ...filters, until: asOf() };
  const description = params.session_id ? el("p", { class: "soft" }, `The record ${params.session_id}.`) : subjects.length > 1 && el("p", { class: "soft" }, `Records of ${plural(subjects.length, "subject")}${params.since ? ` since ${stamp(params.since)}` : ""}.`);
  const result = el("div", {});
  const rows = [];
  let cursor = null;
  const loadMore = async () => {
    try {
      const page = await ask("/evidence", { ...parameters, limit: 25, cursor });
      const isFirst = !rows.length;
      rows.push(...page.records);
      cursor = page.next;
      swap(result, recordsTable(rows, params, cursor), cursor && el("p", { class: "acts" }, el("button", { type: "button", "data-key": "older", onclick: loadMore }, "Older records")));
      if (!isFirst) announce(`${plural(rows.length, "record")} shown`);
    } catch (error) {
      swap(result, problem(error));
    }
  };
  await loadMore();
  return [form, description, result];
}

function recordsTable(rows, params, cursor) {
  if (!rows.length && !Object.values(params).some(Boolean)) return emptyState("No evidence has arrived yet.", "The ", el("a", { href: hash("overview") }, "overview"), " says how to bring some in.");
  if (!rows.length) return emptyState("No record fits the filter.", "Widen it above, or ingest new evidence on the overview.");
  return scrollRegion("records", "Records", table({ key: "evidence", caption: "Records", note: cursor && "there are older ones", rows, columns: [
    { name: "id", title: "Id, subject", value: (row) => row.record.session_id, cell: (row) => [el("span", { class: "id", title: row.record.session_id }, row.record.session_id), el("br"), deliveryLink(row)] },
    { name: "at", title: "Created", value: (row) => row.record.created_at, cell: (row) => time(row.record.created_at) },
    { name: "type", title: "Type", value: (row) => words(row.record_type), cell: (row) => [words(row.record_type), el("small", {}, words(row.lane))] },
    { name: "provider", title: "Provider", value: (row) => providersOf(row.record).map(providerName).join(", ") },
    { name: "outcome", title: "Outcome", value: outcome },
    { name: "open", title: "Record", cell: (row) => el("button", { type: "button", "data-key": `open-${row.record.session_id}`, "aria-label": `Open ${row.record.session_id}`,
      onclick: () => showDocument(row.record.session_id, row.record) }, "Open") },
  ] }));
}

/** The failed providers of a record, else all its providers. */
const providersOf = ({ provider, failed_providers: failed, providers }) => [provider ?? (failed?.length ? failed : providers ?? [])].flat();

/** Links to the delivery if the record names exactly one provider. */
function deliveryLink({ lane, subject, record }) {
  const providers = providersOf(record);
  return subject && providers.length === 1 ? el("a", { class: "id", href: hash("delivery", { lane, subject, provider: providers[0] }) }, subject) : subject && el("span", { class: "id" }, subject);
}

function outcome({ record, status }) {
  if (status) return words(status);
  if (record.failed_providers?.length) return "Failed";
  const name = MEMBERS.find((member) => record[member] !== undefined && record[member] !== null);
  if (!name) return "";
  return name === "delivery_success" ? (record[name] ? "Delivered" : "Failed") : words(record[name]);
}

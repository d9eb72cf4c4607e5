// Evidence records behind an alert or a decision, newest first.

import { ask } from "./api.js";
import { LANES, announce, choice, el, field, hash, nothing, plural, problem, providerName, showDocument, stamp, swap, time, words } from "./dom.js";
import { TYPES } from "./lanes.js"; // written by the server
import { asOf } from "./moment.js";
import { across, table } from "./table.js";

const MEMBERS = ["acknowledgement_state", "alert_level", "delivery_success"];

export async function render(params) {
  const subjects = [params.subject ?? []].flat();
  const input = (name, value = params[name] || "") => el("input", { name, maxlength: 8000, value });
  const form = el("form", { role: "search", "aria-label": "Filter the evidence", onsubmit: (event) => {
    event.preventDefault();
    const given = Object.fromEntries(new FormData(form));
    location.hash = hash("evidence", { ...given, subject: given.subject.split(/\s+/).filter(Boolean), since: params.since });
  } }, el("div", { class: "fields" },
    field("Lane", choice("lane", [["", "All"], ...LANES.map((lane) => [lane])], params.lane)),
    field("Type", choice("record_type", [["", "All"], ...TYPES.map((type) => [type])], params.record_type)),
    field("Subjects", input("subject", subjects.join(" ")), "Ids of plans, runs or health reports, a blank between them."), field("Provider", input("provider"))),
  el("p", { class: "acts" }, el("button", { class: "main", "data-key": "find" }, "Find")));
  const { as_of: _, ...narrowed } = params;
  const asked = { ...narrowed, until: asOf() };
  const about = params.session_id ? el("p", { class: "soft" }, `The record ${params.session_id}.`) : subjects.length > 1 && el("p", { class: "soft" }, `Records of ${plural(subjects.length, "subject")}${params.since ? ` since ${stamp(params.since)}` : ""}.`);
  const held = el("div", {});
  const rows = [];
  let cursor = null;
  const more = async () => {
    try {
      const page = await ask("/evidence", { ...asked, limit: 25, cursor });
      const isFirst = !rows.length;
      rows.push(...page.records);
      cursor = page.next;
      swap(held, list(rows, params, cursor), cursor && el("p", { class: "acts" }, el("button", { type: "button", "data-key": "older", onclick: more }, "Older records")));
      if (!isFirst) announce(`${plural(rows.length, "record")} shown`);
    } catch (error) {
      swap(held, problem(error));
    }
  };
  await more();
  return [form, about, held];
}

function list(rows, params, cursor) {
  if (!rows.length && !Object.values(params).some(Boolean)) return nothing("No evidence has arrived yet.", "The ", el("a", { href: hash("overview") }, "overview"), " says how to bring some in.");
  if (!rows.length) return nothing("No record fits the filter.", "Widen it above, or ingest new evidence on the overview.");
  return across("records", "Records", table({ key: "evidence", caption: "Records", note: cursor && "there are older ones", rows, columns: [
    { name: "id", title: "Id, subject", value: (one) => one.record.session_id, cell: (one) => [el("span", { class: "id", title: one.record.session_id }, one.record.session_id), el("br"), deliveryLink(one)] },
    { name: "at", title: "Created", value: (one) => one.record.created_at, cell: (one) => time(one.record.created_at) },
    { name: "type", title: "Type", value: (one) => words(one.record_type), cell: (one) => [words(one.record_type), el("small", {}, words(one.lane))] },
    { name: "provider", title: "Provider", value: (one) => providersOf(one.record).map(providerName).join(", ") },
    { name: "outcome", title: "Outcome", value: outcome },
    { name: "open", title: "Record", cell: (one) => el("button", { type: "button", "data-key": `open-${one.record.session_id}`, "aria-label": `Open ${one.record.session_id}`,
      onclick: () => showDocument(one.record.session_id, one.record) }, "Open") },
  ] }));
}

/** The providers that a record is about: those that failed, else all it names. */
const providersOf = ({ provider, failed_providers: failed, providers }) => [provider ?? (failed?.length ? failed : providers ?? [])].flat();

/** Leads to the delivery's page where exactly one provider is meant. */
function deliveryLink({ lane, subject, record }) {
  const providers = providersOf(record);
  return subject && providers.length === 1 ? el("a", { class: "id", href: hash("delivery", { lane, subject, provider: providers[0] }) }, subject) : subject && el("span", { class: "id" }, subject);
}

function outcome({ record, status }) {
  if (status) return words(status);
  if (record.failed_providers?.length) return "Failed";
  const name = MEMBERS.find((one) => record[one] !== undefined && record[one] !== null);
  if (!name) return "";
  return name === "delivery_success" ? (record[name] ? "Delivered" : "Failed") : words(record[name]);
}

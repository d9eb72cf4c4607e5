// Quarantined lines and findings; neither shows the content of a line.

import { ask } from "./api.js";
import { el, facts, problem, swap, words } from "./dom.js";
import { table } from "./table.js";

export async function render(params, { status }) {
  const [quarantine, findings] = await Promise.all([pages("quarantine", [
    { name: "day", title: "Day", value: (line) => line.drop_day },
    { name: "reason", title: "Reason", value: (line) => words(line.reason) },
    { name: "field", title: "Field", value: (line) => line.field },
    { name: "file", title: "File", value: (line) => line.source_file },
    { name: "line", title: "Line", value: (line) => line.line_number, number: true },
    { name: "sha256", title: "SHA-256 of the line", value: (line) => line.sha256, cell: (line) => el("code", {}, line.sha256 ? `${line.sha256.slice(0, 16)}…` : "–") },
  ]), pages("findings", [
    { name: "day", title: "Day", value: (finding) => finding.drop_day },
    { name: "rule", title: "Rule", value: (finding) => finding.rule },
    { name: "path", title: "Field", value: (finding) => finding.path },
    { name: "action", title: "Action", value: (finding) => words(finding.action) },
    { name: "file", title: "File", value: (finding) => finding.source_file },
    { name: "line", title: "Line", value: (finding) => finding.line_number, number: true },
  ])]);
  return [facts([["Quarantined lines", quarantine.count], ["Findings", findings.count], ["Leaked secrets to rotate", status?.evidence.open_leak_count ?? 0]]),
    el("h2", {}, "Quarantine"), el("p", {}, "Rejected lines. Fix them at their source and import them again; use the SHA-256 to find the line."), quarantine.node,
    el("h2", {}, "Findings"), el("p", {}, "Redactions: what was removed and why. A field was dropped or its value replaced by a pseudonym, or the line was quarantined."), findings.node];
}

async function pages(name, columns) {
  const node = el("div", {});
  const rows = [];
  let cursor = null;
  let count = 0;
  const loadMore = async () => {
    const page = await ask(`/${name}`, { limit: 50, cursor });
    rows.push(...page[name]);
    ({ next: cursor, count } = page);
    swap(node, table({ key: name, caption: words(name), isTitled: false, rows, empty: "none", columns }),
      cursor && el("p", { class: "acts" }, el("button", { type: "button", "data-key": `more-${name}`, onclick: () => loadMore().catch((error) => node.append(problem(error))) }, "More")));
  };
  await loadMore();
  return { node, count };
}

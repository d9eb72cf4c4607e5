// Sources of sources.yaml: the last pull, the lag, and what is wrong.

import { ask } from "./api.js";
import { ago, command, clock, el, facts, plural, span, stamp, tag, time, words } from "./dom.js";
import { scrollRegion, table } from "./table.js";

export const isLive = true;

const LEVELS = { arriving: "healthy", never_pulled: "", silent: "warning", unreadable: "critical" };
const NEXT = {
  malformed: () => "Correct its entry in sources.yaml.",
  not_read: (source) => `Fix it at the source, then pull it: cavra-pipeline import --sources ${source.source}`,
  not_pulled: () => "Check that the Dagster daemon runs and that the schedule import_sources is on.",
  no_new_record: () => "Ask whether CAVRA still writes there. If it may be quiet for longer, raise silent_after.",
};
const minutes = (count) => (count === null ? "–" : span(count * 60000));

export async function render() {
  const report = await ask("/sources");
  const faultCount = report.silent_count + report.unreadable_count + report.faults.length;
  const headline = !report.source_count && !report.faults.length ? "This home names no sources"
    : report.faults.length ? "sources.yaml can't be used as it is" : !faultCount ? "Every source is read, and new records arrive"
      : [[report.unreadable_count, "can't be read"], [report.silent_count, report.silent_count === 1 ? "is silent" : "are silent"]]
        .filter(([count]) => count).map(([count, text]) => `${plural(count, "source")} ${text}`).join(", ");
  const neverPulledCount = report.sources.filter((source) => source.state === "never_pulled").length;
  return [el("section", { class: `verdict ${report.alert_level}`, "aria-label": "Verdict" },
    el("p", { class: "state" }, !faultCount && neverPulledCount ? `${plural(neverPulledCount, "source was", "sources were")} never pulled` : headline),
    !report.source_count && !report.faults.length && el("p", {}, "To pull evidence on a schedule, name CAVRA's stores, folders or API in sources.yaml of the home (docs/sources.md). To import by hand: ", command("cavra-pipeline import PATH"), "."),
    report.faults.length > 0 && el("ul", {}, report.faults.map(faultItem)),
    el("p", { class: "soft" }, `As of ${stamp(report.as_of)}.`)),
  report.source_count > 0 && facts([["Sources", report.source_count], ["Silent", report.silent_count], ["Can't be read", report.unreadable_count], ["Never pulled", neverPulledCount]]),
  report.source_count > 0 && scrollRegion("sources", "Sources", table({ key: "sources", caption: "Sources", rows: report.sources, columns: [
    { name: "source", title: "Source", value: (source) => source.source },
    { name: "state", title: "State", value: (source) => source.state, cell: (source) => tag(LEVELS[source.state], words(source.state)) },
    { name: "type", title: "Type", value: (source) => source.type, cell: (source) => (source.type ? [source.type, el("small", {}, `every ${minutes(source.every_minutes)}`)] : "–") },
    { name: "rows", title: "Last pull brought", value: (source) => source.new_record_count, cell: pullCell },
    { name: "lag", title: "Newest record", value: (source) => source.lag_minutes, cell: (source) => ageCell(source.newest_record_at, source.lag_minutes) },
    { name: "pull", title: "Newest pull", value: (source) => source.pull_age_minutes, cell: (source) => ageCell(source.pulled_at, source.pull_age_minutes) },
    { name: "next", title: "What is wrong, and what to do", cell: problemCell },
  ] }))];
}

const faultItem = (fault) => el("li", {}, `${fault.where}: ${fault.what}. ${fault.remedy}.`);
const ageCell = (at, count) => (at ? [ago(count), el("small", {}, time(at))] : "never");

function pullCell(source) {
  if (source.new_record_count === null) return "–";
  const count = (name) => source[`${name}_record_count`].toLocaleString("en");
  return [`${count("new")} new`, el("small", {}, `${count("known")} known`), source.quarantined_record_count > 0 && el("small", {}, `${count("quarantined")} quarantined`)];
}

function problemCell(source) {
  if (source.state === "arriving") return "nothing";
  if (source.state === "never_pulled") return `It is due with the next run of the schedule import_sources; by hand: cavra-pipeline import --sources ${source.source}`;
  return [source.since && el("p", {}, "Since ", time(source.since), ` (${span(clock() - Date.parse(source.since))}).`), source.failure && el("p", {}, `Last error: ${source.failure}.`),
    source.faults.length > 0 && el("ul", {}, source.faults.map(faultItem)), el("p", {}, el("strong", {}, "Next: "), NEXT[source.cause]?.(source) ?? "")];
}

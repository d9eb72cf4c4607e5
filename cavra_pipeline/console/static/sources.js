// Sources: what each entry of sources.yaml brought last, how far behind it is, and what is wrong with it.

import { ask } from "./api.js";
import { ago, clock, el, facts, plural, span, stamp, tag, time, words } from "./dom.js";
import { across, table } from "./table.js";

export const isLive = true;

const LEVELS = { arriving: "healthy", never_pulled: "", silent: "warning", unreadable: "critical" };
const NEXT = {
  malformed: () => "Correct its entry in sources.yaml.",
  not_read: (one) => `Fix it at the source, then pull it: cavra-pipeline import --sources ${one.source}`,
  not_pulled: () => "Check that the Dagster daemon runs and that the schedule import_sources is on.",
  no_new_record: () => "Ask whether CAVRA still writes there. If it may be quiet for longer, raise silent_after.",
};
const minutes = (count) => (count === null ? "–" : span(count * 60000));

export async function render() {
  const found = await ask("/sources");
  const wrong = found.silent_count + found.unreadable_count + found.faults.length;
  const headline = !found.source_count && !found.faults.length ? "This home names no sources"
    : found.faults.length ? "sources.yaml can't be used as it is" : !wrong ? "Every source is read, and new records arrive"
      : [[found.unreadable_count, "can't be read"], [found.silent_count, found.silent_count === 1 ? "is silent" : "are silent"]]
        .filter(([count]) => count).map(([count, text]) => `${plural(count, "source")} ${text}`).join(", ");
  const never = found.sources.filter((one) => one.state === "never_pulled").length;
  return [el("section", { class: `verdict ${found.alert_level}`, "aria-label": "Verdict" },
    el("p", { class: "state" }, !wrong && never ? `${plural(never, "source was", "sources were")} never pulled` : headline),
    !found.source_count && !found.faults.length && el("p", {}, "To pull evidence on a schedule, name CAVRA's stores, folders or API in sources.yaml of the home (docs/sources.md). To import by hand: ", el("code", {}, "cavra-pipeline import PATH"), "."),
    found.faults.length > 0 && el("ul", {}, found.faults.map(fault)),
    el("p", { class: "soft" }, `As of ${stamp(found.as_of)}.`)),
  found.source_count > 0 && facts([["Sources", found.source_count], ["Silent", found.silent_count], ["Can't be read", found.unreadable_count], ["Never pulled", never]]),
  found.source_count > 0 && across("sources", "Sources", table({ key: "sources", caption: "Sources", rows: found.sources, columns: [
    { name: "source", title: "Source", value: (one) => one.source },
    { name: "state", title: "State", value: (one) => one.state, cell: (one) => tag(LEVELS[one.state], words(one.state)) },
    { name: "type", title: "Type", value: (one) => one.type, cell: (one) => (one.type ? [one.type, el("small", {}, `every ${minutes(one.every_minutes)}`)] : "–") },
    { name: "rows", title: "Last pull brought", value: (one) => one.new_record_count, cell: rows },
    { name: "lag", title: "Newest record", value: (one) => one.lag_minutes, cell: (one) => age(one.newest_record_at, one.lag_minutes) },
    { name: "pull", title: "Newest pull", value: (one) => one.pull_age_minutes, cell: (one) => age(one.pulled_at, one.pull_age_minutes) },
    { name: "next", title: "What is wrong, and what to do", cell: trouble },
  ] }))];
}

const fault = (one) => el("li", {}, `${one.where}: ${one.what}. ${one.remedy}.`);
const age = (at, count) => (at ? [ago(count), el("small", {}, time(at))] : "never");

function rows(one) {
  if (one.new_record_count === null) return "–";
  const count = (name) => one[`${name}_record_count`].toLocaleString("en");
  return [`${count("new")} new`, el("small", {}, `${count("known")} known`), one.quarantined_record_count > 0 && el("small", {}, `${count("quarantined")} quarantined`)];
}

function trouble(one) {
  if (one.state === "arriving") return "nothing";
  if (one.state === "never_pulled") return `It is due with the next run of the schedule import_sources; by hand: cavra-pipeline import --sources ${one.source}`;
  return [one.since && el("p", {}, "Since ", time(one.since), ` (${span(clock() - Date.parse(one.since))}).`), one.failure && el("p", {}, `Last error: ${one.failure}.`),
    one.faults.length > 0 && el("ul", {}, one.faults.map(fault)), el("p", {}, el("strong", {}, "Next: "), NEXT[one.cause]?.(one) ?? "")];
}

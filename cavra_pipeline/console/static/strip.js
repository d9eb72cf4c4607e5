// A lane's last days as a strip; arrow keys move, and each day links to the lane's health of that day.

import { el, hash, words } from "./dom.js";
import { asOf } from "./moment.js";

const KINDS = { critical: "bad", warning: "late", healthy: "good", unknown: "none" };
const TEXTS = { critical: "critical", warning: "warning", healthy: "healthy", unknown: "no evidence yet" };

/** One bar for each day, by its saved report; `pastLevel` replaces the last one's where the page shows a past instant. A tall bar is critical, grey is no evidence yet, a dot is no saved report. */
export function dayStrip(lane, partitions, pastLevel = null) {
  const last = partitions.length - 1;
  const bars = partitions.map(({ day, reports }, at) => {
    const isLast = at === last;
    const level = (isLast && pastLevel) || (reports[lane]?.retry_health ?? null);
    const text = `${day}: ${TEXTS[level] ?? "no report saved"}`;
    return el("a", { href: hash("health", { lane, run: 1, as_of: isLast ? asOf()?.slice(0, 19) : `${day}T23:59:59` }), class: KINDS[level] ?? "absent",
      tabindex: isLast ? "0" : "-1", "data-key": `day-${lane}-${day}`, "aria-label": `${words(lane)}, ${text}`, title: text });
  });
  const row = el("div", { class: "strip", role: "group", "aria-label": `${words(lane)}: days, arrow keys move`, onkeydown: (event) => {
    const step = { ArrowLeft: -1, ArrowRight: 1, Home: -bars.length, End: bars.length }[event.key];
    if (!step) return;
    event.preventDefault();
    const next = Math.min(last, Math.max(0, bars.indexOf(document.activeElement) + step));
    for (const bar of bars) bar.tabIndex = bar === bars[next] ? 0 : -1;
    bars[next].focus();
  } }, bars);
  return el("div", { class: "days" }, row, el("p", { class: "ends" }, el("span", {}, partitions[0]?.day.slice(5)), el("span", {}, partitions[last]?.day.slice(5))));
}

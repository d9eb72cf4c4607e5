// What a page says of a home, or of a past instant, without any evidence: nothing is known, which is no all-clear.

import { ask } from "./api.js";
import { clock, el, emptyState, hash } from "./dom.js";
import { isPast, today } from "./moment.js";

/** True if any lane has a record up to the instant of the page. */
export const hasEvidence = (lanes) => lanes.some((lane) => lane.evidence_record_count > 0);

export async function noEvidence() {
  if (!isPast()) return emptyState("No evidence has arrived yet.", "Nothing is evaluated until it has, so this is no all-clear. The ", el("a", { href: hash("overview") }, "overview"), " says how to bring some in.");
  const { partitions } = await ask("/partitions", { from: today(), to: new Date(clock()).toISOString().slice(0, 10) });
  const first = partitions.find((partition) => partition.accepted_count > 0);
  return emptyState("There is no evidence up to this instant.", first && `The first landed on ${first.day}. `, "Nothing is evaluated, so this is no all-clear.");
}

// Leaked secrets in evidence that no one had handled by the instant of the page.

import { ask } from "./api.js";
import { asOf } from "./moment.js";

/** Their count, and the landing days of their files. */
export async function openLeaks() {
  const { evidence } = await ask("/status", { as_of: asOf() });
  return { count: evidence.open_leak_count, days: evidence.open_leak_days };
}

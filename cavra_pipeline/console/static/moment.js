// The instant that a report is for: one control on every page that takes one, and what the API takes for it.

import { el, field } from "./dom.js";

/** The field; `value` is an instant as an address holds it, UTC without a zone. */
export const asOfField = (value) => field("As of (UTC)", el("input", { name: "as_of", type: "datetime-local", step: 1, value: (value || "").slice(0, 19) }), "Leave empty for now.");

/** The instant for the API, or undefined for now. */
export const asOfGiven = (value) => (value ? `${value.length === 16 ? `${value}:00` : value.slice(0, 19)}Z` : undefined);

// The escalation plan: a route for each open recovery and each provider with unresolved retries. A preview, saved on request.

import { actForm } from "./acknowledge.js";
import { ask } from "./api.js";
import { ESCALATION, announce, el, facts, emptyState, plural, providerName, span, stamp, swap, tag, time, whole, words } from "./dom.js";
import { asOf, isPast } from "./moment.js";
import { tabs } from "./nav.js";
import { table } from "./table.js";

export async function render(params, context, root) {
  const plan = await ask("/escalation-plan", { as_of: asOf() });
  const maySave = !isPast() && (!context.status || context.status.scopes.includes("plan"));
  const savePlan = () => actForm("Save the plan", "Leaves an evidence record, which counts as an escalation of each recovery in the plan. Nothing is sent.", [], context,
    ({ by }) => ask(`@${ESCALATION}`, {}, { generated_by: by }), ({ metadata }) => {
      swap(root, view(plan, savedNote(metadata)));
      announce("The plan is saved");
    }, "Save", "Saved");
  return view(plan, [el("p", { class: "soft" }, "Preview only, not saved."),
    maySave && el("p", { class: "acts" }, el("button", { type: "button", class: "main", "data-key": "store", onclick: savePlan }, "Save the plan"))]);
}

const savedNote = (metadata) => [el("p", { role: "status" }, el("strong", {}, "Saved. "), `Requested by ${metadata.signer} at ${stamp(metadata.created_at)}. Nothing was sent.`),
  el("p", { class: "soft" }, `Its evidence record is ${metadata.session_id}.`)];

/** The page of a plan; `state` says whether it is saved. */
function view(plan, state) {
  const isKnown = plan.alert_level !== "unknown";
  return [tabs("recoveries", "escalation"),
    el("section", { class: `verdict ${plan.alert_level}`, "aria-label": "The plan" },
      el("p", { class: "state" }, plan.escalation_count ? `${plural(plan.escalation_count, "escalation")}, ${plan.critical_escalation_count} critical` : isKnown ? "Nothing has to be escalated" : "No recovery is known"),
      el("p", { class: "soft" }, `As of ${stamp(plan.as_of)}. Notifying: ${plan.selected_providers.join(", ") || "no one; name connectors in CAVRA_ESCALATION_CONNECTORS"}.`), state),
    isKnown && facts([["Open recoveries", plan.open_recovery_count], ["Past the limit", plan.slo_breached_count], ["At risk", plan.slo_at_risk_count], ["Audit retries failed", plan.failed_execution_count]]),
    plan.escalation_routes.length ? routes(plan.escalation_routes)
      : emptyState(isKnown ? "There is no open recovery and no unresolved retry." : "No recovery playbook has arrived, so this is no all-clear.", "A recovery opens when a playbook names a connector that fails often.")];
}

const routes = (rows) => table({ key: "routes", caption: "Routes", rows, columns: [
  { name: "provider", title: "Provider", value: (route) => providerName(route.provider), cell: (route) => [providerName(route.provider), el("small", {}, whole(route.playbook_id || words(route.category.replaceAll("-", "_"))))] },
  { name: "severity", title: "Severity", value: (route) => route.severity, cell: (route) => tag(route.severity) },
  { name: "do", title: "What to do", value: (route) => route.recommended_action },
  { name: "age", title: "Open for", value: (route) => route.age_minutes, cell: (route) => (route.age_minutes === null ? "–" : whole(span(route.age_minutes * 60000))) },
  { name: "due", title: "Due", value: (route) => route.slo_due_at, cell: (route) => time(route.slo_due_at) },
  { name: "failures", title: "Failures", value: (route) => route.failure_count, number: true },
] });

// The escalation plan: a route for each open recovery and each provider with unresolved retries. A preview, saved on request.

import { ask } from "./api.js";
import { ESCALATION, announce, busy, el, facts, emptyState, plural, problem, providerName, span, stamp, swap, tag, time, whole, words } from "./dom.js";
import { asOf, isPast } from "./moment.js";
import { tabs } from "./nav.js";
import { table } from "./table.js";

export async function render(params, context) {
  const plan = await ask("/escalation-plan", { as_of: asOf() });
  const isKnown = plan.alert_level !== "unknown";
  const message = el("div", { role: "status" });
  const store = async ({ currentTarget: button }) => {
    try {
      const { metadata } = await busy(button, "Saving …", () => ask(`@${ESCALATION}`, {}, {}));
      swap(message, el("p", { class: "notice calm" }, `Saved as evidence: ${metadata.session_id}. Nothing was sent.`));
      announce("The plan is saved");
    } catch (error) {
      swap(message, problem(error));
    }
  };
  const maySave = !isPast() && (!context.status || context.status.scopes.includes("plan"));
  return [tabs("recoveries", "escalation"),
    el("section", { class: `verdict ${plan.alert_level}`, "aria-label": "The plan" },
      el("p", { class: "state" }, plan.escalation_count ? `${plural(plan.escalation_count, "escalation")}, ${plan.critical_escalation_count} critical` : isKnown ? "Nothing has to be escalated" : "No recovery is known"),
      el("p", { class: "soft" }, `As of ${stamp(plan.as_of)}. Notifying: ${plan.selected_providers.join(", ") || "no one; name connectors in CAVRA_ESCALATION_CONNECTORS"}. Preview only, not saved.`),
      maySave && el("p", { class: "acts" }, el("button", { type: "button", class: "main", "data-key": "store", onclick: store }, "Save the plan"))), message,
    facts([["Open recoveries", plan.open_recovery_count], ["Past the limit", plan.slo_breached_count], ["At risk", plan.slo_at_risk_count], ["Failed retries", plan.failed_execution_count]]),
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

// The retry plan of a lane: a policy with a preview, which can be saved.

import { actForm } from "./acknowledge.js";
import { ask } from "./api.js";
import { filterOf, summaryOf, planReport } from "./decisions.js";
import { LANES, announce, el, field, hash, laneChoice, loading, problem, say, swap, words } from "./dom.js";
import { POLICIES } from "./lanes.js"; // written by the server
import { asOf, isPast } from "./moment.js";
import { tabs } from "./nav.js";
import { withMessages } from "./validity.js";

const number = (name, attributes, value) => el("input", { name, type: "number", inputmode: "decimal", value: value ?? "", ...attributes });

export async function render(params, context, root) {
  const mayPlan = !context.status || context.status.scopes.includes("plan");
  const result = el("div", {});
  const lane = LANES.includes(params.lane) ? params.lane : "executive_report";
  const form = el("form", { "aria-label": "Retry policy" },
    el("div", { class: "fields" },
      laneChoice(lane),
      field("Max attempts", number("max_retry_attempts", { min: 1, max: 100, step: 1 }, params.max_retry_attempts), "1 to 100. A delivery is exhausted after this many failures."),
      field("Delay (minutes)", number("retry_delay_minutes", { min: 0, max: 525600, step: "any" }, params.retry_delay_minutes), "0 to 525,600.")),
    el("p", { class: "soft" }, "An empty field is the lane's own value, shown in grey."),
    el("details", { "data-key": "policy", open: isUnusual(params) }, el("summary", {}, "The rest of the policy"), el("div", { class: "fields" },
      field("Backoff", number("backoff_multiplier", { min: 1, max: 100, step: "any" }, params.backoff_multiplier), "1 to 100. Each further failure multiplies the delay."),
      field("Max delay (minutes)", number("max_retry_delay_minutes", { min: 1, max: 525600, step: "any" }, params.max_retry_delay_minutes), "1 to 525,600."),
      field("Never retry these statuses", el("input", { name: "non_retryable_status_codes", pattern: "\\s*([1-5][0-9][0-9])?([ ,]+[1-5][0-9][0-9])*\\s*", "data-fault": "Enter HTTP statuses, such as 401 404.", value: params.non_retryable_status_codes || "" }), "HTTP statuses, such as 401 404, separated by spaces.")),
    checkbox("allow_immediate_retry", "Allow an immediate retry (a delay under one minute)", params.allow_immediate_retry)),
    el("p", { class: "acts" }, el("button", { "data-key": "look" }, "Preview")));
  const savePlan = () => actForm("Save the plan", "Leaves an evidence record and lists the plan in the history, so that the worker can execute it. Nothing is sent.", [], context,
    ({ by }) => fetchPlan(form, params, { isSaved: true, by }), (answer) => show(answer, true), "Save", "Saved");
  const show = async ({ planAnswer, policy }, isSaved, filter = { find: params.subject, by_provider: params.provider }) => {
    const save = mayPlan && !isPast() && !isSaved && ((buttonClass) => el("button", { type: "button", class: buttonClass, "data-key": "save-plan", onclick: savePlan }, "Save the plan"));
    const note = isPast() ? "A plan is saved as of now: choose Now above to do so." : mayPlan ? "Saving leaves an evidence record and puts the plan in the history, so that the worker can execute it. Nothing is sent."
      : "Your token may preview a plan, not save one: that needs the scope plan.";
    swap(result, await planReport(planAnswer, policy, isPast(), context, [save, note], filter, reload));
    announce(summaryOf(planAnswer));
  };
  const reload = async (outcome, section) => {
    if (!root.isConnected) return;
    await show(await fetchPlan(form, params), false, filterOf(result));
    if (section) return;
    result.querySelector("#decisions")?.focus({ preventScroll: true });
    say(root, outcome);
  };
  const draw = async () => {
    root.querySelector("#result")?.remove();
    swap(result, loading(`the plan of ${words(form.elements.lane.value)}`));
    try {
      await show(await fetchPlan(form, params), false);
    } catch (error) {
      swap(result, problem(error));
    }
  };
  const placeholders = () => {
    for (const [name, value] of Object.entries(POLICIES[form.elements.lane.value])) form.elements[name].placeholder = value.toLocaleString("en");
  };
  form.addEventListener("change", placeholders);
  placeholders();
  form.addEventListener("submit", (event) => { event.preventDefault(); draw(); });
  swap(root, tabs("plan", "plan", `?lane=${lane}`), withMessages(form), result);
  await draw();
}

const isUnusual = (params) => ["backoff_multiplier", "max_retry_delay_minutes", "non_retryable_status_codes", "allow_immediate_retry"].some((name) => params[name]);

function checkbox(name, text, value) {
  const input = el("input", { name, type: "checkbox", id: `f-${name}`, checked: value === "on" });
  return el("div", { class: "field check" }, input, el("label", { for: input.id }, text));
}

/** Fetches or saves a plan; returns it with the policy as the API's query parameters. */
async function fetchPlan(form, params, { isSaved = false, by } = {}) {
  const values = Object.fromEntries(new FormData(form));
  history.replaceState(history.state, "", hash("plan", { ...values, subject: params.subject, provider: params.provider, as_of: params.as_of }));
  const { lane, non_retryable_status_codes: codes, allow_immediate_retry: immediate, ...numbers } = values;
  const policy = Object.fromEntries(Object.entries(numbers).filter(([, value]) => value !== "").map(([name, value]) => [name, Number(value)]));
  if (immediate) policy.allow_immediate_retry = true;
  const statuses = codes.match(/\d+/g);
  if (statuses) policy.non_retryable_status_codes = statuses.map(Number);
  const planAnswer = isSaved
    ? await ask(`/lanes/${lane}/plan`, {}, { retry_policy: policy, as_of: asOf(), generated_by: by, keep: true })
    : await ask(`/lanes/${lane}/plan`, { ...policy, as_of: asOf() });
  return { planAnswer, policy };
}

// Navigation: grouped links with icons, a menu on a phone, and tabs within a view.

import { el } from "./dom.js";
import { icon } from "./icons.js";

const GROUPS = [
  ["Act", ["overview", "incidents", "alerts", "plan", "recoveries"]],
  ["Look closer", ["health", "slots", "sources", "evidence", "intake"]],
  ["Report", ["executive", "history", "api"]],
];

/** Parent in the navigation of views that are a tab or a detail page. */
export const HOMES = { closure: "recoveries", escalation: "recoveries", worker: "plan", forecast: "plan", incident: "incidents", delivery: "health", alert: "alerts" };

export function drawNavigation(nav, views) {
  const menu = document.getElementById("menu");
  const open = (isOpen) => {
    menu.setAttribute("aria-expanded", String(isOpen));
    nav.classList.toggle("open", isOpen);
  };
  menu.addEventListener("click", () => open(menu.getAttribute("aria-expanded") !== "true"));
  nav.append(...GROUPS.map(([title, names]) => el("section", { "aria-label": title }, el("h2", {}, title),
    el("ul", {}, names.map((name) => el("li", {}, el("a", { href: `#/${name}`, "data-view": name }, icon(name), views[name].title)))))));
  return (name) => {
    open(false);
    for (const link of nav.querySelectorAll("a")) {
      if (link.dataset.view === (HOMES[name] ?? name)) link.setAttribute("aria-current", "page");
      else link.removeAttribute("aria-current");
    }
  };
}

const TABS = {
  recoveries: [["recoveries", "Recoveries"], ["escalation", "Escalation plan"], ["closure", "Closure"]],
  plan: [["plan", "Retry plan"], ["worker", "Worker"], ["forecast", "Forecast"]],
};

/** The tabs of a group of views, as links. */
export const tabs = (group, current, suffix = "") => el("nav", { class: "tabs", "aria-label": "Parts of this view" }, el("ul", {},
  TABS[group].map(([name, title]) => el("li", {}, el("a", { href: `#/${name}${suffix}`, "data-key": `tab-${name}`, "aria-current": name === current && "page" }, title)))));

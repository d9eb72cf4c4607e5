// Navigation: grouped links with icons, a menu on a phone, and tabs within a view.

import { el } from "./dom.js";
import { icon } from "./icons.js";

const GROUPS = [
  ["Act", ["overview", "incidents", "alerts", "plan", "recoveries"]],
  ["Look closer", ["health", "slots", "sources", "evidence", "intake"]],
  ["Report", ["executive", "history", "api"]],
];

/** A button that opens and closes a panel of a narrow screen; opening one closes the others, and so does Escape. Returns a function that opens or closes it. */
export function panelButton(button, panel) {
  const open = (isOpen) => {
    button.setAttribute("aria-expanded", String(isOpen));
    panel.classList.toggle("open", isOpen);
  };
  button.addEventListener("click", () => {
    const isOpen = button.getAttribute("aria-expanded") !== "true";
    for (const close of closers) close();
    open(isOpen);
  });
  closers.push(() => open(false));
  return open;
}

const closers = [];
document.addEventListener("keydown", (event) => {
  const opened = document.querySelector(".side button[aria-expanded=true]");
  if (event.key !== "Escape" || !opened || document.querySelector("dialog[open]")) return;
  for (const close of closers) close();
  opened.focus();
});

/** Parent in the navigation of views that are a tab or a detail page. */
const HOMES = { closure: "recoveries", escalation: "recoveries", worker: "plan", forecast: "plan", incident: "incidents", delivery: "plan", alert: "alerts" };

export function drawNavigation(nav, views) {
  const open = panelButton(document.getElementById("menu"), nav);
  nav.append(...GROUPS.map(([title, names]) => el("section", { "aria-label": title }, el("h2", {}, title),
    el("ul", {}, names.map((name) => el("li", {}, el("a", { href: `#/${name}`, "data-view": name }, icon(name), views[name].title)))))));
  return (name) => {
    open(false);
    const home = HOMES[name] ?? name;
    for (const link of nav.querySelectorAll("a")) {
      if (link.dataset.view === home) link.setAttribute("aria-current", "page");
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

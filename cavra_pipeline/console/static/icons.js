// Icons of the console, in the colour of the adjacent text; each has a text beside it.

import { svg } from "./dom.js";

const PATHS = {
  overview: "M4 11l8-7 8 7M6 10v10h12V10M10 20v-6h4v6",
  incidents: "M12 4l9 16H3zM12 10v5M12 17.5v.5",
  health: "M3 12h4l3-7 4 14 3-7h4",
  plan: "M5 5h14M5 12h9M5 19h5M15 17l3 3 4-6",
  recoveries: "M4 12a8 8 0 1 0 3-6M4 4v4h4",
  alerts: "M6 10a6 6 0 0 1 12 0c0 6 2 7 2 7H4s2-1 2-7M10 20h4",
  slots: "M4 6h16v14H4zM4 10h16M8 3v4M16 3v4",
  sources: "M4 7c0-2 16-2 16 0v10c0 2-16 2-16 0zM4 7c0 2 16 2 16 0M4 12c0 2 16 2 16 0",
  evidence: "M6 3h8l4 4v14H6zM14 3v4h4M9 12h6M9 16h6",
  history: "M4 20V4M4 20h16M8 16l4-5 3 2 5-7",
  intake: "M12 3l8 3v6c0 5-4 8-8 9-4-1-8-4-8-9V6zM9 12h6",
  executive: "M5 20V10M10 20V4M15 20v-7M20 20V8",
  api: "M8 7l-5 5 5 5M16 7l5 5-5 5M13 4l-2 16",
};

export const icon = (name) => svg("svg", { class: "icon", viewBox: "0 0 24 24", "aria-hidden": "true" },
  svg("path", { d: PATHS[name] }));

// Sortable tables. Roles are explicit, since the phone's block layout drops the implicit ones.

import { announce, el, plural, unbroken } from "./dom.js";

/** Tables with at most this many rows need no sorting. */
const FEW = 3;

/** Sort order by table key: survives a live refresh, cleared when the view changes. */
const orders = new Map();
export const forgetOrders = () => orders.clear();

/**
 * columns: [{name, title, value: row => text or number to sort by, cell: row => node (value if not given), number}].
 * The first column is the row header; `note` follows the row count; `isTitled` is false below a heading of the same text.
 */
export function table({ key, caption, columns, rows, note = null, empty = "nothing.", sorts: maySort = true, isTitled = true }) {
  const sorts = maySort && rows.length > FEW;
  const body = el("tbody", { role: "rowgroup" });
  const draw = () => {
    const order = orders.get(key);
    const sortColumn = order && columns.find((column) => column.name === order.name);
    const sortedRows = sortColumn ? [...rows].sort((a, b) => compare(sortColumn.value(a), sortColumn.value(b)) * (order.down ? -1 : 1)) : rows;
    body.replaceChildren(...sortedRows.map((row) => el("tr", { role: "row" }, columns.map((column, at) => {
      const content = column.cell ? column.cell(row) : text(column.value(row));
      const parts = [content].flat(Infinity).map((part) => (typeof part === "string" ? unbroken(part) : part));
      return el(at ? "td" : "th", {
        role: at ? "cell" : "rowheader", scope: at ? null : "row", class: content === "–" ? "none" : column.number && "number", "data-label": column.title,
      }, parts);
    }))));
    for (const head of heads) {
      const isSorted = order && head.dataset.name === order.name;
      if (isSorted) head.setAttribute("aria-sort", order.down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
  };
  const heads = columns.map((column) => el("th", { role: "columnheader", scope: "col", class: column.number && "number", "data-name": column.name },
    sorts && column.value ? el("button", {
      type: "button", class: "sort", "data-key": `${key}-${column.name}`,
      onclick: () => {
        const order = { name: column.name, down: orders.get(key)?.name === column.name && !orders.get(key).down };
        orders.set(key, order);
        draw();
        announce(`Sorted by ${column.title}, ${order.down ? "descending" : "ascending"}`);
      },
    }, column.title) : column.title));
  draw();
  if (!rows.length) return el("p", { class: "soft" }, `${caption}: ${empty}`);
  return el("table", { role: "table", class: sorts ? "stack sorts" : "stack" },
    el("caption", { class: isTitled ? null : "bare" }, el("span", { class: isTitled ? null : "unseen" }, `${caption} `), el("small", {}, plural(rows.length, "row"), note && `; ${note}`)),
    el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, heads)), body);
}

/** A region that scrolls sideways if its table is wider than the screen. */
export const scrollRegion = (id, label, content) => el("div", { class: "across", id, tabindex: "0", role: "region", "aria-label": label }, content);

const text = (value) => (value === null || value === undefined || value === "" ? "–" : typeof value === "number" ? value.toLocaleString("en") : String(value));

function compare(a, b) {
  const [x, y] = [a ?? "", b ?? ""];
  return typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y), "en", { numeric: true });
}

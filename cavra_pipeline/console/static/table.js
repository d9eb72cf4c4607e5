// Tables that sort; their roles are written out, since a table laid out in blocks on a phone loses them.

import { announce, el, plural } from "./dom.js";

/** So many rows are seen at once: there is nothing to sort. */
const FEW = 3;

/** The order of each table by its key, which a refresh keeps and the next view does not. */
const orders = new Map();
export const forgetOrders = () => orders.clear();

/**
 * columns: [{name, title, value: row => text or number to sort by, cell: row => node (value if not given), number}].
 * The first column is the row's header. `note` follows the number of rows. Where a heading stands above, `isTitled` is false.
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
      return el(at ? "td" : "th", {
        role: at ? "cell" : "rowheader", scope: at ? null : "row", class: content === "–" ? "none" : column.number && "number", "data-label": column.title,
      }, content);
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

/** A region that scrolls by itself where its table is wider than the screen. */
export const scrollRegion = (id, label, content) => el("div", { class: "across", id, tabindex: "0", role: "region", "aria-label": label }, content);

const text = (value) => (value === null || value === undefined || value === "" ? "–" : typeof value === "number" ? value.toLocaleString("en") : String(value));

function compare(a, b) {
  const [x, y] = [a ?? "", b ?? ""];
  return typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y), "en", { numeric: true });
}

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
    const column = order && columns.find((one) => one.name === order.name);
    const shown = column ? [...rows].sort((a, b) => compare(column.value(a), column.value(b)) * (order.down ? -1 : 1)) : rows;
    body.replaceChildren(...shown.map((row) => el("tr", { role: "row" }, columns.map((one, at) => {
      const content = one.cell ? one.cell(row) : text(one.value(row));
      return el(at ? "td" : "th", {
        role: at ? "cell" : "rowheader", scope: at ? null : "row", class: content === "–" ? "none" : one.number && "number", "data-label": one.title,
      }, content);
    }))));
    for (const head of heads) {
      const is = order && head.dataset.name === order.name;
      if (is) head.setAttribute("aria-sort", order.down ? "descending" : "ascending");
      else head.removeAttribute("aria-sort");
    }
  };
  const heads = columns.map((one) => el("th", { role: "columnheader", scope: "col", class: one.number && "number", "data-name": one.name },
    sorts && one.value ? el("button", {
      type: "button", class: "sort", "data-key": `${key}-${one.name}`,
      onclick: () => {
        const order = { name: one.name, down: orders.get(key)?.name === one.name && !orders.get(key).down };
        orders.set(key, order);
        draw();
        announce(`Sorted by ${one.title}, ${order.down ? "descending" : "ascending"}`);
      },
    }, one.title) : one.title));
  draw();
  if (!rows.length) return el("p", { class: "soft" }, `${caption}: ${empty}`);
  return el("table", { role: "table", class: sorts ? "stack sorts" : "stack" },
    el("caption", { class: isTitled ? null : "bare" }, el("span", { class: isTitled ? null : "unseen" }, `${caption} `), el("small", {}, plural(rows.length, "row"), note && `; ${note}`)),
    el("thead", { role: "rowgroup" }, el("tr", { role: "row" }, heads)), body);
}

/** A region that scrolls by itself where its table is wider than the screen. */
export const across = (id, label, content) => el("div", { class: "across", id, tabindex: "0", role: "region", "aria-label": label }, content);

const text = (value) => (value === null || value === undefined || value === "" ? "–" : typeof value === "number" ? value.toLocaleString("en") : String(value));

function compare(a, b) {
  const [x, y] = [a ?? "", b ?? ""];
  return typeof x === "number" && typeof y === "number" ? x - y : String(x).localeCompare(String(y), "en", { numeric: true });
}

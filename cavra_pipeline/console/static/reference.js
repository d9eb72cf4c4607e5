// The API reference: every operation of /openapi.json with its parameters, its body, an example and a form to try it.

import { ask, askAnswer, query } from "./api.js";
import { announce, el, field, nothing, plural, problem, save, swap, tag, visible, words } from "./dom.js";

const COLOURS = { get: "calm", post: "warning" };

export async function render(params) {
  const document_ = await ask("@/openapi.json");
  const groups = Map.groupBy(operationsOf(document_), (one) => one.tags?.[0] ?? "other");
  const held = el("div", {});
  const find = el("input", { name: "find", type: "search", value: params.find || "", autocomplete: "off" });
  const draw = () => {
    const needle = find.value.trim().toLowerCase();
    const fits = (one) => !needle || `${one.method} ${one.path} ${one.summary} ${one.operationId}`.toLowerCase().includes(needle);
    const shown = [...groups].map(([tag_, all]) => [tag_, all.filter(fits)]).filter(([, all]) => all.length);
    swap(held, shown.map(([tag_, all]) => el("section", { "aria-label": tag_ }, el("h2", {}, words(tag_)), all.map((one) => operation(one, document_)))),
      !shown.length && nothing("No operation matches.", "Search by path, method or word."));
    announce(`${plural(shown.reduce((sum, [, all]) => sum + all.length, 0), "operation")} shown`);
  };
  find.addEventListener("input", draw);
  draw();
  return [el("p", {}, `${document_.info.description} Version ${document_.info.version}. `, el("a", { href: "/openapi.json" }, "OpenAPI document"), ". Requests you try use this page's token."),
    el("form", { role: "search", "aria-label": "Find an operation", onsubmit: (event) => event.preventDefault() }, el("div", { class: "fields" }, field("Find", find, "Searches paths and summaries."))), held];
}

/** A description: its words between backticks as code. */
const described = (text) => text.split(/`([^`]+)`/).map((part, at) => (at % 2 ? el("code", {}, part) : part));

const hintOf = ({ description, schema }) => (description ?? schema?.description ? described(description ?? schema.description) : null);

const operationsOf = ({ paths }) => Object.entries(paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, one]) => ({ path, method, ...one })));

function operation(one, document_) {
  const box = el("details", { class: "operation", "data-key": `op-${one.operationId}` },
    el("summary", {}, tag(COLOURS[one.method], one.method.toUpperCase()), " ", el("code", {}, one.path), " ", el("span", { class: "soft" }, described(one.summary))));
  // Drawn when it is opened: the document is long.
  box.addEventListener("toggle", () => { if (box.open && box.childElementCount === 1) box.append(...body(one, document_)); });
  return box;
}

const resolved = (schema, document_) => (schema?.$ref ? document_.components.schemas[schema.$ref.split("/").pop()] : schema);
const isList = (schema) => schema?.type === "array" || Boolean(schema?.anyOf?.some(isList));
const typeOf = (schema) => schema?.enum?.join(" | ") ?? schema?.anyOf?.map(typeOf).filter((one) => one !== "null").join(" or ") ?? schema?.type ?? schema?.$ref?.split("/").pop() ?? "any";

function body(one, document_) {
  const bodySchema = resolved(one.requestBody?.content["application/json"]?.schema, document_);
  const answer = Object.entries(one.responses).find(([status]) => status < 300);
  const example = answer?.[1].content?.["application/json"]?.example;
  const others = Object.entries(one.responses).filter(([status]) => status >= 300);
  return [el("p", {}, described((one.description ?? "").replace(/\s*Scope: `\w+`\./, "")), " ", el("span", { class: "soft" }, `Scope: ${one["x-scope"]}.`)), trial(one, bodySchema, document_),
    example !== undefined && el("details", {}, el("summary", {}, `Example answer (${answer[0]})`), el("pre", { tabindex: "0" }, JSON.stringify(example, null, 2))),
    el("details", {}, el("summary", {}, "Errors"), el("ul", { class: "plain" }, others.map(([status, { description }]) => el("li", {}, `${status}: ${description}`))))];
}

function trial(one, bodySchema, document_) {
  const result = el("div", { "aria-live": "polite" });
  const parameters = (one.parameters || []).filter((given) => given.in !== "header");
  const inputs = parameters.map((given) => el("input", { name: `${one.operationId}-${given.name}`, required: given.required, placeholder: typeOf(given.schema), value: "" }));
  const text = bodySchema && el("textarea", { name: `${one.operationId}-body`, rows: 6, spellcheck: "false", value: JSON.stringify(sample(bodySchema, document_), null, 2) });
  const send = async (event) => {
    event.preventDefault();
    let path = one.path;
    const asked = {};
    parameters.forEach((given, at) => {
      const value = inputs[at].value.trim();
      if (given.in === "path") path = path.replace(`{${given.name}}`, encodeURIComponent(value));
      else if (value) asked[given.name] = isList(given.schema) ? value.split(/\s+/) : value;
    });
    try {
      const answer = await askAnswer(`@${path}`, asked, text ? JSON.parse(text.value) : undefined, one.method.toUpperCase());
      swap(result, el("p", { class: "soft" }, `${one.method.toUpperCase()} ${path}${query(asked)}`), await shownAnswer(answer, one));
    } catch (error) {
      swap(result, error instanceof SyntaxError ? el("p", { class: "notice", role: "alert" }, "The body is not JSON.") : problem(error));
    }
  };
  return el("form", { "aria-label": `Try ${one.operationId}`, onsubmit: send },
    el("div", { class: "fields" }, parameters.map((given, at) => field(`${given.name}${given.required ? " (required)" : ""}`, inputs[at], hintOf(given)))),
    text && field("Body", text), el("p", { class: "acts" }, el("button", { class: one.method === "get" ? "main" : "" }, one.method === "get" ? "Try it" : "Send it")), result);
}

/** The answer's text, or a button to save a file. */
async function shownAnswer(answer, one) {
  const type = answer.headers.get("Content-Type") ?? "";
  if (/^(text\/|application\/([a-z.+-]+\+)?json)/.test(type) || !type) return el("pre", { tabindex: "0", "aria-label": "Answer" }, visible((await answer.text()).slice(0, 20000)));
  const content = await answer.blob();
  const name = /filename="([^"]+)"/.exec(answer.headers.get("Content-Disposition") ?? "")?.[1] ?? one.operationId;
  return el("p", { class: "acts" }, el("button", { type: "button", onclick: () => save(name, type, content) }, `Download ${name}`),
    el("span", { class: "soft" }, `${type}, ${plural(content.size, "byte")}`));
}

/** A body to begin with: the required members with their examples. */
function sample(schema, document_) {
  return Object.fromEntries(Object.entries(schema.properties || {}).filter(([name]) => (schema.required || []).includes(name))
    .map(([name, one]) => [name, one.examples?.[0] ?? resolved(one, document_)?.enum?.[0] ?? one.default ?? (one.type === "integer" ? one.minimum ?? 1 : "")]));
}

// The API reference: every operation of /openapi.json with its parameters, its body, an example and a form to try it.

import { ask, askAnswer, query } from "./api.js";
import { announce, choice, el, field, emptyState, plural, problem, save, swap, tag, visible, words } from "./dom.js";

const COLOURS = { get: "calm", post: "warning" };

export async function render(params) {
  const document_ = await ask("@/openapi.json");
  const groups = Map.groupBy(operationsOf(document_), (operation) => operation.tags?.[0] ?? "other");
  const result = el("div", {});
  const find = el("input", { name: "find", type: "search", value: params.find || "", autocomplete: "off" });
  const draw = () => {
    const needle = find.value.trim().toLowerCase();
    const isMatch = (operation) => !needle || `${operation.method} ${operation.path} ${operation.summary} ${operation.operationId}`.toLowerCase().includes(needle);
    const matches = [...groups].map(([tag_, operations]) => [tag_, operations.filter(isMatch)]).filter(([, operations]) => operations.length);
    swap(result, matches.map(([tag_, operations]) => el("section", { "aria-label": tag_ }, el("h2", {}, words(tag_)), operations.map((operation) => operationBox(operation, document_)))),
      !matches.length && emptyState("No operation matches.", "Search by path, method or word."));
    announce(`${plural(matches.reduce((sum, [, operations]) => sum + operations.length, 0), "operation")} shown`);
  };
  find.addEventListener("input", draw);
  draw();
  return [el("p", {}, `${document_.info.description} Version ${document_.info.version}. `, el("a", { href: "/openapi.json" }, "OpenAPI document"), ". Requests you try use this page's token."),
    el("form", { role: "search", "aria-label": "Find an operation", onsubmit: (event) => event.preventDefault() }, el("div", { class: "fields" }, field("Find", find, "Searches paths and summaries."))), result];
}

/** Formats text between backticks as code. */
const descriptionNodes = (text) => text.split(/`([^`]+)`/).map((part, at) => (at % 2 ? el("code", {}, part) : part));

const hintOf = ({ description, schema }) => (description ?? schema?.description ? descriptionNodes(description ?? schema.description) : null);

const operationsOf = ({ paths }) => Object.entries(paths).flatMap(([path, methods]) => Object.entries(methods).map(([method, operation]) => ({ path, method, ...operation })));

function operationBox(operation, document_) {
  const box = el("details", { class: "operation", "data-key": `op-${operation.operationId}` },
    el("summary", {}, tag(COLOURS[operation.method], operation.method.toUpperCase()), " ", el("code", {}, operation.path), " ", el("span", { class: "soft" }, descriptionNodes(operation.summary))));
  // Drawn when opened: the document is long.
  box.addEventListener("toggle", () => { if (box.open && box.childElementCount === 1) box.append(...body(operation, document_)); });
  return box;
}

const resolved = (schema, document_) => (schema?.$ref ? document_.components.schemas[schema.$ref.split("/").pop()] : schema);
const isList = (schema) => schema?.type === "array" || Boolean(schema?.anyOf?.some(isList));
const typeOf = (schema) => schema?.enum?.join(" | ") ?? schema?.anyOf?.map(typeOf).filter((type) => type !== "null").join(" or ") ?? schema?.type ?? schema?.$ref?.split("/").pop() ?? "any";

/** The words that a parameter may be, if they are declared. */
const choicesOf = (schema, document_) => resolved(schema, document_)?.enum ?? schema?.anyOf?.map((part) => choicesOf(part, document_)).find(Boolean);

/** A field for a parameter: a list where its words are declared. */
function inputOf({ name, required, schema }, operation, document_) {
  const fieldName = `${operation.operationId}-${name}`;
  const choices = choicesOf(schema, document_);
  if (!choices) return el("input", { name: fieldName, required, placeholder: typeOf(schema), value: "" });
  return choice(fieldName, [...(required ? [] : [["", "not given"]]), ...choices.map((word) => [String(word), String(word)])], "");
}

function body(operation, document_) {
  const bodySchema = resolved(operation.requestBody?.content["application/json"]?.schema, document_);
  const answer = Object.entries(operation.responses).find(([status]) => status < 300);
  const example = answer?.[1].content?.["application/json"]?.example;
  const errors = Object.entries(operation.responses).filter(([status]) => status >= 300);
  return [el("p", {}, descriptionNodes((operation.description ?? "").replace(/\s*Scope: `\w+`\./, "")), " ", el("span", { class: "soft" }, `Scope: ${operation["x-scope"]}.`)), tryForm(operation, bodySchema, document_),
    example !== undefined && el("details", {}, el("summary", {}, `Example answer (${answer[0]})`), el("pre", { tabindex: "0" }, JSON.stringify(example, null, 2))),
    el("details", {}, el("summary", {}, "Errors"), el("ul", { class: "plain" }, errors.map(([status, { description }]) => el("li", {}, `${status}: ${description}`))))];
}

function tryForm(operation, bodySchema, document_) {
  const result = el("div", { "aria-live": "polite" });
  const parameters = (operation.parameters || []).filter((parameter) => parameter.in !== "header");
  const inputs = parameters.map((parameter) => inputOf(parameter, operation, document_));
  const text = bodySchema && el("textarea", { name: `${operation.operationId}-body`, rows: 6, spellcheck: "false", value: JSON.stringify(sampleBody(bodySchema, document_), null, 2) });
  const send = async (event) => {
    event.preventDefault();
    let path = operation.path;
    const queryParameters = {};
    parameters.forEach((parameter, at) => {
      const value = inputs[at].value.trim();
      if (parameter.in === "path") path = path.replace(`{${parameter.name}}`, encodeURIComponent(value));
      else if (value) queryParameters[parameter.name] = isList(parameter.schema) ? value.split(/\s+/) : value;
    });
    try {
      const answer = await askAnswer(`@${path}`, queryParameters, text ? JSON.parse(text.value) : undefined, operation.method.toUpperCase());
      swap(result, el("p", { class: "soft" }, `${operation.method.toUpperCase()} ${path}${query(queryParameters)}`), await shownAnswer(answer, operation));
    } catch (error) {
      swap(result, error instanceof SyntaxError ? el("p", { class: "notice", role: "alert" }, "The body is not JSON.") : problem(error));
    }
  };
  return el("form", { "aria-label": `Try ${operation.operationId}`, onsubmit: send },
    el("div", { class: "fields" }, parameters.map((parameter, at) => field(`${parameter.name}${parameter.required ? " (required)" : ""}`, inputs[at], hintOf(parameter)))),
    text && field("Body", text), el("p", { class: "acts" }, el("button", { class: operation.method === "get" ? "main" : "" }, operation.method === "get" ? "Try it" : "Send it")), result);
}

/** The answer as text, or a button that saves it as a file. */
async function shownAnswer(answer, operation) {
  const type = answer.headers.get("Content-Type") ?? "";
  if (/^(text\/|application\/([a-z.+-]+\+)?json)/.test(type) || !type) return el("pre", { tabindex: "0", "aria-label": "Answer" }, visible((await answer.text()).slice(0, 20000)));
  const content = await answer.blob();
  const name = /filename="([^"]+)"/.exec(answer.headers.get("Content-Disposition") ?? "")?.[1] ?? operation.operationId;
  return el("p", { class: "acts" }, el("button", { type: "button", onclick: () => save(name, type, content) }, `Download ${name}`),
    el("span", { class: "soft" }, `${type}, ${plural(content.size, "byte")}`));
}

/** An example body: the required members with their examples. */
function sampleBody(schema, document_) {
  return Object.fromEntries(Object.entries(schema.properties || {}).filter(([name]) => (schema.required || []).includes(name))
    .map(([name, property]) => [name, property.examples?.[0] ?? resolved(property, document_)?.enum?.[0] ?? property.default ?? (property.type === "integer" ? property.minimum ?? 1 : "")]));
}

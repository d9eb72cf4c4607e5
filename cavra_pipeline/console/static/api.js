// Client of this service's API. The token is stored in the tab's session storage only.

const KEY = "cavra-token";

export const token = () => sessionStorage.getItem(KEY);
export function setToken(value) {
  if (value) sessionStorage.setItem(KEY, value);
  else sessionStorage.removeItem(KEY);
}

export class ApiError extends Error {
  constructor(status, document_) {
    super(document_.detail || "The service did not answer as expected.");
    this.status = status;
    this.title = document_.title;
    this.detail = document_.detail;
    this.errors = document_.errors;
  }
}

let answerListener = () => {};
/** Registers a callback that gets the headers of each answer. */
export const onAnswer = (callback) => { answerListener = callback; };

export const query = (parameters) => {
  const entries = Object.entries(parameters).filter(([, value]) => value !== "" && value !== null && value !== undefined);
  const text = new URLSearchParams(entries.flatMap(([name, value]) => [].concat(value).map((member) => [name, member]))).toString();
  return text && `?${text}`;
};

/** Sends a request to a path below /api/v1; a path that begins with @ is used as it is. */
async function request(path, parameters, body, method = body === undefined ? "GET" : "POST") {
  const headers = { Accept: "application/json" };
  if (token()) headers.Authorization = `Bearer ${token()}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let answer;
  try {
    answer = await fetch(`${path.startsWith("@") ? path.slice(1) : `/api/v1${path}`}${query(parameters)}`, {
      method, headers, cache: "no-store", credentials: "omit",
      body: body === undefined ? undefined : JSON.stringify(body),
    });
  } catch {
    throw new ApiError(0, { title: "No answer", detail: "The service cannot be reached; is it running?" });
  }
  if (!answer.ok) throw new ApiError(answer.status, await answer.json().catch(() => ({})));
  answerListener(answer.headers);
  return answer;
}

export async function ask(path, parameters = {}, body = undefined) {
  return (await request(path, parameters, body)).json().catch(() => ({}));
}

/** The Response itself, for answers that may be binary. */
export const askAnswer = request;

export const askText = async (path, parameters, body = undefined, method = undefined) => (await request(path, parameters, body, method)).text();

/** Returns null where the API has no such endpoint, so that the view can say so. */
export const askIfThere = (path, parameters) => ask(path, parameters).catch((error) => {
  if (error.status === 404) return null;
  throw error;
});

/** Fetches the pages of a list until it has `maxRows` rows. */
export async function askAll(path, member, parameters, maxRows = 1000) {
  const rows = [];
  let cursor;
  do {
    const page = await ask(path, { ...parameters, limit: 500, cursor });
    rows.push(...page[member]);
    cursor = page.next;
  } while (cursor && rows.length < maxRows);
  return { rows, isWhole: !cursor };
}

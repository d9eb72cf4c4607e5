// Proofs: the foot of a report with its proof to download and to check, and a form to check a file.

import { ask, askAnswer, askIfThere } from "./api.js";
import { canCheck, checks, UnsupportedBundle, NotProven, UNCHECKED } from "./bundle.js";
import { announce, command, el, field, plural, problem, save, stamp, swap, tag, words } from "./dom.js";
import { withMessages } from "./validity.js";

/**
 * report: the retry plan or health report on the page; `path` and `parameters` are the API's address of its bundle.
 * Fetches the bundle once: the downloaded file is the checked one.
 */
export function proofFoot(report, path, parameters = {}) {
  const id = report.retry_plan_id ?? report.health_id;
  const verb = el("span", {}, "Can be proven from");
  const basisText = el("p", { class: "based" }, "Loading what it can be proven from …");
  const result = el("div", { class: "checked" });
  let fetched;
  const bundle = () => {
    // The service verifies each bundle before it sends it.
    fetched ??= fetchBundle(path, parameters, id).then((bytes) => {
      verb.textContent = "Proven from";
      return bytes;
    }, (error) => {
      fetched = undefined;
      throw error;
    });
    return fetched;
  };
  const runWithButton = async (button, act) => {
    button.disabled = true;
    try {
      await act();
    } catch (error) {
      swap(result, problem(error));
    } finally {
      button.disabled = false;
    }
  };
  const download = ({ currentTarget: button }) => runWithButton(button, async () => save(`${id}.zip`, "application/zip", await bundle()));
  const verify = ({ currentTarget: button }) => runWithButton(button, async () => {
    swap(result, el("p", { class: "soft" }, "Checking …"));
    await showChecks(result, await bundle(), { pageReport: report }, `${id}.zip`);
  });
  const buttons = el("p", { class: "acts" },
    el("button", { type: "button", "data-key": "download-proof", onclick: download }, "Download proof"),
    el("button", { type: "button", "data-key": "verify-proof", onclick: verify }, "Verify here"));
  showBasis(basisText, verb, report, buttons);
  return el("section", { class: "proof", "aria-label": "Proof" }, basisText, buttons, result, otherFile(result));
}

async function showBasis(node, verb, report, buttons) {
  try {
    const basis = await ask(`/lanes/${report.lane}/proof`, { as_of: report.as_of });
    swap(node, verb, ` ${plural(basis.record_count, "record")} of ${plural(basis.day_count, "day")}, ${checkpointWords(basis.checkpoint)}, `,
      `${basis.signed_by ? `signed by ${basis.signed_by}` : "unsigned"}, ${witnessWords(basis.witnesses)}.`);
  } catch (error) {
    // Without a checkpoint there is nothing to download.
    buttons.hidden = error.status === 404;
    swap(node, error.detail ?? "It is not known what it can be proven from.");
  }
}

const checkpointWords = ({ size }) => `checkpoint ${size.toLocaleString("en")}`;

const witnessWords = (witnesses) => (witnesses.length
  ? `witnessed by ${witnesses.map((witness) => `${words(witness.provider)} (checkpoint ${witness.size.toLocaleString("en")}, ${stamp(witness.posted_at)})`).join(", ")}`
  : "not confirmed by a witness");

/** The foot of the executive report: its checkpoint and its proof; null without a checkpoint. */
export async function executiveFoot(report) {
  const head = await askIfThere("/checkpoints/latest", {}).catch(() => null);
  if (!head) return null;
  const id = report.executive_report_id;
  const result = el("div", { class: "checked" });
  const download = async ({ currentTarget: button }) => {
    button.disabled = true;
    try {
      save(`${id}.zip`, "application/zip", await fetchBundle("/executive-report/bundle", { as_of: report.as_of }, id));
      swap(result, el("p", {}, "It proves the numbers of this report. To check it: ", command(`python3 ${id}.zip`)));
    } catch (error) {
      swap(result, problem(error));
    } finally {
      button.disabled = false;
    }
  };
  return el("section", { class: "proof", "aria-label": "Proof" },
    el("p", { class: "based" }, `Based on the evidence up to ${checkpointWords(head)} of ${head.origin}, ${head.is_signed ? "signed" : "unsigned"}. To verify the home: `, command("cavra-pipeline verify --home")),
    el("p", { class: "acts" }, el("button", { type: "button", "data-key": "download-proof", onclick: download }, "Download proof")), result);
}

async function fetchBundle(path, parameters, id) {
  const answer = await askAnswer(path, parameters);
  const bytes = new Uint8Array(await answer.arrayBuffer());
  if (!(answer.headers.get("Content-Disposition") ?? "").includes(`"${id}.zip"`)) {
    throw { title: "The evidence has changed", detail: "It now gives a different report from the one on this page. Make the report again, then prove the new one." };
  }
  return bytes;
}

/** A form that checks a bundle file, optionally against a public key and a checkpoint. */
function otherFile(result) {
  const file = el("input", { name: "proof_file", type: "file", accept: ".zip,application/zip", required: true });
  const key = el("input", { name: "proof_key", autocomplete: "off", spellcheck: "false" });
  const checkpoint = el("textarea", { name: "proof_checkpoint", rows: 4, spellcheck: "false" });
  const form = el("form", { "aria-label": "Verify a file", onsubmit: async (event) => {
    event.preventDefault();
    swap(result, el("p", { class: "soft" }, "Checking …"));
    const raw = new Uint8Array(await file.files[0].arrayBuffer());
    await showChecks(result, raw, { key: key.value.trim(), olderCheckpoint: checkpoint.value.trim() && `${checkpoint.value.trim()}\n` }, file.files[0].name);
  } }, el("div", { class: "fields" },
    field("Proof file", file, "A file that Download proof or cavra-pipeline prove made. It stays in this browser."),
    field("Public key", key, "Optional: the one that its owner gave you."),
    field("Checkpoint", checkpoint, "Optional: the text of one that you have kept.")),
  el("p", { class: "acts" }, el("button", {}, "Verify the file")));
  return el("details", { "data-key": "other-proof" }, el("summary", {}, "Verify a proof that you have"), withMessages(form));
}

async function showChecks(result, raw, options, name) {
  if (!canCheck()) {
    swap(result, notChecked("A browser computes digests only for pages over HTTPS or on its own machine.", name));
    return;
  }
  const rows = [];
  let fault = "";
  try {
    for await (const finding of checks(raw, options)) rows.push(finding);
  } catch (error) {
    if (error instanceof UnsupportedBundle) {
      swap(result, notChecked(error.message, name));
      return;
    }
    fault = error instanceof NotProven ? error.message : `file: it can't be read (${error.name})`;
  }
  const [part, ...what] = fault.split(": ");
  const verdict = fault ? "Not proven" : rows.some((row) => row.isUnsigned) ? "What was checked holds; not signed" : "What was checked holds";
  swap(result, el("div", { class: `verdict ${fault ? "critical" : "healthy"}`, role: fault ? "alert" : null },
    el("p", { class: "state" }, verdict),
    el("ul", { class: "checks" }, rows.map((row) => checkItem(row.isUnsigned ? tag("", "not signed") : row.isUnchecked ? tag("warning", "not checked") : tag("healthy", "holds"), row.part, row.detail)),
      fault && checkItem(tag("critical", "fails"), what.length ? part : "file", what.length ? what.join(": ") : fault)),
    !fault && el("p", {}, "Not checked here, but by its own verifier (", command(`python3 ${name}`), "), which needs nothing but Python 3.11:"),
    !fault && el("ul", {}, UNCHECKED.map((text) => el("li", {}, text)))));
  announce(`${verdict}${fault ? `: ${fault}` : ""}`);
}

const notChecked = (why, name) => el("div", { class: "notice", role: "alert" }, el("p", {}, el("strong", {}, "Not checked. "),
  `${why} Check it by its own verifier: `, command(`python3 ${name}`)));

const checkItem = (mark, part, detail) => el("li", {}, mark, " ", el("strong", {}, words(part)), `: ${detail}`);

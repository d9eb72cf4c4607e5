// Checks a proof bundle in the browser, part by part. The bundle's own verifier checks more (UNCHECKED).

import { NotProven, base64, bytesOf, exactBase64, hex, join, leaves, linesOf, need, rootOf, sha256, textOf, unhex, unpack } from "./archive.js";
import { plural } from "./dom.js";

const TYPES = ["https://in-toto.io/Statement/v1", "https://cavra-pipeline.example/proof/report/v1", "application/vnd.in-toto+json"];
const IDS = ["retry_plan_id", "health_id"];
/** Members of the report on the page that its bundle omits: author, time, and what other lanes decide. */
const PAGE_MEMBERS = ["generated_at", "generated_by", "future_record_count", "provider_incident_id"];
const SUMS = "SHA256SUMS";
const ATTESTATION = "attestation.json";
const EVIDENCE = "evidence/";
const FIXED_FILES = ["__main__.py", "README.txt", "report.json", "log.jsonl", "checkpoint.txt", "key.txt"];

/** The page can't check this type of bundle; the bundle's own verifier can. */
export class UnsupportedBundle extends Error {}

/** What only the bundle's own verifier checks. */
export const UNCHECKED = [
  "that the report follows from these records in every member",
  "that each record is of this lane, and in its order",
  "that maps for light proofs are of these records, and what retention has removed",
];

/**
 * Yields each part that holds as {part, detail}, with isUnchecked where the browser can't check it and isUnsigned where there is no signature.
 * pageReport: the report on the page, or null; key and olderCheckpoint: texts that the reader already had, or "".
 */
export async function* checks(raw, { pageReport = null, key = "", olderCheckpoint = "" } = {}) {
  const files = unpack(raw);
  const fileOf = (name) => {
    need(files.has(name), `file: ${name} is missing`);
    return files.get(name);
  };
  const envelope = JSON.parse(textOf(fileOf(ATTESTATION)));
  const payload = exactBase64(envelope.payload);
  const statement = JSON.parse(textOf(payload));
  need(isEqual([statement._type, statement.predicateType, envelope.payloadType], TYPES), "file: its attestation is of a type that this page does not know");
  const predicate = statement.predicate;
  yield { part: "file", detail: await checkFiles(files, statement.subject) };
  const report = JSON.parse(textOf(fileOf("report.json")));
  if (report.executive_report_id) throw new UnsupportedBundle("This page checks the proofs of retry plans and health reports, not that of an executive report.");
  yield { part: "report", detail: await checkReport(fileOf("report.json"), report, predicate.report, pageReport) };
  const isSigned = envelope.signatures.length > 0;
  const signer = key || isSigned ? await publicKey(key || textOf(fileOf("key.txt")), predicate.log.origin) : null;
  yield await checkSignature(signer, envelope, payload, textOf(fileOf("checkpoint.txt")), Boolean(key));
  const lines = linesOf(fileOf("log.jsonl"));
  const hashes = await leaves(lines);
  const head = checkpoint(textOf(fileOf("checkpoint.txt")));
  need(lines.length && head.origin === `cavra-pipeline/${hex(hashes[0]).slice(0, 16)}`, "log: the checkpoint is that of another log");
  const root = base64(await rootOf(hashes));
  need(head.size === lines.length && head.root === root && predicate.log.origin === head.origin && predicate.log.size === head.size, "log: it is not that of the checkpoint");
  const segments = await replay(lines.map((line) => JSON.parse(textOf(line))));
  yield { part: "log", detail: `entries 1 to ${head.size}, each from the one before; checkpoint ${root}` };
  if (olderCheckpoint) yield { part: "history", detail: await checkGrowth(checkpoint(olderCheckpoint), head, hashes) };
  yield { part: "evidence", detail: await checkEvidence(files, report, segments, predicate.salts) };
}

async function checkFiles(files, subjects) {
  const attestedDigests = new Map(subjects.map((subject) => [subject.name, subject.digest.sha256]));
  const digests = new Map();
  for (const name of [...files.keys()].sort()) if (name !== SUMS) digests.set(name, hex(await sha256(files.get(name))));
  const attestable = [...digests.keys()].filter((name) => name !== ATTESTATION);
  const mismatches = [...new Set([...attestedDigests.keys(), ...attestable])].filter((name) => attestedDigests.get(name) !== digests.get(name)).sort();
  need(!mismatches.length, `file: not as attested: ${mismatches.join(", ")}`);
  need(attestable.every((name) => FIXED_FILES.includes(name) || name.startsWith(EVIDENCE) || name.startsWith("verifier/")), "file: the archive holds others than a bundle has");
  const sums = [...digests].map(([name, digest]) => `${digest}  ${name}\n`).join("");
  need(files.has(SUMS) && textOf(files.get(SUMS)) === sums, `file: ${ATTESTATION} or ${SUMS} was changed`);
  return `${plural(files.size, "file")}, each with its attested digest, none added or missing`;
}

async function checkReport(raw, report, attested, pageReport) {
  const name = IDS.find((member) => member in report);
  need(name, "report: it is neither a retry plan nor a health report");
  need(attested.id === report[name] && attested.lane === report.lane && attested.as_of === report.as_of, "report: the attestation is of another");
  const [before, ...after] = textOf(raw).split(JSON.stringify(report[name]));
  const digest = hex(await sha256(bytesOf(`${before}""${after.join(JSON.stringify(report[name]))}`)));
  need(report[name].endsWith(`-${digest.slice(0, 24)}`), "report: its id does not follow from its bytes");
  const sum = hex(await sha256(raw));
  if (!pageReport) return `${report[name]}, SHA-256 ${sum}; its id follows from its bytes`;
  need(isEqual(withoutPageMembers(pageReport), report), "report: it is another one than on this page");
  return `SHA-256 ${sum}; its id follows from its bytes, and it is the report on this page in every member`;
}

const withoutPageMembers = (value) => (Array.isArray(value) ? value.map(withoutPageMembers)
  : value && typeof value === "object" ? Object.fromEntries(Object.entries(value).filter(([name]) => !PAGE_MEMBERS.includes(name)).map(([name, member]) => [name, withoutPageMembers(member)])) : value);

function isEqual(left, right) {
  if (left === right) return true;
  if (!left || !right || typeof left !== "object" || typeof right !== "object" || Array.isArray(left) !== Array.isArray(right)) return false;
  const names = Object.keys(left);
  return names.length === Object.keys(right).length && names.every((name) => Object.hasOwn(right, name) && isEqual(left[name], right[name]));
}

/** Parses a public key: 64 hexadecimal digits, or a C2SP signed note key. */
async function publicKey(text, origin) {
  const keyText = text.trim();
  const isBare = /^[0-9a-f]{64}$/.test(keyText);
  const [, name, id, encoded] = isBare ? ["", origin, "", ""] : /^([^+]+)\+([0-9a-f]{8})\+(.+)$/.exec(keyText) ?? [];
  need(name, "signature: the key is not written as it must be");
  const raw = isBare ? join(Uint8Array.of(1), unhex(keyText)) : exactBase64(encoded);
  const keyId = (await sha256(join(bytesOf(`${name}\n`), raw))).slice(0, 4);
  need(raw.length === 33 && raw[0] === 1 && (isBare || hex(keyId) === id), "signature: the key is not written as it must be");
  return { name, id: hex(keyId), raw: raw.slice(1) };
}

async function checkSignature(signer, envelope, payload, note, isReadersKey) {
  const part = "signature";
  if (!signer) return { part, isUnsigned: true, detail: "none, so nothing shows who made the bundle, only that it fits together" };
  let key;
  try {
    key = await crypto.subtle.importKey("raw", signer.raw, { name: "Ed25519" }, false, ["verify"]);
  } catch {
    return { part, isUnchecked: true, detail: `by ${signer.name}+${signer.id}; this browser has no Ed25519, so check it by the bundle's own verifier` };
  }
  const isSignedByKey = (message, signatureBytes) => crypto.subtle.verify({ name: "Ed25519" }, key, signatureBytes, message);
  const [type, parts] = [envelope.payloadType, []];
  for (const envelopeSignature of envelope.signatures) parts.push(await isSignedByKey(join(bytesOf(`DSSEv1 ${type.length} ${type} ${payload.length} `), payload), exactBase64(envelopeSignature.sig)));
  need(parts.some(Boolean), "signature: the attestation is not signed by the key");
  const [head, ...tail] = note.split("\n\n");
  const lines = tail.join("\n\n").split("\n").filter((line) => line.startsWith(`\u2014 ${signer.name} `));
  const checkpointSignatures = lines.map((line) => exactBase64(line.slice(line.lastIndexOf(" ") + 1))).filter((signatureBytes) => hex(signatureBytes.slice(0, 4)) === signer.id);
  const notes = [];
  for (const checkpointSignature of checkpointSignatures) notes.push(await isSignedByKey(bytesOf(`${head}\n`), checkpointSignature.slice(4)));
  need(notes.some(Boolean), "signature: the checkpoint is not signed by the key");
  return { part, detail: `by ${signer.name}+${signer.id}, ${isReadersKey ? "your key" : "the key in the bundle: compare it with one that you got elsewhere"}` };
}

function checkpoint(text) {
  const [origin, size, root, ...more] = text.split("\n\n")[0].replace(/\n$/, "").split("\n");
  need(!more.length && /^[0-9]+$/.test(size ?? "") && root, "log: this is no checkpoint");
  return { origin, size: Number(size), root };
}

async function checkGrowth(olderCheckpoint, head, hashes) {
  need(olderCheckpoint.origin === head.origin, "history: your checkpoint is that of another log");
  need(olderCheckpoint.size > 0 && olderCheckpoint.size <= hashes.length, `history: your checkpoint has ${olderCheckpoint.size} entries, and the bundle's log ${hashes.length}`);
  need(olderCheckpoint.root === base64(await rootOf(hashes.slice(0, olderCheckpoint.size))), "history: the log did not grow out of your checkpoint; what it had committed was rewritten");
  return `it grew out of your checkpoint at entry ${olderCheckpoint.size}; the bundle's own verifier names what changed since`;
}

/** Replays log entries into the current segments, sorted by lane and day. */
async function replay(entries) {
  const segments = new Map();
  for (const [number, entry] of entries.entries()) {
    for (const change of entry.segments) {
      const place = `${change.lane}\n${change.day}`;
      need(isEqual(segments.get(place)?.now ?? null, change.before), `log: entry ${number + 1} does not follow from those before it`);
      segments.set(place, { lane: change.lane, day: change.day, now: change.after });
    }
  }
  const segmentsNow = [...segments.keys()].sort().map((place) => segments.get(place)).filter((segment) => segment.now);
  const leaf = ({ lane, day, now }) => bytesOf(JSON.stringify({ day, lane, root: now.root, size: now.size }));
  need(hex(await rootOf(await leaves(segmentsNow.map(leaf)))) === entries.at(-1).segments_root, "log: its segments are not those of its last entry");
  return segmentsNow;
}

async function checkEvidence(files, report, segments, salts) {
  const last = new Date(report.as_of).toISOString().slice(0, 10);
  const segmentsByDay = new Map(segments.filter((segment) => segment.lane === report.lane && segment.day <= last).map((segment) => [segment.day, segment.now]));
  const bundleDays = [...files.keys()].filter((name) => name.startsWith(EVIDENCE)).map((name) => name.slice(EVIDENCE.length, -".jsonl".length));
  const oneSidedDays = [...bundleDays.filter((day) => !segmentsByDay.has(day)), ...[...segmentsByDay.keys()].filter((day) => !bundleDays.includes(day))];
  need(!oneSidedDays.length, `evidence: days that the log and the bundle don't both have: ${oneSidedDays.sort().join(", ")}`);
  const ids = new Set();
  let count = 0;
  for (const [day, segment] of [...segmentsByDay].sort()) {
    const lines = linesOf(files.get(`${EVIDENCE}${day}.jsonl`));
    const hashes = await leaves([unhex(salts[day]), ...lines]);
    need(hex(await rootOf(hashes)) === segment.root && lines.length === segment.size, `evidence: the records of ${day} are not those of the log`);
    for (const line of lines) {
      const record = JSON.parse(textOf(line));
      need(new Date(record.created_at).toISOString().slice(0, 10) === day, `evidence: a record of ${day} is of another day`);
      ids.add(record.session_id);
    }
    count += lines.length;
  }
  need(ids.size === count, "evidence: a record is there twice");
  return `${plural(count, "record")} of ${plural(segmentsByDay.size, "day")}: all that the log has of the lane until then`;
}

/** True if the page may compute digests: browsers allow it over HTTPS and on localhost only. */
export const canCheck = () => Boolean(globalThis.crypto?.subtle);

export { NotProven };

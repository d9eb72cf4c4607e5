// Bytes of proofs: SHA-256 and Merkle trees (RFC 6962) by WebCrypto, base64, ZIP. Format: docs/proof.md.

/** A failed check; the message is written for users. */
export class NotProven extends Error {}

export function need(isTrue, what) {
  if (!isTrue) throw new NotProven(what);
}

const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true });
export const bytesOf = (text) => encoder.encode(text);
export const textOf = (bytes) => decoder.decode(bytes);
export const hex = (bytes) => Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
export const unhex = (text) => {
  need(/^([0-9a-f]{2})*$/.test(text), "file: a digest is not written as it must be");
  return Uint8Array.from(text.match(/../g) ?? [], (pair) => parseInt(pair, 16));
};

export function join(...parts) {
  const joined = new Uint8Array(parts.reduce((size, part) => size + part.length, 0));
  let at = 0;
  for (const part of parts) {
    joined.set(part, at);
    at += part.length;
  }
  return joined;
}

/** Decodes base64; rejects any text that does not encode back to itself. */
export function exactBase64(text) {
  const raw = Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
  need(base64(raw) === text, "base64 is not written as it must be");
  return raw;
}

export const base64 = (raw) => btoa(Array.from(raw, (byte) => String.fromCharCode(byte)).join(""));

export const sha256 = async (bytes) => new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));

/** Digests computed at once: each waits for a thread of the browser. */
const AT_ONCE = 1024;

async function inBatches(items, make) {
  const results = [];
  for (let at = 0; at < items.length; at += AT_ONCE) results.push(...await Promise.all(items.slice(at, at + AT_ONCE).map(make)));
  return results;
}

const LEAF = Uint8Array.of(0);
const NODE = Uint8Array.of(1);
export const leaves = (contents) => inBatches(contents, (content) => sha256(join(LEAF, content)));

/** The Merkle root of leaf hashes. */
export async function rootOf(hashes) {
  let level = hashes;
  while (level.length > 1) {
    const pairs = Array.from({ length: level.length >> 1 }, (_, at) => [level[2 * at], level[2 * at + 1]]);
    const unpaired = level.slice(2 * pairs.length);
    level = [...await inBatches(pairs, ([left, right]) => sha256(join(NODE, left, right))), ...unpaired];
  }
  return level.length ? level[0] : sha256(new Uint8Array());
}

/** The lines of a file, without line ends. */
export function linesOf(bytes) {
  const lines = [];
  let from = 0;
  for (let at = bytes.indexOf(10); at >= 0; at = bytes.indexOf(10, from)) {
    lines.push(bytes.subarray(from, at));
    from = at + 1;
  }
  return lines;
}

const TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let remainder = byte;
  for (let bit = 0; bit < 8; bit += 1) remainder = remainder & 1 ? (remainder >>> 1) ^ 0xedb88320 : remainder >>> 1;
  return remainder;
});

function crc32(bytes) {
  let sum = ~0;
  for (const byte of bytes) sum = (sum >>> 8) ^ TABLE[(sum ^ byte) & 255];
  return ~sum >>> 0;
}

/** Little-endian bytes: a number takes two, a number in a list of one takes four. */
function packed(...numbers) {
  const view = new DataView(new ArrayBuffer(numbers.reduce((size, number) => size + (Array.isArray(number) ? 4 : 2), 0)));
  let at = 0;
  for (const number of numbers) {
    if (Array.isArray(number)) view.setUint32(at, number[0], true);
    else view.setUint16(at, number, true);
    at += Array.isArray(number) ? 4 : 2;
  }
  return new Uint8Array(view.buffer);
}

const [FILE, ENTRY, END] = [0x04034b50, 0x02014b50, 0x06054b50];
const [VERSION, UNIX, MODE, FIRST_DAY] = [20, 3, 0o644, 0x21];

/** Yields the bytes of a ZIP archive in pieces; names and contents determine every byte. */
function* pack(files) {
  const list = [];
  let at = 0;
  for (const name of [...files.keys()].sort()) {
    const content = files.get(name);
    const nameBytes = bytesOf(name);
    const common = [0, 0, 0, FIRST_DAY, [crc32(content)], [content.length], [content.length], nameBytes.length, 0];
    list.push(join(packed([ENTRY], VERSION | (UNIX << 8), VERSION, ...common, 0, 0, 0, [(MODE << 16) >>> 0], [at]), nameBytes));
    const head = join(packed([FILE], VERSION, ...common), nameBytes);
    yield head;
    yield content;
    at += head.length + content.length;
  }
  yield* list;
  yield packed([END], 0, 0, list.length, list.length, [list.reduce((size, entry) => size + entry.length, 0)], [at], 0);
}

/** The files of an archive, by name. Rejects an archive whose bytes differ from what pack() writes. */
export function unpack(raw) {
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
  const files = new Map();
  let at = 0;
  while (at + 30 <= raw.length && view.getUint32(at, true) === FILE) {
    const [size, nameSize] = [view.getUint32(at + 22, true), view.getUint16(at + 26, true)];
    const start = at + 30 + nameSize;
    files.set(textOf(raw.subarray(at + 30, start)), raw.subarray(start, start + size));
    at = start + size;
  }
  let offset = 0;
  for (const piece of pack(files)) {
    const original = raw.subarray(offset, offset + piece.length);
    // A view of the same bytes at the same offset is equal without comparing.
    const isSame = piece.buffer === raw.buffer ? piece.byteOffset === original.byteOffset : piece.length === original.length && piece.every((byte, n) => byte === original[n]);
    need(isSame, "file: it is no bundle, or holds other bytes than its files");
    offset += piece.length;
  }
  need(files.size > 0 && offset === raw.length, "file: it is no bundle, or holds other bytes than its files");
  return files;
}

/**
 * Seal: encrypt a card to a public key of the workers, so that nobody on the way can read it.
 *
 * The result is a compact JWE whose protected header says for whom and for what it was sealed. WebCrypto only. Runs in
 * browsers and in Node. Checks no field: see card.js.
 *
 * Source: RFC 7516 (JWE), RFC 7518 sections 4.6 and 5.3 (ECDH-ES, A256GCM), RFC 8037 (X25519).
 */

const ALG = "ECDH-ES";
const ENC = "A256GCM";
const TYP = "card+jwe";
const KEY_BITS = 256;
const TAG_BYTES = 16;
const LIFE_S = 600;

const ALGORITHMS = {
  X25519: { name: "X25519" },
  "P-256": { name: "ECDH", namedCurve: "P-256" },
};
const COORDINATES = { X25519: ["x"], "P-256": ["x", "y"] };

/** No key in the set is of a curve that this browser has. */
export class NoUsableKey extends Error {}

/**
 * Seal a card.
 *
 * @param {Record<string, string>} card the card JSON's members, as `cardFrom` in card.js returns them.
 * @param {object} request
 * @param {object[]} request.keys public JWKs, oldest first.
 * @param {number} request.now Unix seconds by the server's clock.
 * @param {"issue"|"onetime"} request.purpose the one operation that it may be used for.
 * @param {string} [request.customerUid] required to issue.
 * @param {string} [request.merchantUid] required for a payment, and for nothing else.
 * @returns {Promise<string>} the compact text, good for 600 s.
 * @throws {NoUsableKey}
 */
export async function seal(card, { keys, now, purpose, customerUid, merchantUid }) {
  const { jwk, ephemeral } = await chooseKey(keys);
  const algorithm = ALGORITHMS[jwk.crv];
  const theirs = await crypto.subtle.importKey("jwk", publicMembers(jwk), algorithm, false, []);
  const epk = await crypto.subtle.exportKey("jwk", ephemeral.publicKey);
  const iat = Math.floor(now);
  const header = {
    alg: ALG,
    enc: ENC,
    epk: publicMembers(epk),
    kid: jwk.kid,
    typ: TYP,
    purpose,
    ...(customerUid ? { customer_uid: customerUid } : {}),
    ...(merchantUid ? { merchant_uid: merchantUid } : {}),
    iat,
    exp: iat + LIFE_S,
  };
  const head = base64url(utf8(JSON.stringify(header)));
  const agreed = { name: algorithm.name, public: theirs };
  const secret = new Uint8Array(await crypto.subtle.deriveBits(agreed, ephemeral.privateKey, KEY_BITS));
  const key = await contentKey(secret);
  const iv = crypto.getRandomValues(new Uint8Array(12));
  const plaintext = utf8(JSON.stringify(card));
  const parameters = { name: "AES-GCM", iv, additionalData: utf8(head), tagLength: TAG_BYTES * 8 };
  const sealed = new Uint8Array(await crypto.subtle.encrypt(parameters, key, plaintext));
  plaintext.fill(0);
  const parts = [iv, sealed.subarray(0, -TAG_BYTES), sealed.subarray(-TAG_BYTES)];
  return [head, "", ...parts.map(base64url)].join(".");
}

/**
 * The newest key of the best curve that this browser has, and a fresh pair to agree with it.
 *
 * Making the pair is the feature test: browsers before 2025 know the name X25519 in some places and not in others.
 */
async function chooseKey(keys) {
  for (const crv of Object.keys(ALGORITHMS)) {
    const jwk = keys.findLast((one) => one.crv === crv);
    if (!jwk) continue;
    try {
      return { jwk, ephemeral: await crypto.subtle.generateKey(ALGORITHMS[crv], false, ["deriveBits"]) };
    } catch (error) {
      if (error.name !== "NotSupportedError") throw error;
    }
  }
  throw new NoUsableKey("no key of a curve that this browser has");
}

/** One round of Concat KDF: AlgorithmID, empty PartyUInfo and PartyVInfo, SuppPubInfo, each with its length before it. */
async function contentKey(secret) {
  const info = [counted(utf8(ENC)), uint32(0), uint32(0), uint32(KEY_BITS)];
  const hashed = joined([uint32(1), secret, ...info]);
  const raw = await crypto.subtle.digest("SHA-256", hashed);
  hashed.fill(0);
  secret.fill(0);
  const key = await crypto.subtle.importKey("raw", raw, "AES-GCM", false, ["encrypt"]);
  new Uint8Array(raw).fill(0);
  return key;
}

/** The members that make a public key: others ("kid", "use", "ext") are refused in an `epk`, and vary by browser. */
function publicMembers(jwk) {
  const members = { kty: jwk.kty, crv: jwk.crv };
  for (const name of COORDINATES[jwk.crv]) members[name] = jwk[name];
  return members;
}

const utf8 = (text) => new TextEncoder().encode(text);

const base64url = (bytes) =>
  btoa(String.fromCharCode(...bytes)).replace(/[+/=]/g, (one) => ({ "+": "-", "/": "_" })[one] ?? "");

const counted = (bytes) => joined([uint32(bytes.length), bytes]);

function uint32(number) {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setUint32(0, number);
  return bytes;
}

function joined(parts) {
  const bytes = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

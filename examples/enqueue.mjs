// Seals a card to a key of the workers, hands it in with an API key, and prints the outcome. Node 20; no packages.
//
//   BILLING_URL=https://shop.example/subscription BILLING_API_KEY=bk_… node enqueue.mjs UID IDEMPOTENCY_KEY < card.json
//
// The same idempotency key is the same job: after a failure, run it again. Exit code 0 if a billing key was issued.

import { createCipheriv, createHash, createPublicKey } from "node:crypto";
import { diffieHellman, generateKeyPairSync, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";

const { BILLING_URL: base, BILLING_API_KEY: apiKey } = process.env;
const [customer_uid, idempotency_key] = process.argv.slice(2);
if (!base || !apiKey || !idempotency_key) throw new Error("see the first lines of this file");

const text = (value) => Buffer.from(JSON.stringify(value)).toString("base64url");
const uint32 = (number) => Buffer.from([0, 0, number >> 8, number]);

/** A compact JWE: ECDH-ES, A256GCM, and a protected header of exactly these members. */
function seal(card, { keys, now }) {
  const jwk = keys.findLast(({ crv }) => crv === "X25519") ?? keys.findLast(({ crv }) => crv === "P-256");
  const [type, options] = jwk.crv === "X25519" ? ["x25519"] : ["ec", { namedCurve: "P-256" }];
  const { publicKey, privateKey } = generateKeyPairSync(type, options);
  const [epk, iat] = [publicKey.export({ format: "jwk" }), Math.floor(now)];
  const bound = { typ: "card+jwe", purpose: "issue", customer_uid, iat, exp: iat + 600 };
  const header = text({ alg: "ECDH-ES", enc: "A256GCM", epk, kid: jwk.kid, ...bound });

  const shared = diffieHellman({ privateKey, publicKey: createPublicKey({ key: jwk, format: "jwk" }) });
  const info = [uint32(7), Buffer.from("A256GCM"), uint32(0), uint32(0), uint32(256)]; // RFC 7518, section 4.6.2
  const key = createHash("sha256").update(Buffer.concat([uint32(1), shared, ...info])).digest();
  const iv = randomBytes(12);
  const cipher = createCipheriv("aes-256-gcm", key, iv).setAAD(Buffer.from(header));
  const sealed = Buffer.concat([cipher.update(card), cipher.final()]);
  card.fill(0);
  return [header, "", ...[iv, sealed, cipher.getAuthTag()].map((part) => part.toString("base64url"))].join(".");
}

async function ask(url, options) {
  const answer = await fetch(url, { ...options, signal: AbortSignal.timeout(40_000) });
  const body = await answer.json();
  if (!answer.ok) throw new Error(`${answer.status} ${body.error}: ${body.message}`);
  return body;
}

const envelope = seal(readFileSync(0), await ask(`${base}/keys`));
let told = await ask(`${base}/issue-billing?wait=20`, {
  method: "POST",
  headers: { Authorization: `Bearer ${apiKey}`, "Content-Type": "application/json" },
  body: JSON.stringify({ customer_uid, envelope, idempotency_key }),
});
while (told.status_url) {
  const headers = { "X-Ticket": told.status_ticket };
  told = await ask(`${new URL(told.status_url, base)}?wait=20`, { headers });
}
console.log(JSON.stringify(told));
process.exitCode = told.status === "issued" ? 0 : 1;

/** `[{text, jwk}, …]` to headers and plaintexts, opened by jose. */

import { compactDecrypt, importJWK } from "jose";
import { answer, given } from "./pipe.mjs";

const TAKEN = Object.fromEntries(["purpose", "customer_uid", "merchant_uid", "iat", "exp"].map((name) => [name, false]));

async function opened({ text, jwk }) {
  const key = await importJWK(jwk, "ECDH-ES");
  const { plaintext, protectedHeader } = await compactDecrypt(text, key, { crit: TAKEN });
  return { header: protectedHeader, card: JSON.parse(new TextDecoder().decode(plaintext)) };
}

answer(await Promise.all(given().map(opened)));

/** `[{card, header, jwk}, …]` to envelopes, made by jose. */

import { CompactEncrypt, importJWK } from "jose";
import { answer, given } from "./pipe.mjs";

async function sealed({ card, header, jwk }) {
  const key = await importJWK(jwk, "ECDH-ES");
  return new CompactEncrypt(new TextEncoder().encode(JSON.stringify(card))).setProtectedHeader(header).encrypt(key);
}

answer(await Promise.all(given().map(sealed)));

/**
 * Ticket: what the merchant's app lets this page do. Opaque but for its payload, which the server has signed and checks
 * again; the page reads it to know for whom to seal.
 */

/**
 * @param {string} text the ticket, a JWS.
 * @returns {{purpose: string, customerUid?: string, merchantUid?: string, exp: number}|null} null if it is none.
 */
export function readTicket(text) {
  try {
    const raw = atob(text.split(".")[1].replaceAll("-", "+").replaceAll("_", "/"));
    const claims = JSON.parse(new TextDecoder().decode(Uint8Array.from(raw, (one) => one.charCodeAt(0))));
    const { purpose, customer_uid: customerUid, merchant_uid: merchantUid, exp } = claims;
    const bound = { issue: customerUid, onetime: merchantUid }[purpose];
    return bound && Number.isFinite(exp) ? { purpose, customerUid, merchantUid, exp } : null;
  } catch {
    return null;
  }
}

/**
 * Ticket: what the merchant's app lets this page do. Opaque but for its payload, which the server has signed and checks
 * again; the page reads it to know for whom to seal.
 *
 * Also keeps the one thing that outlives a reload: which job a ticket began. No card data, and the ticket only hashed.
 */

const PREFIX = "card-page:";

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

/** Keep the job that a ticket began, for as long as the tab is open. */
export async function rememberJob(ticket, jobId) {
  const place = await placeOf(ticket);
  inStorage((storage) => storage.setItem(place, jobId));
}

/** The job that a ticket began in this tab, or null. */
export async function recallJob(ticket) {
  const place = await placeOf(ticket);
  return inStorage((storage) => storage.getItem(place)) ?? null;
}

async function placeOf(ticket) {
  const hash = new Uint8Array(await crypto.subtle.digest("SHA-256", new TextEncoder().encode(ticket)));
  return PREFIX + [...hash].map((byte) => byte.toString(16).padStart(2, "0")).join("");
}

function inStorage(use) {
  try {
    return use(sessionStorage);
  } catch {
    // Switched off by the customer: a reload then shows the form, and the ticket still makes one job of it.
    return null;
  }
}

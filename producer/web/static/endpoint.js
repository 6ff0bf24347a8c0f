/**
 * Endpoint: what the page asks of the server, and what the answers mean. Sends a card only as an envelope.
 *
 * An answer is one of
 *   {settled: {jobId, outcome, ticket?}}   the final word, and a new ticket where trying again is possible
 *   {open: jobId}                   accepted, and not done yet
 *   … with repeated: true           of the card that came first with this ticket; this one was not taken
 *   {error: code}                   `unknown` if nothing is known of what became of the request
 */

const TIMEOUT_MS = 30_000;
const WAIT_S = 20;
const PATHS = { issue: "issue-billing", onetime: "onetime" };
const ELSE = { 401: "bad_ticket", 403: "bad_ticket", 404: "job_unknown", 408: "unavailable" };
const CODES = new Set(["ticket_expired", "ticket_used", "too_many", "refused", "unavailable"]);

/**
 * The sealing keys, and the server's clock: those of phones are wrong.
 *
 * @returns {Promise<{keys: object[], clock: () => number, isFresh: () => boolean}>} `clock` in Unix seconds.
 */
export async function fetchKeys(base) {
  // Past every cache: a stored answer would tell a stored time.
  const response = await ask(`${base}/keys`, { cache: "no-store" });
  if (!response.ok) throw new Error("no keys");
  const { keys, now } = await response.json();
  const [at, date] = [performance.now(), Date.now()];
  const elapsed = () => (performance.now() - at) / 1000;
  return {
    keys,
    clock: () => now + elapsed(),
    // In some browsers performance.now() stands still while the device sleeps; the device's clock tells.
    isFresh: () => elapsed() < 300 && Math.abs(Date.now() - date) / 1000 < 300,
  };
}

/** Hand the envelope in. With the same ticket it may be repeated: it is one job. */
export function send(base, purpose, ticket, envelope) {
  return answerTo(`${base}/${PATHS[purpose]}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ ticket, envelope }),
  });
}

/** Ask for the outcome; the server may take its time. */
export function look(base, ticket, jobId) {
  return answerTo(`${base}/jobs/${encodeURIComponent(jobId)}?wait=${WAIT_S}`, { headers: { "X-Ticket": ticket } });
}

async function answerTo(url, options) {
  try {
    const response = await ask(url, { cache: "no-store", ...options });
    const body = await response.json();
    const { job_id: jobId, outcome, ticket, repeated } = body;
    if (response.status === 202) return { open: jobId, repeated };
    if (response.ok) return { settled: { jobId, outcome, ticket }, repeated };
    return { error: CODES.has(body.error) ? body.error : (ELSE[response.status] ?? unnamed(response)) };
  } catch {
    // No answer, or none of ours: a gateway's page, a connection that broke.
    return { error: "unknown" };
  }
}

const unnamed = ({ status }) => (status < 500 ? "refused" : "unknown");

const ask = (url, options) =>
  fetch(url, { ...options, redirect: "error", referrerPolicy: "no-referrer", signal: AbortSignal.timeout(TIMEOUT_MS) });

// A shop that takes cards on the card page, in Node 20 without packages: the customer goes there and comes back, or stays
// in a frame. It asks `python -m producer serve` for tickets and outcomes, with an API key of its own:
//
//   BILLING_URL=http://127.0.0.1:8000/subscription BILLING_API_KEY=bk_… PORT=8002 node examples/shop/shop.mjs
//
// RETURN_ORIGINS and FRAME_ANCESTORS of that process name http://127.0.0.1:8002, or SHOP_URL. An order is stored before
// the first call, and its id is the key of its job: whatever is lost on the way, the same order is the same job.

import { randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";

const { BILLING_URL: base, BILLING_API_KEY: apiKey, PORT: port = "8002", SHOP_URL = `http://127.0.0.1:${port}` } =
  process.env;
if (!base || !apiKey) {
  console.error("BILLING_URL and BILLING_API_KEY: are not set; see the first lines of this file");
  process.exit(2);
}

const cards = new URL(base).origin;
const POLICY = `default-src 'self'; script-src 'self' ${cards}; frame-src ${cards}; form-action 'self' ${cards}; `
  + "img-src 'self' data:; frame-ancestors 'none'; base-uri 'none'";
const TITLES = { issued: "카드가 등록되었습니다", paid: "결제되었습니다", open: "처리하고 있습니다" };
const KINDS = { css: "text/css", js: "text/javascript" };
const orders = new Map(); // a shop has a database

const file = (name) => readFileSync(new URL(`pages/${name}`, import.meta.url), "utf8");
const escaped = (text) => text.replace(/[&<>"']/g, (one) => `&#${one.codePointAt(0)};`);

class Refused extends Error {}

/** Ask the endpoint; an error of its own is one of ours. */
async function ask(path, options) {
  const answer = await fetch(`${base}${path}`, { ...options, signal: AbortSignal.timeout(10_000) });
  const body = await answer.json();
  if (answer.status === 404) throw new Refused();
  if (!answer.ok) throw new Error(`${answer.status} ${body.error}: ${body.message}`);
  return body;
}

/** A ticket as long as it is wanted: made anew, it is the same job. No word of what it is for comes from the browser. */
function ticketOf({ id, what }) {
  const job = what === "book"
    ? { operation: "onetime", merchant_uid: id, amount: 9900, name: "무지개 서점의 책 한 권" }
    : { operation: "issue", customer_uid: `subscriber-${id}` };
  return ask("/tickets", {
    method: "POST",
    headers: { Authorization: `Bearer ${apiKey}`, "Content-Type": "application/json" },
    body: JSON.stringify({ ...job, idempotency_key: `order:${id}`, return_url: `${SHOP_URL}/thanks?order=${id}` }),
  });
}

const pageOf = async (order) => `${base}/card?ticket=${(await ticketOf(order)).ticket}`;

/** The customer's own order; another's is none. */
function orderOf(id, session) {
  const order = orders.get(id);
  if (order?.session !== session) throw new Refused();
  return order;
}

const title = ({ status }) => TITLES[status] ?? "완료되지 않았습니다";

const ROUTES = {
  "GET /": async ({ session }) => show("index.html", {}, session ? {} : { "Set-Cookie": newSession() }),
  async "POST /orders"({ session, query }) {
    if (!session) throw new Refused();
    const order = { id: randomBytes(4).toString("hex"), session, what: query.get("what"), status: "open" };
    orders.set(order.id, order);
    return { status: 303, headers: { Location: query.has("frame") ? `/orders/${order.id}` : await pageOf(order) } };
  },
  async "GET /orders"({ session, rest }) {
    const order = orderOf(rest, session);
    if (order.status !== "open") return show("thanks.html", { title: title(order), order: order.id });
    return show("order.html", { order: order.id, page: await pageOf(order), base });
  },
  /** The customer is back. What the address says of the status is not even read. */
  async "GET /thanks"({ session, query }) {
    const order = orderOf(query.get("order"), session);
    const { ticket } = await ticketOf(order);
    const path = `/jobs/${encodeURIComponent(query.get("job_id"))}`; // refused if the job is not this ticket's
    order.status = (await ask(path, { headers: { "X-Ticket": ticket } })).status ?? "open";
    return show("thanks.html", { title: title(order), order: order.id });
  },
  async "GET /pages"({ rest }) {
    if (!["shop.css", "shop.js"].includes(rest)) throw new Refused();
    return { status: 200, headers: { "Content-Type": KINDS[rest.split(".")[1]] }, body: file(rest) };
  },
};

const newSession = () => `sid=${randomBytes(12).toString("hex")}; Path=/; HttpOnly; SameSite=Lax`
  + (SHOP_URL.startsWith("https") ? "; Secure" : "");

function show(name, values, headers = {}) {
  const body = file(name).replace(/\{\{(\w+)\}\}/g, (_, slot) => escaped(values[slot]));
  const ours = { "Content-Type": "text/html; charset=utf-8", "Content-Security-Policy": POLICY, "Cache-Control": "no-store" };
  return { status: 200, headers: { ...ours, ...headers }, body };
}

async function answer(request) {
  const { pathname, searchParams: query } = new URL(request.url, SHOP_URL);
  const [, first, rest] = pathname.split("/");
  const session = /(?:^|; )sid=([0-9a-f]{24})/.exec(request.headers.cookie ?? "")?.[1];
  const route = ROUTES[`${request.method} /${first}`];
  if (!route) throw new Refused();
  return route({ session, query, rest });
}

createServer(async (request, response) => {
  let given;
  try {
    given = await answer(request);
  } catch (error) {
    if (!(error instanceof Refused)) console.error(error.message);
    const [status, body] = error instanceof Refused ? [404, "Not found"] : [503, "Please try again in a moment"];
    given = { status, headers: { "Content-Type": "text/plain" }, body };
  }
  response.writeHead(given.status, given.headers).end(given.body ?? "");
}).listen(Number(port), "127.0.0.1");

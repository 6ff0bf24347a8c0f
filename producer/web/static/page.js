/**
 * Page: take a card, seal it, hand it in, tell the outcome.
 *
 * A card exists here in the fields only. It is read once, into the argument of `seal`, and the fields are emptied as
 * soon as the envelope is there; what is kept, so that a lost answer can be repeated, is the envelope. Nothing of a
 * card goes to storage, history or an address.
 */

import { noticeOfError, noticeOfOutcome } from "./answers.js";
import { addressBack, isFramed, tellShop } from "./back.js";
import { RULES, SHOWN, brandOf, cardFrom, digitsOf, hasLetters } from "./card.js";
import { fetchKeys, look, send } from "./endpoint.js";
import { NoUsableKey, seal } from "./seal.js";
import { loadTexts, wordsFor } from "./texts.js";
import { readTicket } from "./ticket.js";
import { groupWhileTyping } from "./typing.js";

const SETTLED_MS = 100;
const SLOW_MS = 10_000;
const LONG_MS = 20_000;
const PAUSES_MS = { first: 500, longest: 5_000, growth: 1.3 };
const FORM = { form: true };
const SENDING = { progress: "sending", status: "sending_text" };
const WORKING = { progress: "working", status: "working_text" };

const element = (id) => document.getElementById(id);
const fields = Object.keys(RULES).map(element);
const consents = ["terms", "privacy"].map(element);
const errors = new Map();

const { base, job: begun, shop, parents, colour, ink } = element("page").dataset;
const origins = parents.split(" ").filter(Boolean);
let { ticket } = element("page").dataset;
let claims = readTicket(ticket);
let lang = document.documentElement.lang === "en" ? "en" : "ko";
let view = {};
let server = null;
let envelope = null;
let lastFour = null;
let sent = 0;
let isOfEarlier = false;
let busy = false;
let pressed = false;

const values = {
  merchant: element("merchant").textContent,
  amount: element("amount").textContent,
  purpose: claims?.purpose,
};
const words = (key) => wordsFor(lang, key, values) ?? "";
const isCorporate = () => element("corporate").checked;
// Before the server's clock is known no card is past its month: the device's may be wrong.
const nowByServer = () => server?.clock() ?? 0;

// What is shown

function go(next) {
  view = next;
  render();
  const heading = view.notice ? "notice_title" : view.progress ? "progress_title" : null;
  if (heading) element(heading).focus();
}

function tell(status) {
  view = { ...view, status };
  render();
}

function render() {
  document.documentElement.lang = lang;
  element("language").lang = lang === "en" ? "ko" : "en";
  element("birth_label").dataset.text = isCorporate() ? "business" : "birth";
  element("birth_hint").dataset.text = isCorporate() ? "business_hint" : "birth_hint";
  element("pwd_2digit_hint").dataset.text = isCorporate() ? "pwd_2digit_optional" : "pwd_2digit_hint";
  element("next").dataset.text = shop && !isFramed ? "next_back" : "next";
  for (const one of document.querySelectorAll("[data-text]")) write(one, words(one.dataset.text));
  element("form").hidden = !view.form;
  element("progress").hidden = !view.progress;
  write(element("progress_title"), view.progress ? words(view.progress) : "");
  write(element("status"), view.status ? words(view.status) : "");
  renderNotice(view.notice);
  renderBack();
  for (const input of [...fields, ...consents]) renderError(input);
  renderBrand();
  const heading = view.notice?.key ?? view.progress ?? "title";
  document.title = `${words(heading)} · ${values.merchant}`;
}

function renderNotice(notice) {
  element("notice").hidden = !notice;
  if (!notice) return;
  element("notice").dataset.tone = notice.tone;
  element("retry").hidden = !notice.retry;
  write(element("notice_title"), words(notice.key));
  const reason = notice.reason && words(notice.reason);
  write(element("notice_text"), reason ? `${words("not_done")} ${reason}` : words(notice.text ?? `${notice.key}_text`));
  write(element("notice_then"), notice.then ? words(notice.then) : "");
  const known = Object.entries(notice.facts ?? {}).filter(([, value]) => value);
  element("facts").replaceChildren(...known.flatMap(([name, value]) => [made("dt", words(name)), made("dd", value)]));
}

/** Not while a card is being sent: whoever leaves then leaves it unsent. */
function renderBack() {
  element("back").hidden = !shop || isFramed || view.progress === "sending";
  if (shop) element("back").href = addressBack(shop, view.told);
}

function renderError(input) {
  const code = errors.get(input.id);
  write(element(`${input.id}_error`), code ? words(`errors.${input.id}.${code}`) : "");
  if (code) input.setAttribute("aria-invalid", "true");
  else input.removeAttribute("aria-invalid");
}

function renderBrand() {
  const digits = digitsOf(element("card_number").value);
  const brand = brandOf(digits);
  // Until four digits are there, "domestic" only means that nothing is known yet.
  write(element("brand"), brand === "domestic" && digits.length < 4 ? "" : words(`brands.${brand}`));
}

/** Only what changed is written: a live region would be read again. */
function write(target, text) {
  if (target.textContent !== text) target.textContent = text;
}

function made(name, text) {
  const one = document.createElement(name);
  one.textContent = text;
  return one;
}

// What is typed

const problemOf = (input) => RULES[input.id](input.value, { corporate: isCorporate(), now: nowByServer() });

function setError(input, code) {
  if (code) errors.set(input.id, code);
  else errors.delete(input.id);
  renderError(input);
}

/** While a field is typed, its error only goes; a new one comes when the field is left. */
function heed(input, typed) {
  if (hasLetters(typed)) setError(input, "digits_only");
  else if (errors.get(input.id) === "digits_only" || !problemOf(input)) setError(input, null);
}

function checkLeft(input) {
  if (input.value && document.activeElement !== input) setError(input, problemOf(input));
}

/** Not while a finger is down: the words of an error would move the button away under it. */
function whenReleased(work) {
  setTimeout(() => (pressed ? whenReleased(work) : work()), SETTLED_MS);
}

function firstProblem() {
  for (const input of fields) setError(input, problemOf(input));
  for (const box of consents) setError(box, box.checked ? null : "required");
  const inOrder = [...element("form").querySelectorAll("input")];
  return inOrder.find((input) => errors.has(input.id));
}

function clearCard() {
  for (const input of fields) {
    input.value = "";
    errors.delete(input.id);
  }
  render();
}

// What is done

async function submit(event) {
  event.preventDefault();
  if (busy || stopsAtProblem()) return;
  await alone(async () => {
    go(SENDING);
    if (await sealed()) await deliver();
  });
}

function stopsAtProblem() {
  const problem = firstProblem();
  if (!problem) return false;
  if (!view.form) go(FORM);
  problem.focus();
  return true;
}

/** One thing at a time, whatever is clicked meanwhile. */
async function alone(work) {
  if (busy) return;
  busy = true;
  element("submit").disabled = true;
  try {
    await work();
  } finally {
    busy = false;
    element("submit").disabled = false;
  }
}

/** Seal what is in the fields and empty them. Where nothing can be sent for want of a key, they are kept. */
async function sealed() {
  try {
    if (!server?.isFresh()) server = await fetchKeys(base);
  } catch {
    fail("no_keys");
    return false;
  }
  if (stopsAtProblem()) return false;
  const now = nowByServer();
  let trouble = now > claims.exp ? "ticket_expired" : null;
  try {
    if (!trouble) envelope = await seal(cardInFields(), { ...claims, keys: server.keys, now });
  } catch (error) {
    trouble = error instanceof NoUsableKey ? "no_crypto" : "merchant_fault";
  }
  [sent, isOfEarlier] = [0, false];
  lastFour = digitsOf(element("card_number").value).slice(-4);
  clearCard();
  if (trouble) fail(trouble);
  return !trouble;
}

const cardInFields = () => cardFrom(Object.fromEntries(fields.map((input) => [input.id, input.value])));

async function deliver() {
  go(SENDING);
  const offline = !navigator.onLine;
  const slow = setTimeout(tell, SLOW_MS, "sending_slow");
  sent += 1;
  const answer = await send(base, claims.purpose, ticket, envelope);
  clearTimeout(slow);
  // Only if there was no connection to begin with, surely nothing arrived.
  if (answer.error) fail(answer.error === "unknown" && offline ? "unsent" : answer.error);
  else await accepted(answer);
}

async function accepted(answer) {
  envelope = null;
  isOfEarlier = sent === 1 && Boolean(answer.repeated);
  if (answer.settled) conclude(answer.settled);
  else await follow(answer.open);
}

/** Ask until the outcome is there, however long that takes and whatever the connection does. */
async function follow(jobId) {
  go({ ...WORKING, told: { job_id: jobId, status: "open" } });
  let patience = "working_text";
  const long = setTimeout(() => tell((patience = "working_long")), LONG_MS);
  for (let pause = PAUSES_MS.first; ; pause = Math.min(pause * PAUSES_MS.growth, PAUSES_MS.longest)) {
    const next = new Promise((resolve) => setTimeout(resolve, pause));
    const answer = await look(base, ticket, jobId);
    if (answer.settled || isFinal(answer.error)) {
      clearTimeout(long);
      return answer.settled ? conclude(answer.settled) : fail("job_unknown");
    }
    tell(answer.error === "unknown" ? "working_unreachable" : patience);
    await next;
  }
}

/** Whether asking again is of no use. The job goes on all the same: none of these undoes it. */
const isFinal = (code) => ["job_unknown", "bad_ticket", "ticket_expired", "ticket_used", "refused"].includes(code);

function conclude({ jobId, outcome, ticket: renewed }) {
  if (renewed) renew(renewed);
  const notice = noticeOfOutcome(outcome, Boolean(renewed), lastFour, isOfEarlier);
  const told = { job_id: jobId, status: outcome.status };
  // Who has something to read first goes by the link.
  const leaves = shop && !isFramed && notice.tone === "good" && !notice.then;
  go({ notice: leaves ? { ...notice, text: `${notice.key}_back` } : notice, form: notice.form, told });
  if (!notice.form) tellShop(origins, { type: "card-end", ...told });
  if (leaves) location.replace(addressBack(shop, told));
}

/** The page goes on with the new ticket, also after a reload. */
function renew(renewed) {
  ticket = renewed;
  claims = readTicket(renewed);
  const address = new URL(location.href);
  address.searchParams.set("ticket", renewed);
  history.replaceState(null, "", address);
}

function fail(code) {
  const notice = noticeOfError(code);
  if (!notice.retry) envelope = null;
  go({ notice, form: notice.form });
}

// Where it begins

function listen() {
  for (const input of fields) {
    const shownAs = (text) => SHOWN[input.id](text, { corporate: isCorporate() });
    groupWhileTyping(input, shownAs, (typed) => heed(input, typed));
    input.addEventListener("blur", () => whenReleased(() => checkLeft(input)));
  }
  element("card_number").addEventListener("input", renderBrand);
  for (const box of consents) box.addEventListener("change", () => box.checked && setError(box, null));
  for (const id of ["personal", "corporate"]) element(id).addEventListener("change", changeKind);
  element("form").addEventListener("submit", submit);
  element("retry").addEventListener("click", () => alone(deliver));
  element("language").addEventListener("click", async () => {
    const other = lang === "en" ? "ko" : "en";
    await loadTexts(other);
    lang = other;
    render();
  });
  addEventListener("pointerdown", () => (pressed = true));
  for (const end of ["pointerup", "pointercancel"]) addEventListener(end, () => (pressed = false));
  // A page that is kept for the back button is kept without its card.
  addEventListener("pagehide", clearCard);
  addEventListener("pageshow", (event) => event.persisted && clearCard());
}

function changeKind() {
  element("birth").value = "";
  element("pwd_2digit").required = !isCorporate();
  for (const id of ["birth", "pwd_2digit"]) errors.delete(id);
  render();
}

function dress() {
  if (colour) for (const [name, value] of [["--brand", colour], ["--brand-ink", ink]]) {
    document.documentElement.style.setProperty(name, value);
  }
  if (!isFramed) return;
  document.documentElement.classList.add("framed");
  const height = () => Math.ceil(document.documentElement.getBoundingClientRect().height);
  new ResizeObserver(() => tellShop(origins, { type: "card-height", height: height() })).observe(document.body);
}

async function begin() {
  await loadTexts(lang);
  dress();
  element("loading").remove();
  element("language").hidden = false;
  listen();
  if (!claims) return fail("bad_ticket");
  if (!globalThis.crypto?.subtle || !AbortSignal.timeout) return fail("no_crypto");
  fetchKeys(base).then((found) => (server ??= found), () => null);
  return begun ? alone(() => follow(begun)) : go(FORM);
}

begin();

/**
 * Answers: what the customer is told for each outcome and each refusal, as data. Pure.
 *
 * A notice has the key of its words in texts.js, a tone, whether the form or the button to send again comes with it,
 * and what of the card is shown.
 */

const GOOD = "good";
const BAD = "bad";
const CALM = "calm";

const OUTCOMES = {
  issued: { key: "issued", tone: GOOD },
  paid: { key: "paid", tone: GOOD },
  declined: { key: "declined", tone: BAD, again: true },
  superseded: { key: "superseded", tone: CALM },
  in_doubt: { key: "in_doubt", tone: CALM },
};

const NEXT_STEPS = {
  resubmit: { key: "resubmit", tone: BAD, again: true },
  look_up: OUTCOMES.in_doubt,
};

const ERRORS = {
  unsent: { tone: BAD, retry: true },
  unknown: { tone: BAD, retry: true },
  unavailable: { tone: BAD, retry: true },
  too_many: { tone: BAD, retry: true },
  refused: { tone: BAD, form: true },
  no_keys: { tone: BAD, form: true },
  ticket_expired: { tone: CALM },
  ticket_used: { tone: CALM },
  job_unknown: { tone: CALM },
  merchant_fault: { tone: BAD },
  bad_ticket: { tone: BAD },
  no_crypto: { tone: BAD },
};

/**
 * @param {object} outcome the outcome's view.
 * @param {boolean} renewed whether a new ticket came with it.
 * @param {string|null} lastFour of the card that was sealed last on this page.
 * @param {boolean} isOfEarlier whether the server said that it had a card of this ticket already.
 */
export function noticeOfOutcome(outcome, renewed, lastFour, isOfEarlier) {
  const merchantFault = { key: "merchant_fault", tone: BAD };
  const { again, ...notice } = OUTCOMES[outcome.status] ?? NEXT_STEPS[outcome.next_step] ?? merchantFault;
  const shown = /[0-9]{4}$/.exec(outcome.card_number ?? "")?.[0];
  // With one ticket, the card that arrived first counts: of a page that was reloaded too soon, or of another tab.
  const earlier = notice.tone === GOOD && lastFour && shown && shown !== lastFour;
  return {
    ...notice,
    ...(outcome.reason ? { reason: `reasons.${outcome.reason}` } : {}),
    ...(earlier ? { then: "earlier_card" } : {}),
    ...(again ? { form: renewed, then: !renewed ? "start_again" : isOfEarlier ? "earlier_again" : "type_again" } : {}),
    facts: {
      card_name: outcome.card_name,
      masked_number: notice.tone === GOOD ? outcome.card_number : null,
      code: outcome.status === "declined" ? outcome.pg_code : null,
    },
  };
}

/** @param {string} code an error of endpoint.js, or of the page's own. */
export const noticeOfError = (code) => ({ key: code, ...ERRORS[code] });

/**
 * Card: the rules of a card's fields, as producer/contract/card.py has them, and how each is shown while it is typed.
 *
 * Pure: knows no page and keeps nothing. A rule answers null where the field holds, else a code that texts.js words.
 */

const LUHN_BRANDS = new Set(["visa", "mastercard", "amex", "jcb", "diners"]);
const KOREA_S = 9 * 3600;
const GROUPS = { amex: [4, 6, 5], diners: [4, 6, 4] };

/** The ASCII digits of a text; Korean keyboards type wide ones too. */
export const digitsOf = (text) => text.normalize("NFKC").replace(/[^0-9]/g, "");

/** Whether a text has letters, or digits of another script, that no number field can mean. */
export const hasLetters = (text) => /\p{L}|[^0-9\P{N}]/u.test(text.normalize("NFKC"));

/** `visa`, `mastercard`, `amex`, `jcb`, `diners`, `unionpay` or `domestic`. */
export function brandOf(digits) {
  const [two, three, four] = [2, 3, 4].map((length) => Number(digits.slice(0, length)));
  if (digits[0] === "4") return "visa";
  if ((two >= 51 && two <= 55) || (four >= 2221 && four <= 2720)) return "mastercard";
  if (two === 34 || two === 37) return "amex";
  if (four >= 3528 && four <= 3589) return "jcb";
  if ((three >= 300 && three <= 305) || four === 3095 || [36, 38, 39].includes(two)) return "diners";
  return two === 62 ? "unionpay" : "domestic";
}

/** Whether the check digit of a card number holds (ISO/IEC 7812-1). */
export function luhnHolds(digits) {
  const weighed = [...digits].reverse().map((digit, at) => Number(digit) * (at % 2 ? 2 : 1));
  return weighed.reduce((sum, one) => sum + (one > 9 ? one - 9 : one), 0) % 10 === 0;
}

/** Whether the check digit of a Korean business number (10 digits) holds. */
export function businessNumberHolds(digits) {
  const weighed = [1, 3, 7, 1, 3, 7, 1, 3, 5].reduce((sum, weight, at) => sum + weight * digits[at], 0);
  return (10 - ((weighed + Math.floor((digits[8] * 5) / 10)) % 10)) % 10 === Number(digits[9]);
}

/** Whether six digits are a calendar date YYMMDD in this century or the last. */
export function birthDateHolds(digits) {
  const [year, month, day] = [0, 2, 4].map((at) => digits.slice(at, at + 2));
  return ["19", "20"].some((century) => dateHolds(century + year, month, day));
}

function dateHolds(year, month, day) {
  const date = new Date(Date.UTC(year, month - 1, day));
  return date.getUTCMonth() === month - 1 && date.getUTCDate() === Number(day);
}

/** The six digits YYMMDD of a birth date as people and browsers write it; all digits of whatever else. */
export function birthFrom(text) {
  const parted = /^\s*((?:19|20)?\d\d)\D+(\d\d?)\D+(\d\d?)\D*$/.exec(text.normalize("NFKC"));
  const digits = parted ? parted[1] + parted[2].padStart(2, "0") + parted[3].padStart(2, "0") : digitsOf(text);
  const [, year, month, day] = /^((?:19|20)\d\d)(\d\d)(\d\d)$/.exec(digits) ?? [];
  return year && dateHolds(year, month, day) ? digits.slice(2) : digits;
}

/** `YYYY-MM` of what people and browsers write: `07/31`, `7/31`, `0731`, `07/2031`, `2031-07`; null if it is none. */
export function expiryFrom(text) {
  const plain = text.normalize("NFKC").trim();
  const [, year, month] =
    /^(20\d\d)\D{0,3}(\d\d)$/.exec(plain) ?? swapped(/^(\d\d?)\D{1,3}(\d\d|20\d\d)$/.exec(plain)) ??
    swapped(/^(\d\d)(\d\d|20\d\d)$/.exec(plain)) ?? [];
  if (!month || month < 1 || month > 12) return null;
  return `${year.length === 2 ? "20" : ""}${year}-${month.padStart(2, "0")}`;
}

const swapped = (match) => match && [match[0], match[2], match[1]];

/** Rules by field, each `(text, {corporate, now}) => code or null`; `now` in Unix seconds. */
export const RULES = {
  card_number(text) {
    const digits = digitsOf(text);
    if (!digits) return "required";
    if (hasLetters(text)) return "digits_only";
    if (digits.length < 14 || digits.length > 16) return "length";
    return LUHN_BRANDS.has(brandOf(digits)) && !luhnHolds(digits) ? "check_digit" : null;
  },
  expiry(text, { now }) {
    if (!text.trim()) return "required";
    const expiry = expiryFrom(text);
    if (!expiry) return "no_month";
    return expiry < new Date((now + KOREA_S) * 1000).toISOString().slice(0, 7) ? "past" : null;
  },
  birth(text, { corporate }) {
    const digits = birthFrom(text);
    if (!digits) return corporate ? "required_business" : "required";
    if (hasLetters(text)) return "digits_only";
    if (corporate) return digits.length === 10 && businessNumberHolds(digits) ? null : "business_number";
    return digits.length === 6 && birthDateHolds(digits) ? null : "no_date";
  },
  pwd_2digit(text, { corporate }) {
    const digits = digitsOf(text);
    if (!digits && !hasLetters(text)) return corporate ? null : "required";
    return digits.length === 2 && !hasLetters(text) ? null : "two_digits";
  },
};

/** The card JSON's members of texts that hold; what is empty is left out. */
export function cardFrom({ card_number, expiry, birth, pwd_2digit }) {
  const card = { card_number: digitsOf(card_number), expiry: expiryFrom(expiry), birth: birthFrom(birth) };
  const password = digitsOf(pwd_2digit);
  return password ? { ...card, pwd_2digit: password } : card;
}

/** How a field is shown while it is typed, by field: `(text, {corporate}) => text`. */
export const SHOWN = {
  card_number(text) {
    const digits = digitsOf(text).slice(0, 19);
    return grouped(digits, GROUPS[brandOf(digits)] ?? [4, 4, 4, 4], " ");
  },
  expiry(text) {
    const whole = expiryFrom(text);
    if (whole) return `${whole.slice(5)}/${whole.slice(2, 4)}`;
    let digits = digitsOf(text).slice(0, 6);
    // "7" can only be July, and "1/" only January.
    if (/^[2-9]/.test(digits) || /^\s*\d\D/.test(text)) digits = `0${digits}`.slice(0, 6);
    return grouped(digits, [2], "/");
  },
  birth(text, { corporate }) {
    if (corporate) return grouped(digitsOf(text).slice(0, 10), [3, 2], "-");
    const digits = birthFrom(text);
    // Until the eighth digit "1990" may be a year; what is longer can only be a resident number, whose rest nobody wants.
    return digits.slice(0, /^(19|20)\d{0,6}$/.test(digits) ? 8 : 6);
  },
  pwd_2digit: (text) => digitsOf(text).slice(0, 2),
};

function grouped(digits, lengths, separator) {
  const groups = [];
  let at = 0;
  for (const length of lengths) {
    groups.push(digits.slice(at, at + length));
    at += length;
  }
  return [...groups, digits.slice(at)].filter(Boolean).join(separator);
}

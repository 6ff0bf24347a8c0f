/** `[[name, …arguments], …]` to what card.js answers; `now` is fixed by the caller. */

import * as card from "../../../producer/web/static/card.js";
import { answer, given } from "./pipe.mjs";

const { RULES, SHOWN, ...functions } = card;
const called = {
  ...functions,
  rule: (field, text, how) => RULES[field](text, how),
  shown: (field, text, how) => SHOWN[field](text, how),
};

answer(given().map(([name, ...rest]) => called[name](...rest)));

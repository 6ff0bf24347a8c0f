/** `[{card, request}, …]` to envelopes, sealed by the page's own module. */

import { seal } from "../../../producer/web/static/seal.js";
import { answer, given } from "./pipe.mjs";

answer(await Promise.all(given().map(({ card, request }) => seal(card, request))));

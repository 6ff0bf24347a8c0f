/** The paths of all texts, by language. */

import { texts as en } from "../../../producer/web/static/texts_en.js";
import { texts as ko } from "../../../producer/web/static/texts_ko.js";
import { answer } from "./pipe.mjs";

const paths = (node, at) =>
  typeof node === "string" ? [at] : Object.entries(node).flatMap(([name, inner]) => paths(inner, `${at}.${name}`));

answer(Object.fromEntries(Object.entries({ ko, en }).map(([lang, texts]) => [lang, paths(texts, "").sort()])));

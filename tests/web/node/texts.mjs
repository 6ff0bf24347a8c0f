/** The paths of all texts, by language. */

import { LANGUAGES } from "../../../producer/web/static/texts.js";
import { answer } from "./pipe.mjs";

const paths = (node, at) =>
  typeof node === "string" ? [at] : Object.entries(node).flatMap(([name, inner]) => paths(inner, `${at}.${name}`));

answer(Object.fromEntries(Object.entries(LANGUAGES).map(([lang, texts]) => [lang, paths(texts, "").sort()])));

/**
 * Texts: every word of the page, in Korean (texts_ko.js) and English (texts_en.js).
 *
 * A key may have a variant for payments, `…_onetime`. `{merchant}`, `{amount}` and `{code}` are filled in.
 */

const loaded = {};

/** Load a language, so that its words are there. @param {string} lang `ko` or `en`. */
export async function loadTexts(lang) {
  loaded[lang] ??= (await import(`./texts_${lang}.js`)).texts;
}

/**
 * The words for a key.
 *
 * @param {string} lang `ko` or `en`.
 * @param {string} key a key, or a path such as `errors.expiry.past`.
 * @param {Record<string, string>} [values] what is filled in; with `purpose`, the variant for it comes first.
 * @returns {string|undefined}
 */
export function wordsFor(lang, key, values = {}) {
  const find = (path) => path.split(".").reduce((found, name) => found?.[name], loaded[lang]);
  const text = find(`${key}_${values.purpose}`) ?? find(key);
  return text?.replace(/\{(\w+)\}/g, (_, name) => values[name] ?? "");
}

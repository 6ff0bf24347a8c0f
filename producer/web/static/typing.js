/**
 * Typing: show a field in groups while it is typed, and leave the caret where the customer has it.
 *
 * Keeps nothing of what is typed. Leaves a field alone while an input method composes: rewriting it then would break
 * the composition, and Korean keyboards compose.
 */

import { digitsOf } from "./card.js";

const STEPS = { deleteContentBackward: -1, deleteContentForward: 1 };

/**
 * @param {HTMLInputElement} input
 * @param {(text: string) => string} shownAs how a text is shown.
 * @param {(typed: string) => void} onTyped called with what was typed, before it is rewritten.
 */
export function groupWhileTyping(input, shownAs, onTyped) {
  const rewrite = () => {
    onTyped(input.value);
    show(input, shownAs(input.value));
  };
  input.addEventListener("input", (event) => event.isComposing || rewrite());
  for (const name of ["compositionend", "change"]) input.addEventListener(name, rewrite); // some fill in and tell no input
  input.addEventListener("beforeinput", (event) => {
    if (!event.isComposing && deleteOverSeparator(input, STEPS[event.inputType])) {
      event.preventDefault();
      rewrite();
    }
  });
}

function show(input, shown) {
  const typed = input.value;
  if (shown === typed) return;
  const before = digitsOf(typed.slice(0, input.selectionStart)).length;
  const putBefore = Math.max(0, digitsOf(shown).length - digitsOf(typed).length);
  const caret = input.selectionStart === typed.length ? shown.length : placeAfter(shown, before + putBefore);
  input.value = shown;
  // In Safari, setting the selection of a field takes the focus to it.
  if (document.activeElement === input) input.setSelectionRange(caret, caret);
}

/** The place right after so many digits. */
function placeAfter(text, digits) {
  let at = 0;
  for (let seen = 0; seen < digits && at < text.length; at += 1) {
    if (/\d/.test(text[at])) seen += 1;
  }
  return at;
}

/** Delete the digit beyond a separator: deleting the separator alone would only bring it back. */
function deleteOverSeparator(input, step) {
  const at = input.selectionStart;
  if (!step || at !== input.selectionEnd) return false;
  const beside = step < 0 ? at - 1 : at;
  if (!/[^\d]/.test(input.value[beside] ?? "0")) return false;
  const digit = beside + step;
  input.setRangeText("", digit, digit + 1, "start");
  return true;
}

/**
 * Back: the customer's way back to the shop: by its address or, in a frame, by a message to the page around this one.
 *
 * A job's id and status go along, about which the shop asks its own server; nothing of a card, not even masked.
 */

export const isFramed = window.parent !== window;

/** The shop's address, with what is told of a job in its query. */
export function addressBack(shop, told) {
  const url = new URL(shop);
  for (const [name, value] of Object.entries(told ?? {})) url.searchParams.set(name, value);
  return url.href;
}

/** Tell the page around this one, if it is of one of these origins: a message goes to no other. */
export function tellShop(origins, message) {
  if (!isFramed) return;
  const around = location.ancestorOrigins?.[0]; // where a browser does not say, the others' messages are dropped
  for (const origin of origins) if (!around || around === origin) window.parent.postMessage(message, origin);
}

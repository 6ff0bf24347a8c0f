/**
 * Embed: for the shop's page. Holds the card page in a frame, and tells what it says: when it has ended, and how high
 * it wants to be. A script of its own, without imports: `<script src="…/subscription/static/embed.js"></script>`.
 */

/**
 * @param {HTMLElement} place where the frame goes.
 * @param {string} url the card page's address, with its ticket.
 * @param {(told: {job_id: string, status: string}) => void} onEnd called once the customer is done here. Your server
 *   asks for the outcome of the job: what a browser tells is no proof.
 */
function embedCard(place, url, onEnd) {
  const page = new URL(url, location.href);
  const frame = document.createElement("iframe");
  frame.src = page.href;
  frame.title = place.getAttribute("aria-label") || "Card";
  Object.assign(frame.style, { display: "block", width: "100%", height: "44rem", border: "0" });
  addEventListener("message", ({ origin, source, data }) => {
    if (origin !== page.origin || source !== frame.contentWindow) return;
    if (data.type === "card-height" && data.height > 0) frame.style.height = `${data.height}px`;
    if (data.type === "card-end") onEnd({ job_id: data.job_id, status: data.status });
  });
  place.replaceChildren(frame);
}

// Comfort only: the page works without it. Counts down, and follows the sign-in, which another tab may have ended.
const button = document.querySelector("#resend");
const form = document.querySelector("#code-form");

function countDown(until) {
  const seconds = Math.max(0, Math.ceil((until - performance.now()) / 1000));
  document.querySelector("#seconds").textContent = seconds;
  document.querySelector("#wait").hidden = seconds === 0;
  button.setAttribute("aria-disabled", seconds > 0);
  if (seconds > 0) setTimeout(countDown, 250, until);
}

if (button) {
  button.form.addEventListener("submit", (event) => {
    if (button.getAttribute("aria-disabled") === "true") event.preventDefault();
  });
  countDown(performance.now() + 1000 * button.dataset.wait);
}

let isPosted = false; // then the answer to the post says what is next
addEventListener("submit", (event) => { isPosted ||= !event.defaultPrevented; });

async function follow() {
  for (;;) {
    const answer = await fetch(form.dataset.state).catch(() => null);
    if (isPosted) return;
    const { state } = answer?.ok ? await answer.json() : { state: "waiting" };
    if (state !== "waiting") return location.reload();
    if (!answer?.ok) await new Promise((resolve) => setTimeout(resolve, 5000));
  }
}

follow();

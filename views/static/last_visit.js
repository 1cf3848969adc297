// Keeps in this browser alone when the page was last seen: "<last time of the visit before>.<now>", in seconds.
// views/home/last_visit.py reads it and has the same rule. Nothing is drawn.
const NAME = "wattle_visit";
const VISIT_S = 1800;

function note() {
  const now = Math.floor(Date.now() / 1000);
  const found = document.cookie.split("; ").find((part) => part.startsWith(`${NAME}=`));
  const [before, seen] = (found ? found.slice(NAME.length + 1) : "0.0").split(".").map(Number);
  const kept = now - seen > VISIT_S ? seen : before;
  document.cookie = `${NAME}=${kept || 0}.${now}; path=/; max-age=31536000; SameSite=Lax`;
}

export default function () {
  note();
  const timer = setInterval(() => document.visibilityState === "visible" && note(), 60_000);
  document.addEventListener("visibilitychange", note);
  return () => {
    clearInterval(timer);
    document.removeEventListener("visibilitychange", note);
  };
}

// Replaces the parts of an open page that have changed. The server sends the page's main part when something is new.
// Without this script the pages work and stand still.
"use strict";

if ("moves" in document.body.dataset && "EventSource" in window) {
  const pulse = document.getElementById("pulse");
  let source;

  const say = (text, live) => {
    if (!pulse) return;
    pulse.hidden = false;
    pulse.classList.toggle("stopped", !live);
    if (pulse.textContent !== text) pulse.textContent = text;
  };

  const open = () => {
    source = new EventSource(location.pathname + location.search);
    source.onopen = () => say("live", true);
    source.onmessage = (event) => {
      say("live", true);
      replace(event.data);
    };
    source.addEventListener("stale", () => say("not up to date: the gateway cannot read this now", false));
    source.onerror = () => say(source.readyState === EventSource.CLOSED ? "stopped: load the page again" : "connecting", false);
  };

  // A part in which the operator types, selects or has the focus stays as it is.
  const inUse = (part) => {
    const selection = document.getSelection();
    return part.contains(document.activeElement) ||
      selection && !selection.isCollapsed && part.contains(selection.anchorNode);
  };

  const replace = (html) => {
    const fresh = new DOMParser().parseFromString(html, "text/html");
    for (const part of document.querySelectorAll("[data-live]")) {
      const next = fresh.getElementById(part.id);
      if (!next || next.isEqualNode(part) || inUse(part)) continue;
      const scrolled = [...part.querySelectorAll(".scroll")].map((box) => box.scrollLeft);
      part.replaceWith(document.importNode(next, true));
      [...document.getElementById(part.id).querySelectorAll(".scroll")].forEach((box, i) => { box.scrollLeft = scrolled[i] || 0; });
    }
  };

  // A page that nobody sees asks for nothing.
  document.addEventListener("visibilitychange", () => {
    source.close();
    if (document.hidden) say("paused", false);
    else open();
  });
  open();
}

// Before the first paint, so that a dark page does not flash white.
"use strict";
(() => {
  let wanted = null;
  try { wanted = localStorage.getItem("mend-theme"); } catch { /* private window */ }
  document.documentElement.dataset.theme =
    wanted || (matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light");
})();

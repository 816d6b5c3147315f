// Shown inside Optuna Dashboard: the way to our pages.
"use strict";
addEventListener("DOMContentLoaded", () => {
  const link = document.createElement("a");
  link.id = "mendview";
  link.href = "/mend/";
  link.textContent = "mendsearch pages";
  link.addEventListener("click", () => {
    const study = /^\/dashboard\/(?:studies|beta\/studies)\/(\d+)/.exec(location.pathname);
    link.href = study ? `/mend/${study[1]}/` : "/mend/";
  });
  Object.assign(link.style, {
    position: "fixed", right: "16px", bottom: "16px", zIndex: 2000, padding: "8px 14px", borderRadius: "99px",
    background: "#005f94", color: "#fff", font: "600 14px system-ui, sans-serif", textDecoration: "none",
    boxShadow: "0 2px 8px rgba(0, 0, 0, .3)",
  });
  document.body.append(link);
});

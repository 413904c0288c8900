// Before anything is drawn: the reader's own choice of light or dark, if there is one.
document.documentElement.classList.add("script");
try {
  const chosen = localStorage.getItem("theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
} catch { /* storage may be switched off: the system's choice holds */ }

// Runs before the first picture, so that a chosen look does not come with a flash of the other one.
try {
  const theme = localStorage.getItem("kotaemon.theme");
  if (theme === "light" || theme === "dark") document.documentElement.dataset.theme = theme;
} catch {
  // Storage is forbidden: the system's look it is.
}

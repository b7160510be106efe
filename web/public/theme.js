// The chosen theme, before anything is painted. Without a choice the page follows the system.
(function () {
  try {
    var theme = localStorage.getItem('blockcast.theme');
    if (theme === 'light' || theme === 'dark') {
      document.documentElement.setAttribute('data-theme', theme);
    }
  } catch (error) {
    // Storage is off: follow the system.
  }
})();

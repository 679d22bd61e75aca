// A classic script: <script src="/counter.js"></script>
(function () {
  var element = document.querySelector("[data-counter]");
  window.fetch && fetch("/api/counter").then(function (response) {
    return response.text();
  }).then(function (text) {
    element.textContent = text;
  });
})();

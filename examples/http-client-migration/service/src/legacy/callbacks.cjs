const util = require("node:util");
const settings = require("./settings.cjs");

exports.load = function load(name, callback) {
  fetch(settings.base + name)
    .then(function (response) {
      return response.text();
    })
    .then(function (text) { callback(null, text); }, callback);
};

exports.loadAsync = util.promisify(exports.load);

exports.viaCall = (name) => fetch.call(null, settings.base + name);

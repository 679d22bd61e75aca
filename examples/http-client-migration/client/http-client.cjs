"use strict";

/**
 * The one way out of this service. `request` takes what `fetch` takes, but for a `Request`
 * object, and answers with the same `Response`, whatever its status.
 */
class HttpClient {
  #send;
  #observe;

  /** `send` replaces the platform's fetch, `observe` hears of every exchange. */
  constructor({ send, observe } = {}) {
    this.#send = send ?? ((input, init) => globalThis.fetch(input, init));
    this.#observe = observe ?? (() => {});
  }

  /** A property, not a method: it keeps its client when it is given another name. */
  request = async (input, options) => {
    const started = Date.now();
    const exchange = { method: options?.method ?? "GET", url: String(input) };
    try {
      const response = await this.#send(input, options);
      this.#observe({ ...exchange, status: response.status, milliseconds: Date.now() - started });
      return response;
    } catch (error) {
      this.#observe({ ...exchange, status: "failed", milliseconds: Date.now() - started });
      throw error;
    }
  };
}

exports.HttpClient = HttpClient;
exports.httpClient = new HttpClient();

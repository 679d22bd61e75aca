/** What the service knows of one exchange, for its log. */
export interface Exchange {
  method: string;
  url: string;
  status: number | "failed";
  milliseconds: number;
}

export interface HttpClientOptions {
  /** Sends the request; the platform's fetch unless a test gives another. */
  send?: typeof fetch;
  /** Hears of every exchange. */
  observe?: (exchange: Exchange) => void;
}

/**
 * The one way out of this service. `request` takes what `fetch` takes, but for a `Request`
 * object, and answers with the same `Response`, whatever its status.
 */
export class HttpClient {
  readonly #send: typeof fetch;
  readonly #observe: (exchange: Exchange) => void;

  constructor(options: HttpClientOptions = {}) {
    // Looked up at each call, so that a test may still replace the global function.
    this.#send = options.send ?? ((input, init) => globalThis.fetch(input, init));
    this.#observe = options.observe ?? (() => {});
  }

  /** A property, not a method: it keeps its client when it is given another name. */
  readonly request = async (input: string | URL, options?: RequestInit): Promise<Response> => {
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

export const httpClient = new HttpClient();

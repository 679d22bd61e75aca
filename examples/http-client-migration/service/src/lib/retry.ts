export interface RetryOptions {
  attempts?: number;
  pause?: number;
}

/** Runs `work` again while it throws. */
export async function retry<T>(work: () => Promise<T>, { attempts = 3, pause = 200 }: RetryOptions = {}) {
  let last: unknown;
  for (let attempt = 1; attempt <= attempts; attempt++) {
    try {
      return await work();
    } catch (error) {
      last = error;
      await new Promise((done) => setTimeout(done, pause * attempt));
    }
  }
  throw last;
}

// The caller decides what is called: tests give a function of their own.
export function retryingFetch(fetchFn: typeof fetch = fetch, options?: RetryOptions) {
  return (url: string, init?: RequestInit) => retry(() => fetchFn(url, init), options);
}

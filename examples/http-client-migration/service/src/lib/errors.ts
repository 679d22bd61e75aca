export class UpstreamError extends Error {
  constructor(
    readonly upstream: string,
    readonly status: number,
  ) {
    super(`${upstream} answered ${status}; fetch("${upstream}") failed`);
  }
}

export function assertOk(response: Response, upstream: string): Response {
  if (!response.ok) throw new UpstreamError(upstream, response.status);
  return response;
}

export interface Request {
  body: Record<string, any>;
  params: Record<string, string>;
  headers: Record<string, string | undefined>;
  url: string;
}

export interface Response {
  status(code: number): Response;
  send(body: unknown): void;
}

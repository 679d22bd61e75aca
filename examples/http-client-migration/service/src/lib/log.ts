export type Level = "debug" | "info" | "warn" | "error";

export function log(level: Level, message: string, fields: Record<string, unknown> = {}) {
  process.stdout.write(`${JSON.stringify({ level, message, ...fields })}\n`);
}

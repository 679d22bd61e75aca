/**
 * What a workflow script of Bellwether finds (docs/contract.md). For editors: `bellwether init` puts this file beside a
 * `jsconfig.json`. A script is plain JavaScript in an async function: `await` and `return` stand at its top level.
 */

/** JSON, as it comes back from agents, `args` and other workflows. */
type Json = null | boolean | number | string | Json[] | { [key: string]: Json };

/** A JSON Schema: draft 2020-12, or draft-07. */
interface JsonSchema {
  readonly type?: JsonType | (string & {}) | readonly string[];
  readonly properties?: { readonly [name: string]: JsonSchema };
  readonly required?: readonly string[];
  readonly items?: JsonSchema | boolean;
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
  readonly [keyword: string]: unknown;
}
type JsonType = 'object' | 'array' | 'string' | 'number' | 'integer' | 'boolean' | 'null';

/** What fits a schema, as far as its literal says. */
type Fits<S> =
  S extends { readonly const: infer C } ? C
  : S extends { readonly enum: readonly (infer E)[] } ? E
  : S extends { readonly type: readonly (infer T)[] } ? FitsType<S, T>
  : S extends { readonly type: infer T } ? FitsType<S, T>
  : any;
type FitsType<S, T> =
  T extends 'string' ? string
  : T extends 'number' | 'integer' ? number
  : T extends 'boolean' ? boolean
  : T extends 'null' ? null
  : T extends 'array' ? (S extends { readonly items: infer I } ? Fits<I>[] : any[])
  : T extends 'object' ? (S extends { readonly properties: infer P } ? FitsProperties<P, S> : { [key: string]: any })
  : any;
type FitsProperties<P, S> =
  { -readonly [K in keyof P as K extends Needed<S> ? K : never]: Fits<P[K]> }
  & { -readonly [K in keyof P as K extends Needed<S> ? never : K]?: Fits<P[K]> };
type Needed<S> = S extends { readonly required: readonly (infer R)[] } ? R : never;

/** Milliseconds, or an ISO 8601 duration of fixed length: `'PT90S'`, `'P1D'`. */
type Duration = number | string;

/** How an agent does its task. Options that are not known are ignored, with a warning. */
interface AgentOptions<S = JsonSchema> {
  /** The name to show. */
  label?: string | null;
  /** The phase that it belongs to, in place of the current one. */
  phase?: string | null;
  /** What its answer must fit. Without one the answer is text. */
  schema?: S | null;
  /** An alias or id of a model. */
  model?: string | null;
  effort?: 'low' | 'medium' | 'high' | 'xhigh' | 'max' | null;
  /** `'worktree'`: a git worktree of its own; what it changes is kept on a branch. */
  isolation?: 'worktree' | null;
  /** A kind of agent: `'general-purpose'`, `'Explore'`, one of `.bellwether/agents` or `.claude/agents`, `'plugin:name'`. */
  agentType?: 'general-purpose' | 'Explore' | (string & {}) | null;
  /** How long an attempt may take. */
  timeout?: Duration | null;
  /** How long it may report no progress; by what it is at, if you like: `{ silent: 90_000, tool: 'PT1H' }`. */
  stallTimeout?: Duration | { silent?: Duration | null; tool?: Duration | null; person?: Duration | null } | null;
  /** How many more attempts it gets when it fails; by what it fails of, if you like: `{ crash: 1, transport: 5 }`. */
  retries?:
    | number
    | { [kind in 'rate_limit' | 'quota' | 'transport' | 'timeout' | 'refused' | 'crash' | 'other']?: number | null }
    | null;
  /** The tools that it may use. */
  tools?: readonly string[] | null;
  /** Tools that it may not use. */
  disallowedTools?: readonly string[] | null;
  /** The backend that carries it out, in place of the run's. */
  backend?: string | null;
  /** The folder to work in, from where it would work else. */
  cwd?: string | null;
  /** How many turns of its own it may take. */
  maxTurns?: number | null;
  /** How many tokens models may write for it. */
  maxTokens?: number | null;
  /** What it may cost, in dollars. */
  maxCost?: number | null;
  /** Names of the environment variables that it gets; their values stay outside the script. */
  env?: readonly string[] | null;
  /** What it is known by when a run is repeated, in place of its prompt. */
  key?: string | null;
  /** Only its value counts for what comes after. */
  pure?: boolean | null;
}

/** Asks an agent. `null` when it failed, was skipped or was stopped; the run's log and `attempt` say why. */
declare function agent(prompt: string, options?: Omit<AgentOptions, 'schema'> & { schema?: null }): Promise<string | null>;
declare function agent<const S extends JsonSchema>(prompt: string, options: AgentOptions<S>): Promise<Fits<S> | null>;

/** Where an isolated agent's changes are kept. */
interface Worktree {
  branch: string | null;
  base: string;
  commit: string | null;
  files: string[];
}

/** How an agent did. */
interface Attempt<V = any> {
  ok: boolean;
  value: V | null;
  error: { kind: string; message: string; attempts: number } | null;
  usage: { inputTokens: number; outputTokens: number; cost: number | null };
  agentId: string;
  worktree: Worktree | null;
}

/** As `agent`, but a failure is told and not thrown. */
declare function attempt(prompt: string, options?: Omit<AgentOptions, 'schema'> & { schema?: null }): Promise<Attempt<string>>;
declare function attempt<const S extends JsonSchema>(prompt: string, options: AgentOptions<S>): Promise<Attempt<Fits<S>>>;

/** Runs functions at once and waits for all. One that throws gives `null`. Give functions, not promises. */
declare function parallel<T extends readonly (() => unknown)[]>(
  thunks: readonly [...T],
): Promise<{ -readonly [I in keyof T]: Awaited<ReturnType<T[I]>> | null }>;

/** Sends each item through the stages on its own. A stage that throws or gives `null` ends its item, which becomes `null`. */
declare function pipeline<I>(items: readonly I[]): Promise<I[]>;
declare function pipeline<I, A>(items: readonly I[], a: Stage<I, I, A>): Promise<(Awaited<A> | null)[]>;
declare function pipeline<I, A, B>(items: readonly I[], a: Stage<I, I, A>, b: Stage<NonNullable<Awaited<A>>, I, B>): Promise<(Awaited<B> | null)[]>;
declare function pipeline<I, A, B, C>(
  items: readonly I[], a: Stage<I, I, A>, b: Stage<NonNullable<Awaited<A>>, I, B>, c: Stage<NonNullable<Awaited<B>>, I, C>,
): Promise<(Awaited<C> | null)[]>;
declare function pipeline<I>(items: readonly I[], ...stages: Stage<any, I, any>[]): Promise<any[]>;
/** Is given what the stage before came to, the item, and its index. */
type Stage<P, I, R> = (previous: P, item: I, index: number) => R;

/** Later calls belong to this phase. */
declare function phase(title: string): void;
/** Shows a line. */
declare function log(...values: unknown[]): void;
/** Runs another workflow, by its name or its file, and gives its value. */
declare function workflow(target: string | { scriptPath: string }, args?: unknown): Promise<any>;

/** What the run was given; `undefined` without any. */
declare const args: any;

/** Output tokens of the whole run, other workflows included. */
declare const budget: {
  readonly total: number | null;
  /** What the agents have written whose answers the script has seen. */
  spent(): number;
  /** `Infinity` without a total. */
  remaining(): number;
};

/** Waits, for days if need be: the timer outlives the process. */
declare function sleep(duration: Duration): Promise<void>;
/** The time in milliseconds since 1970, recorded: a replay sees the same. */
declare function now(): number;
/** A number from 0 up to 1, recorded. */
declare function random(): number;

/** What `ask` may be told. */
interface AskOptions<S extends JsonSchema | null = any, C = any> {
  /** What may be answered, and nothing else. */
  choices?: readonly C[] | null;
  /** What the answer must fit. */
  schema?: S;
  /** How long a person may take, from the call on. Without it the run waits for ever. */
  timeout?: Duration | null;
  /** What is proposed, and what counts when the time is over. */
  default?: C | null;
  /** What the question is known by when a run is repeated, in place of its text. */
  key?: string | null;
  label?: string | null;
  phase?: string | null;
}

/** Asks a person, and waits. `null` when nobody answered in time and there is no default. */
declare function ask<const C>(question: string, options: AskOptions<null, C> & { choices: readonly C[]; schema?: null }): Promise<C | null>;
declare function ask<const S extends JsonSchema>(question: string, options: AskOptions<S> & { schema: S }): Promise<Fits<S> | null>;
declare function ask(question: string, options?: AskOptions): Promise<any>;

/** What `merge` may be told. One that is not known throws. */
interface MergeOptions {
  /** The target branch, made when it is missing. */
  into?: string | null;
  /** A command line that must hold for a branch to land. */
  verify?: string | null;
  /** How long one verification may take. */
  timeout?: Duration | null;
  label?: string | null;
  phase?: string | null;
}

/** What landed. */
interface Landed {
  into: string;
  before: string;
  after: string;
  landed: { branch: string; commit: string; files: string[] }[];
  left: {
    branch: string;
    reason: 'conflict' | 'verify' | 'missing' | 'unrelated' | 'setup' | 'checkout';
    message: string;
    files?: string[];
    output?: string;
  }[];
}

/** Something that names a branch on which an agent's work is kept. */
type Mergeable = string | { branch: string | null } | { worktree: { branch: string | null } | null } | null | undefined;

/** Lands the branches of isolated agents, one at a time. Must be allowed: `--allow merge`. */
declare function merge(worktrees: readonly Mergeable[], options?: MergeOptions): Promise<Landed>;

/** What somebody shows against a claim. */
interface Evidence {
  reviewer: string;
  file?: string | null;
  line?: number | null;
  quote?: string | null;
  reason?: string | null;
}

/** Somebody who looks: what for, options of its agent, or a function that finds evidence. */
type Reviewer =
  | string
  | ({ name?: string; focus?: string; prompt?: string; review?: (claim: any) => unknown } & Omit<AgentOptions, 'schema'>)
  | ((claim: any) => unknown);

interface RefuteOptions {
  reviewers?: number | readonly Reviewer[];
  /** So many proven refutations refute. */
  quorum?: number;
  /** So many must have checked it and let it stand. */
  approvals?: number;
  /** Further properties of each answer, as JSON Schema by name. */
  extra?: { readonly [name: string]: JsonSchema };
  label?: string;
  agentOptions?: Omit<AgentOptions, 'schema'>;
}

interface ConvergeOptions extends RefuteOptions {
  /** What is to be achieved. */
  task: string;
  claim?: string;
  implement?: string | ({ prompt?: string } & Omit<AgentOptions, 'schema'>) | ((state: any) => unknown);
  verify?: Reviewer | readonly Reviewer[];
  rounds?: number;
}

/** Ways of working that many scripts share (docs/patterns.md). */
declare const patterns: {
  /** Reviewers try to prove a claim wrong. */
  refute(claim: unknown, options?: RefuteOptions): Promise<{
    refuted: boolean;
    agreed: boolean;
    dissent: Evidence[];
    unproven: Evidence[];
    rubberStamps: string[];
    failed: string[];
    verdicts: any[];
  }>;
  /** Implements, verifies and fixes until the verifiers agree or the rounds are spent. */
  converge(options: ConvergeOptions): Promise<{
    agreed: boolean;
    spent: boolean;
    change: any;
    worktree: Worktree | null;
    dissent: Evidence[];
    unproven: Evidence[];
    reviewers: any[];
    alwaysAgreed: string[];
    rounds: any[];
  }>;
};

declare const console: {
  log(...values: unknown[]): void;
  info(...values: unknown[]): void;
  debug(...values: unknown[]): void;
  warn(...values: unknown[]): void;
  error(...values: unknown[]): void;
};

/** A copy of data. */
declare function structuredClone<T>(value: T): T;
declare function queueMicrotask(callback: () => void): void;
/** A durable timer; gives a number for `clearTimeout`. */
declare function setTimeout<A extends unknown[]>(callback: (...values: A) => void, delay?: number, ...values: A): number;
declare function clearTimeout(timer: number | undefined): void;

declare class URL {
  constructor(url: string | URL, base?: string | URL);
  static canParse(url: string | URL, base?: string | URL): boolean;
  static parse(url: string | URL, base?: string | URL): URL | null;
  href: string;
  readonly origin: string;
  protocol: string;
  username: string;
  password: string;
  host: string;
  hostname: string;
  port: string;
  pathname: string;
  search: string;
  readonly searchParams: URLSearchParams;
  hash: string;
  toString(): string;
  toJSON(): string;
}

declare class URLSearchParams {
  constructor(init?: string | Iterable<readonly [string, string]> | { readonly [name: string]: string });
  readonly size: number;
  append(name: string, value: string): void;
  delete(name: string, value?: string): void;
  get(name: string): string | null;
  getAll(name: string): string[];
  has(name: string, value?: string): boolean;
  set(name: string, value: string): void;
  sort(): void;
  forEach(callback: (value: string, name: string, search: URLSearchParams) => void, self?: unknown): void;
  entries(): IterableIterator<[string, string]>;
  keys(): IterableIterator<string>;
  values(): IterableIterator<string>;
  toString(): string;
  [Symbol.iterator](): IterableIterator<[string, string]>;
}

declare class TextEncoder {
  readonly encoding: string;
  encode(input?: string): Uint8Array;
  encodeInto(source: string, destination: Uint8Array): { read: number; written: number };
}

declare class TextDecoder {
  constructor(label?: string, options?: { fatal?: boolean; ignoreBOM?: boolean });
  readonly encoding: string;
  readonly fatal: boolean;
  readonly ignoreBOM: boolean;
  decode(input?: ArrayBuffer | ArrayBufferView, options?: { stream?: boolean }): string;
}

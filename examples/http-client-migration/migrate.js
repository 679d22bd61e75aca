export const meta = {
  name: 'http-client-migration',
  description: 'Moves a repository from fetch() to one HTTP client, or by a rule of your own: a branch a file, each checked by another method',
  whenToUse: 'One call is to become another all over a repository, and no file may land that nobody but its author has checked',
  phases: [
    { title: 'Discover', detail: 'find the files, and refuse what no rule can move' },
    { title: 'Migrate', detail: 'a codemod a file, on a branch of its own; checked; again by a narrower rule where it was wrong' },
    { title: 'Land', detail: 'merge what was agreed on, one branch at a time, each verified' },
  ],
  args: {
    type: 'object',
    properties: {
      path: { type: 'string', description: 'a folder of the repository that the run works in; all of it without it' },
      client: { type: 'string', description: "the client's module; found or written without it" },
      pattern: { type: 'string', description: "what to replace, as ast-grep's patterns say it; fetch() without it" },
      rewrite: { type: 'string', description: 'what takes its place' },
      import: { description: 'what the rewritten files must import: a statement, or {module, name}' },
      constraints: { type: 'object', description: "what the pattern's variables must be, as the codemod takes it" },
      notInside: { type: 'object', description: 'where the pattern must not match, as the codemod takes it' },
      files: { type: 'string', description: 'a glob of the files: src/**/*.py' },
      language: { type: 'string', description: 'the only language: javascript, typescript, tsx, python or rust' },
      reviewers: { type: 'array', description: 'reviewers beside ours: options of agent(), such as {agentType: "critic"}' },
      verify: { type: 'string', description: 'a command that must pass for a branch to land; without it nothing is merged' },
    },
  },
}

const { path = '.', verify, reviewers: others = [] } = args ?? {}
const isOwnRule = args?.pattern !== undefined
if (isOwnRule && typeof args.rewrite !== 'string') throw new Error('a pattern needs a "rewrite": what takes its place')

const text = { type: 'string' }
const count = { type: 'integer', minimum: 0 }
const shape = (properties) => ({ type: 'object', properties, required: Object.keys(properties) })
const list = (properties) => ({ type: 'array', items: shape(properties) })

const FOUND = list({ file: text, lines: { type: 'array', items: count }, refused: list({ line: count, reason: text }), client: text })
const DISCOVERY = shape({
  base: text,
  client: text,
  clientExists: { type: 'boolean' },
  files: FOUND,
  refused: FOUND,
  scanned: count,
  withoutGlobalFetch: count,
  skipped: list({ reason: text, files: count, first: text }),
})
const CANDIDATES = shape({ base: text, files: { type: 'array', items: text }, scanned: count })
const VERDICT = shape({
  verdict: { enum: ['stands', 'refuted'] },
  evidence: list({ file: text, line: count, reason: text }),
  checked: { type: 'array', items: text },
})

// The task in a sentence for whoever reads the run, and once more as a line for the agent.
const order = (sentence, fields) => `${sentence}\n${JSON.stringify(fields)}`

// ---------------------------------------------------------------------------------------------------------------------
// The plain rule for fetch(): its calls by every name of the global object, but for those whose arguments already say
// that the client does not take them.

const CALLEES = ['fetch', '(fetch)', 'globalThis.fetch', 'globalThis["fetch"]', 'window.fetch', 'self.fetch', 'global.fetch']

const plainRules = (client) => CALLEES.map((callee) => ({
  id: callee,
  pattern: `${callee}($$$ARGS)`,
  rewrite: callee === '(fetch)' ? '(httpClient.request)($$$ARGS)' : 'httpClient.request($$$ARGS)',
  not: {
    any: [
      { pattern: `${callee}(new Request($$$))` },
      { pattern: `${callee}($REQUEST.clone())` },
      { pattern: `${callee}(...$ALL)` },
      { has: { kind: 'pair', regex: '^(duplex|keepalive)\\s*:' } },
    ],
  },
  import: { path: client, name: 'httpClient' },
}))

// What a reviewer may find, and where the pattern must then not match. One rule for one kind of evidence: what none of
// them is about needs a person.
const NARROWER = [
  {
    name: "not where fetch is a name of the file's own",
    answers: /a fetch that is not the global one/,
    notInside: {
      any: [
        { has: { field: 'parameters', regex: '[(,{]\\s*fetch\\s*[:,=)}]', stopBy: 'neighbor' } },
        {
          kind: 'statement_block',
          has: {
            kind: 'lexical_declaration',
            stopBy: 'neighbor',
            has: { kind: 'variable_declarator', stopBy: 'neighbor', has: { field: 'name', regex: '^fetch$', stopBy: 'neighbor' } },
          },
        },
      ],
    },
  },
  {
    name: 'not in code that is sent elsewhere as text',
    answers: /runs in another process/,
    notInside: { any: ['evaluate', 'evaluateHandle', '$eval', '$$eval', 'waitForFunction', 'addInitScript'].map((method) => ({
      kind: 'call_expression',
      has: { field: 'function', regex: `\\.${method.replaceAll('$', '\\$')}$`, stopBy: 'neighbor' },
    })) },
  },
]

// The narrower rules that the evidence asks for; none where there is evidence that no rule is about.
const narrowed = (evidence) => {
  const chosen = NARROWER.filter(({ answers }) => evidence.some(({ reason }) => answers.test(reason)))
  const isAnswered = ({ reason }) => NARROWER.some(({ answers }) => answers.test(reason))
  return evidence.every(isAnswered) ? chosen : []
}

// ---------------------------------------------------------------------------------------------------------------------

phase('Discover')
let files, base, discovery
if (isOwnRule) {
  const { pattern, files: glob = null, language = null } = args
  discovery = await agent(
    order(`Find the files under ${path} in which ${pattern} may match.`, { task: 'candidates', path, pattern, files: glob, language }),
    { label: 'candidates', schema: CANDIDATES },
  )
  if (!discovery) throw new Error(`nothing could be searched under ${path}; the agent's failure says why`)
  files = discovery.files.map((file) => ({ file }))
  log(`${files.length} of ${discovery.scanned} files have the words of the pattern`)
} else {
  discovery = await agent(
    order(`Find the files under ${path} that call the global fetch().`, { task: 'discover', path, client: args?.client ?? null }),
    { label: 'discover', schema: DISCOVERY },
  )
  if (!discovery) throw new Error(`nothing could be discovered under ${path}; the agent's failure says why`)
  files = discovery.files
  log(`${files.length + discovery.refused.length} of ${discovery.scanned} files use the global fetch(); ${discovery.refused.length} of them only in ways that no rule can move`)
}
({ base } = discovery)

let client = null
if (!isOwnRule && !discovery.clientExists && files.length > 0) {
  client = await attempt(order(`Write the HTTP client ${discovery.client}.`, { task: 'client', client: discovery.client }), {
    label: 'client',
    isolation: 'worktree',
  })
  if (!client.ok) throw new Error(`no client: ${client.error.message}`)
}

const rulesFor = (found, narrower) => {
  if (isOwnRule) {
    const { pattern, rewrite, import: needed, constraints, notInside } = args
    return [{ pattern, rewrite, import: needed, constraints, notInside }]
  }
  const inside = { any: narrower.flatMap(({ notInside }) => notInside.any) }
  return plainRules(found.client).map((rule) => (narrower.length > 0 ? { ...rule, notInside: inside } : rule))
}

const labelled = (what, file, round) => `${what} ${file}${round === 1 ? '' : `, round ${round}`}`

// The codemod on a branch of the file's own. In a second round, from the same commit by a narrower rule.
const implement = async (found, { round, dissent }) => {
  const { file } = found
  const narrower = round === 1 ? [] : narrowed(dissent)
  if (round > 1 && narrower.length === 0) throw new Error('no narrower rule answers this evidence')
  const done = await attempt(JSON.stringify({ rules: rulesFor(found, narrower), files: [file] }), {
    label: labelled('codemod', file, round),
    phase: 'Migrate',
    backend: 'codemod',
    isolation: 'worktree',
  })
  if (!done.ok) throw new Error(done.error.message)
  const [{ status, reason, edits, moreEdits, imports }] = done.value.files
  if (status === 'failed' || status === 'skipped') throw new Error(`the codemod: ${reason}`)
  return { round, rules: narrower.map(({ name }) => name), edits, moreEdits, imports, worktree: done.worktree }
}

// The reviewer, which shares nothing with the codemod: it reads both texts out of git.
const check = async (found, { change, worktree }) => {
  const { file } = found
  if (!worktree) return { verdict: 'stands', evidence: [], checked: ['nothing was changed'] }
  const { commit } = worktree
  const { edits, moreEdits, imports } = change
  const said = await attempt(
    isOwnRule
      ? order(`Check that ${file} differs only where the rule matches.`, {
          task: 'review', base, commit, file, pattern: args.pattern, edits, moreEdits, imports,
        })
      : order(`Check that ${file} is its committed text with the fetch() calls moved, and nothing else.`, {
          task: 'verify', base, commit, client: discovery.client, file, refused: found.refused,
        }),
    { label: labelled('verify', file, change.round), phase: 'Migrate', schema: VERDICT },
  )
  if (!said.ok) throw new Error(said.error.message)
  return said.value
}

phase('Migrate')
const migrate = (found) =>
  patterns.converge({
    task: isOwnRule
      ? `In ${found.file}, ${args.pattern} becomes ${args.rewrite}. Nothing else changes.`
      : `Move the fetch() calls of ${found.file} to httpClient.request(). Nothing else changes.`,
    label: found.file,
    rounds: isOwnRule ? 1 : 2,
    implement: (given) => implement(found, given),
    verify: [{ name: 'texts side by side', review: (claim) => check(found, claim) }],
    reviewers: others.length > 0 ? others : 0,
  })

const results = []
const most = 4000 // a pipeline takes no more than 4,096
for (let start = 0; start < files.length; start += most) {
  results.push(...(await pipeline(files.slice(start, start + most), migrate)))
}

const outcomes = files.map(({ file }, index) => ({ file, result: results[index] }))
const agreed = outcomes.filter(({ result }) => result?.agreed && result.worktree)
const unchanged = outcomes.filter(({ result }) => result?.agreed && !result.worktree)
const evidenceOf = (dissent) => dissent.map(({ line, reason }) => ({ line, reason }))
const failureOf = (result) => result?.rounds.findLast(({ error }) => error)?.error.message.replace(/^Error: /, '') ?? null

phase('Land')
const branches = [client, ...agreed.map(({ result }) => result)]
const landing = verify === undefined || agreed.length === 0 ? null : await merge(branches, { verify, label: 'land' })
const leftOut = new Map((landing?.left ?? []).map((left) => [left.branch, left]))

return {
  base,
  client: isOwnRule ? null : discovery.client,
  files: files.length,
  changed: agreed.length,
  unchanged: unchanged.length,
  calls: agreed.reduce((sum, { result }) => sum + result.change.edits.length + (result.change.moreEdits ?? 0), 0),
  refusedFiles: isOwnRule ? 0 : discovery.refused.length,
  refused: isOwnRule ? [] : [...discovery.refused, ...files].flatMap(({ file, refused }) => refused.map((one) => ({ file, ...one }))),
  refutedInRoundOne: outcomes
    .filter(({ result }) => result?.rounds[0].dissent.length > 0)
    .map(({ file, result }) => ({ file, evidence: evidenceOf(result.rounds[0].dissent) })),
  fixedInRoundTwo: agreed
    .filter(({ result }) => result.rounds.length > 1)
    .map(({ file, result }) => ({ file, rules: result.change.rules })),
  quarantined: outcomes
    .filter(({ result }) => !result?.agreed)
    .map(({ file, result }) => ({
      file,
      evidence: evidenceOf(result?.dissent ?? []),
      reason: failureOf(result) ?? 'the reviewers did not agree',
      branch: result?.worktree?.branch ?? null,
    })),
  branches: agreed.map(({ file, result }) => ({ file, branch: result.worktree.branch, commit: result.worktree.commit })),
  into: landing?.into ?? null,
  before: landing?.before ?? null,
  after: landing?.after ?? null,
  landed: landing?.landed.length ?? 0,
  leftOut: branches
    .filter((one) => one && leftOut.has(one.worktree.branch))
    .map(({ worktree: { branch, files: [file] } }) => ({ file, branch, reason: leftOut.get(branch).reason, message: leftOut.get(branch).message })),
  skipped: discovery.skipped ?? [],
}

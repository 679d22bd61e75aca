export const meta = {
  name: 'http-client-migration',
  description: 'Moves a repository from fetch() to one HTTP client, a file an agent, each file checked by a second one',
  whenToUse: 'A JavaScript or TypeScript repository calls fetch() all over and should have one way out',
  phases: [
    { title: 'Discover', detail: 'find the files that call the global fetch()' },
    { title: 'Migrate', detail: 'one agent a file, by syntax tree' },
    { title: 'Verify', detail: 'one agent a file, by another method' },
  ],
  args: {
    type: 'object',
    properties: {
      path: { type: 'string', description: 'the repository, or a folder in it' },
      client: { type: 'string', description: "the client's module, relative to path; found or written without it" },
    },
    required: ['path'],
  },
}

if (!args?.path) throw new Error('say which repository: --args \'{"path": "…"}\'')

const text = { type: 'string' }
const count = { type: 'integer', minimum: 0 }
const shape = (properties) => ({ type: 'object', properties, required: Object.keys(properties) })
const list = (properties) => ({ type: 'array', items: shape(properties) })

const DISCOVERY = shape({
  root: text,
  base: text,
  client: text,
  clientExists: { type: 'boolean' },
  files: list({ file: text, lines: { type: 'array', items: count } }),
  scanned: count,
  withoutGlobalFetch: count,
  skipped: list({ reason: text, files: count, first: text }),
})
const MIGRATION = shape({
  file: text,
  state: { enum: ['migrated', 'migrated before', 'unchanged'] },
  calls: count,
  changes: list({ line: count, before: text, after: text }),
  refused: list({ line: count, text, reason: text }),
})
const VERDICT = shape({
  file: text,
  verdict: { enum: ['passed', 'refuted'] },
  refutations: list({ file: text, line: count, reason: text }),
  tokens: count,
})

// The task in a sentence for whoever reads the run, and once more as a line for the agent.
const order = (sentence, fields) => `${sentence}\n${JSON.stringify(fields)}`

phase('Discover')
const found = await agent(
  order(`Find the files under ${args.path} that call the global fetch().`, {
    task: 'discover',
    path: args.path,
    client: args.client ?? null,
  }),
  { label: 'discover', schema: DISCOVERY },
)
if (!found) throw new Error(`nothing could be discovered under ${args.path}; the agent's failure says why`)
const { root, base, client } = found
log(`${found.files.length} of ${found.scanned} files use the global fetch(); ${found.withoutGlobalFetch} more only speak of it`)

if (!found.clientExists && found.files.length > 0) {
  await agent(order(`Write the HTTP client ${client}.`, { task: 'client', root, client }), { label: 'client' })
}

phase('Migrate')

const migrate = ({ file }) =>
  agent(order(`Move the fetch() calls of ${file} to httpClient.request().`, { task: 'migrate', root, base, client, file }), {
    label: `migrate ${file}`,
    phase: 'Migrate',
    schema: MIGRATION,
  })

const verify = async (migration, { file }) => {
  const refused = migration.refused.map(({ line }) => line)
  const check = await agent(
    order(`Check that ${file} is its committed text with the fetch() calls moved, and nothing else.`, {
      task: 'verify', root, base, client, file, refused,
    }),
    { label: `verify ${file}`, phase: 'Verify', schema: VERDICT },
  )
  return { ...migration, check }
}

// What is refuted, or was not checked, does not stay.
const settle = async (result, { file }) => {
  if (result.check?.verdict === 'passed') return result
  await agent(order(`Put ${file} back to its committed text.`, { task: 'restore', root, base, file }), {
    label: `restore ${file}`,
    phase: 'Verify',
  })
  return { ...result, restored: true }
}

const results = []
const most = 4000 // a pipeline takes no more than 4,096
for (let start = 0; start < found.files.length; start += most) {
  results.push(...(await pipeline(found.files.slice(start, start + most), migrate, verify, settle)))
}

const kept = results.filter((result) => result && !result.restored)
const sum = (numbers) => numbers.reduce((total, number) => total + number, 0)

return {
  path: root,
  base,
  client,
  files: found.files.length,
  changed: kept.filter(({ state }) => state !== 'unchanged').length,
  calls: sum(kept.map(({ calls }) => calls)),
  checked: sum(kept.map(({ check }) => check.tokens)),
  refused: kept.flatMap(({ file, refused }) => refused.map(({ line, reason }) => ({ file, line, reason }))),
  refuted: results.flatMap((result) => result?.check?.refutations ?? []),
  unfinished: found.files.map(({ file }) => file).filter((file, index) => !results[index] || results[index].restored),
  skipped: found.skipped,
}

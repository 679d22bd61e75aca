export const meta = {
  name: 'real-code-migration',
  description: 'A rule over a repository: each file rewritten in a worktree, reviewed by another method, landed behind the tests',
  phases: [
    { title: 'Discover', detail: 'find the files that may hold what the rule is for' },
    { title: 'Rewrite', detail: 'one codemod a file, in a worktree' },
    { title: 'Review', detail: 'one reviewer a file, which knows nothing of the codemod' },
    { title: 'Land', detail: 'in groups, each behind the test command; a group that breaks it is halved' },
  ],
  args: {
    type: 'object',
    properties: {
      files: { type: 'array', items: { type: 'string' }, description: 'pathspecs of git' },
      contains: { type: 'string', description: 'an extended regular expression: other files are not looked at' },
      rules: { type: 'array', minItems: 1, items: { type: 'object' } },
      review: { type: 'object', description: 'what the reviewer is told besides the file and the branch' },
      verify: { type: 'string' },
      into: { type: 'string' },
      group: { type: 'integer', minimum: 1, description: 'files behind one verification; 20 without it' },
    },
    required: ['files', 'contains', 'rules', 'review', 'into'],
  },
}

const { files, contains, rules, review, verify, into, group = 20 } = args

phase('Discover')
const found = await agent(JSON.stringify({ task: 'discover', files, contains }), {
  label: 'discover',
  schema: { type: 'array', items: { type: 'string' } },
})
if (!found) throw new Error('nothing could be discovered; the agent’s failure says why')
log(`${found.length} files`)

const rewrite = async (file) => {
  const change = await attempt(JSON.stringify({ rules, files: [file] }), {
    backend: 'codemod',
    isolation: 'worktree',
    label: file,
    phase: 'Rewrite',
  })
  return { file, ...change }
}

// A file that no rule changed, and one whose codemod failed, are not for a reviewer.
const check = async (change) => {
  if (!change.worktree) return change
  const { base, branch } = change.worktree
  const verdict = await attempt(JSON.stringify({ task: 'review', file: change.file, base, branch, ...review }), {
    label: `review ${change.file}`,
    phase: 'Review',
    schema: {
      type: 'object',
      properties: { refuted: { type: 'array', items: { type: 'string' } }, places: { type: 'integer' } },
      required: ['refuted', 'places'],
    },
  })
  return { ...change, verdict }
}

const results = []
const most = 4000 // a pipeline takes no more than 4,096
for (let start = 0; start < found.length; start += most) {
  results.push(...(await pipeline(found.slice(start, start + most), rewrite, check)))
}

const changed = results.filter((result) => result.worktree)
const passed = changed.filter(({ verdict }) => verdict.ok && verdict.value.refuted.length === 0)
log(`${changed.length} files changed, ${passed.length} passed the review`)

phase('Land')
let verifications = 0
const withoutBranch = (changes, reason, message) => changes.map(({ file }) => ({ file, reason, message }))
// Many files behind one verification: `merge` verifies branch by branch, so the codemod makes one branch of them, which
// must hold exactly what was reviewed. When the verification fails, each half is tried on its own; what is left in the
// end is a file with its reason.
const halves = async (changes) => {
  const middle = Math.ceil(changes.length / 2)
  const first = await land(changes.slice(0, middle))
  // With the whole first half landed, the second half would make the tree that has just failed.
  return [...first, ...(await land(changes.slice(middle), first.length === 0))]
}
const land = async (changes, fails = false) => {
  if (fails && changes.length > 1) return halves(changes)
  let { worktree } = changes[0]
  if (changes.length > 1) {
    const files = changes.map(({ file }) => file)
    const label = `${files[0]} and ${files.length - 1} more`
    const group = await attempt(JSON.stringify({ rules, files }), { backend: 'codemod', isolation: 'worktree', label })
    if (!group.worktree) return withoutBranch(changes, 'failed', group.error?.message ?? 'the codemod changed nothing')
    worktree = group.worktree
    const reviewed = changes.map((change) => ({ file: change.file, branch: change.worktree.branch }))
    const same = await agent(JSON.stringify({ task: 'same', base: worktree.base, branch: worktree.branch, reviewed }), {
      label: `compare ${label}`,
      schema: { type: 'array', items: { type: 'string' } },
    })
    if (same?.length !== 0) return withoutBranch(changes, 'not what was reviewed', JSON.stringify(same))
  }
  verifications += 1
  const { left } = await merge([worktree], { verify, into })
  if (left.length === 0) return []
  if (changes.length === 1) return [{ ...left[0], file: changes[0].file }]
  return halves(changes)
}

const left = []
for (let start = 0; start < passed.length; start += group) {
  left.push(...(await land(passed.slice(start, start + group))))
}

const last = (text) => text?.trimEnd().split('\n').slice(-12).join('\n')
return {
  files: found.length,
  changed: changed.length,
  places: passed.reduce((total, { verdict }) => total + verdict.value.places, 0),
  failed: results.filter(({ ok }) => !ok).map(({ file, error }) => ({ file, reason: error.message })),
  quarantined: changed
    .filter((change) => !passed.includes(change))
    .map(({ file, worktree, verdict }) => ({
      file,
      branch: worktree.branch,
      reasons: verdict.ok ? verdict.value.refuted : [`not reviewed: ${verdict.error.message}`],
    })),
  landed: passed.length - left.length,
  left: left.map(({ file, branch, reason, message, output }) => ({ file, branch, reason, message, output: last(output) })),
  verifications,
  into,
}

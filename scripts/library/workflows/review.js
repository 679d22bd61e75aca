export const meta = {
  name: 'review',
  description: 'Reviews a change: an agent a file, and what it finds is told only when others could not refute it',
  whenToUse: 'Before a change is merged, when false alarms cost more than a few more agents',
  phases: [
    { title: 'Scope', detail: 'which files belong to the change' },
    { title: 'Review', detail: 'an agent a file' },
    { title: 'Refute', detail: 'two agents a finding, who try to prove it wrong' },
    { title: 'Report', detail: 'one agent, over what stood' },
  ],
}

// bellwether review 'only the parser'      or      --args '{"change": "…", "focus": "…"}'
const { change, focus } = typeof args === 'string' ? { change: args } : args ?? {}
const what = change ?? 'what the current branch changes against the branch it came from, and what is not committed yet'
const looksFor = focus ?? 'faults in behaviour, lost or corrupted data, races, security, and tests that cannot fail'

const text = { type: 'string' }
const SCOPE = {
  type: 'object',
  properties: {
    diff: { ...text, description: 'the git command that shows the change' },
    files: {
      type: 'array',
      items: { type: 'object', properties: { path: text, about: text }, required: ['path', 'about'] },
    },
  },
  required: ['diff', 'files'],
}
const FINDINGS = {
  type: 'object',
  properties: {
    findings: {
      type: 'array',
      items: {
        type: 'object',
        properties: {
          line: { type: 'integer' },
          severity: { enum: ['high', 'medium', 'low'] },
          claim: { ...text, description: 'what is wrong, in one sentence' },
          reason: { ...text, description: 'how it comes about, step by step' },
        },
        required: ['line', 'severity', 'claim', 'reason'],
      },
    },
  },
  required: ['findings'],
}

phase('Scope')
const scope = await agent(
  `Which files belong to this change: ${what}? Ask git. Leave out files that are generated or copied from elsewhere. Change nothing.`,
  { label: 'scope', schema: SCOPE },
)
if (scope === null) throw new Error('nobody could say which files belong to the change; see the log')
if (scope.files.length === 0) return { confirmed: [], report: 'The change has no files.' }

const reviewed = await pipeline(
  scope.files,
  ({ path, about }) =>
    agent(
      `Review the change of ${path} (${about}); \`${scope.diff} -- ${path}\` shows it. Read the code around it too. Look for ${looksFor}. ` +
        'Tell only what the change brought in, and only what you can show. Nothing found is an answer. Change nothing.',
      { label: path, phase: 'Review', schema: FINDINGS },
    ),
  (review, { path }) =>
    parallel(
      review.findings.map((finding) => async () => {
        const verdict = await patterns.refute(
          { claim: `${path}:${finding.line}: ${finding.claim}\n${finding.reason}`, files: [path] },
          { label: `refute ${path}:${finding.line}`, agentOptions: { phase: 'Refute' } },
        )
        return { file: path, ...finding, stands: verdict.agreed, refuted: verdict.refuted, dissent: verdict.dissent }
      }),
    ),
)

const findings = reviewed.filter(Boolean).flat().filter(Boolean)
const unread = scope.files.filter((_, index) => reviewed[index] === null).map((file) => file.path)
if (unread.length > 0) log(`not reviewed: ${unread.join(', ')}`)
const order = { high: 0, medium: 1, low: 2 }
const confirmed = findings.filter((finding) => finding.stands).sort((a, b) => order[a.severity] - order[b.severity])

phase('Report')
const report =
  confirmed.length === 0
    ? 'Nothing that was found stood up to being refuted.'
    : await agent(`Write a review for the author of a change, the gravest first, without repeating yourself:\n${JSON.stringify(confirmed, null, 2)}`)
return {
  report,
  confirmed,
  undecided: findings.filter((finding) => !finding.stands && !finding.refuted),
  refuted: findings.filter((finding) => finding.refuted).length,
  unread,
}

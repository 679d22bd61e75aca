export const meta = {
  name: 'research',
  description: 'Looks into a question from several sides, lets others vote on each claim, and answers with what held',
  whenToUse: 'A question whose answer must not rest on one source or on one agent',
  phases: [
    { title: 'Plan', detail: 'the sides from which to look' },
    { title: 'Look', detail: 'an agent a side' },
    { title: 'Vote', detail: 'three agents a claim' },
    { title: 'Answer', detail: 'one agent, from what held' },
  ],
}

// bellwether research 'Which …?'      or      --args '{"question": "…", "sides": 4}'
const { question, sides: wanted = 4 } = typeof args === 'string' ? { question: args } : args ?? {}
if (typeof question !== 'string' || question.trim() === '') {
  throw new Error("give a question: bellwether research 'Which …?'")
}
const VOTERS = 3

const text = { type: 'string' }
const list = (items) => ({ type: 'array', items })
const shape = (properties) => ({ type: 'object', properties, required: Object.keys(properties) })

phase('Plan')
const plan = await agent(
  `Name ${wanted} sides from which to look into this question, so that an error in one does not show in the others: other kinds of sources, other methods, the case against.\n\n${question}`,
  { label: 'plan', schema: shape({ sides: list(shape({ name: text, task: text })) }) },
)
if (plan === null) throw new Error('nobody could plan the research; see the log')

const looked = await pipeline(
  plan.sides.slice(0, wanted),
  (side) =>
    agent(
      `${side.task}\n\nThe question behind it: ${question}\n\nGive claims, each with the source that carries it and a quotation from there. Say what you could not find.`,
      {
        label: side.name,
        phase: 'Look',
        schema: shape({ claims: list(shape({ claim: text, source: text, quotation: text })), missing: list(text) }),
      },
    ),
  (found, side) =>
    parallel(
      found.claims.map((claim) => async () => {
        const votes = await parallel(
          Array.from({ length: VOTERS }, (_, voter) => () =>
            agent(
              `Is this claim true, and does its source carry it? Go to the source yourself, and look for one that says otherwise. You are voter ${voter + 1}; you do not know the others.\n\n${JSON.stringify(claim, null, 2)}`,
              {
                label: `vote ${voter + 1}`,
                phase: 'Vote',
                schema: shape({ vote: { enum: ['holds', 'fails', 'unclear'] }, reason: text }),
              },
            ),
          ),
        )
        const count = (vote) => votes.filter((one) => one?.vote === vote).length
        return { ...claim, side: side.name, holds: count('holds'), fails: count('fails'), votes: votes.filter(Boolean) }
      }),
    ),
)

const claims = looked.filter(Boolean).flat().filter(Boolean)
const held = claims.filter((claim) => claim.holds * 2 > VOTERS)
const failed = claims.filter((claim) => claim.fails * 2 > VOTERS)
const disputed = claims.filter((claim) => !held.includes(claim) && !failed.includes(claim))
log(`${claims.length} claims: ${held.length} held, ${failed.length} failed, ${disputed.length} disputed`)

phase('Answer')
const answer = await agent(
  `Answer the question from these claims alone, with their sources. Say where they are disputed, and what remains open.\n\n${question}\n\n` +
    JSON.stringify({ held, disputed }, null, 2),
)
return { answer, held, disputed, failed }

import { useState } from 'react'

export const AddressForm = ({ onSaved = () => {} }) => {
  const [problems, setProblems] = useState([])

  async function submit (event) {
    event.preventDefault()
    const body = new FormData(event.target)
    const response = await fetch(event.target.action, { method: 'post', body })
    response.ok ? onSaved(await response.json()) : setProblems((await response.json()).problems)
  }

  return (
    <form action='/api/addresses' onSubmit={submit} onBlur={async ({ target }) => setProblems(await (await fetch(`/api/addresses/check?${target.name}=${target.value}`)).json())}>
      <input name='street' /> <input name='town' />
      <output>{problems.join(', ') || "Don't fetch before it's complete"}</output>
    </form>
  )
}

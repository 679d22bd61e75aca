import { useJson } from "../hooks/useJson";

const headers = { Accept: "application/json" } as const;

export async function loader({ request, params }: { request: Request; params: { id: string } }) {
  const session = await fetch("/api/session", { headers: { cookie: request.headers.get("cookie") ?? "" } });
  if (session.status === 401) throw new Response(null, { status: 302 });
  return (await fetch(`/api/accounts/${params.id}`, { headers })).json();
}

export async function action({ request }: { request: Request }) {
  return fetch(request.clone());
}

export default function Account() {
  const { data } = useJson<{ name: string }>("/api/me");
  return <h1>{data?.name}</h1>;
}

import type * as web from "../server-types";

export async function login(request: web.Request, response: web.Response) {
  const { code } = request.body;
  const token = await fetch("https://id.example/token", {
    method: "POST",
    headers: { "Content-Type": "application/x-www-form-urlencoded" },
    body: new URLSearchParams({
      grant_type: "authorization_code",
      client_id: process.env.CLIENT_ID ?? "",
      code,
    }),
  }).then(async (answer) => (answer.ok ? ((await answer.json()) as { access_token: string }).access_token : null));
  if (token === null) return response.status(401).send("refused");
  const who = await fetch("https://id.example/userinfo", { headers: { Authorization: `Bearer ${token}` } });
  response.status(200).send(await who.json());
}

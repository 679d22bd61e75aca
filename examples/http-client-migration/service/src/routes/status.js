export async function status(request, response) {
  // A parameter, not the global: whoever mounts this route decides.
  const probe = async (fetch, url) => {
    const answer = await fetch(url);
    return answer.status;
  };
  const checks = await Promise.all([
    probe(request.app.fetch, "http://orders.internal/health"),
    probe(async () => ({ status: 200 }), "self"),
  ]);
  response.send({ checks, hint: "fetch('/status') every 10 s" });
}

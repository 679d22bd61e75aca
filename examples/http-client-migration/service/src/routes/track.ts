import type * as web from "../server-types";

export async function track(request: web.Request, response: web.Response) {
  const { id } = request.params;
  const upstream = fetch(`http://tracking.internal/parcels/${id}`);
  const carrier = fetch(`http://tracking.internal/parcels/${id}/carrier`);
  // Both are on their way before either is awaited.
  const [parcel, by] = [await upstream, await carrier];
  response.status(parcel.status).send({ ...(await parcel.json()), carrier: await by.text() });
}

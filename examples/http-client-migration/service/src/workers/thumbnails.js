self.addEventListener("message", async ({ data: { url, width } }) => {
  const response = await self.fetch(url, { mode: "cors" });
  const bitmap = await createImageBitmap(await response.blob(), { resizeWidth: width });
  self.postMessage({ url, bitmap }, [bitmap]);
});

export {};

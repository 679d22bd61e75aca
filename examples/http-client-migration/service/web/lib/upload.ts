export async function uploadAll(files: FileList, progress: (share: number) => void) {
  let done = 0;
  const results: Response[] = [];
  for (const file of files) {
    results.push(
      await fetch(`/api/files/${file.name}`, { method: "PUT", body: file, headers: { "x-size": `${file.size}` } }),
    );
    progress(++done / files.length);
  }
  return results.every(({ ok }) => ok);
}

export const uploadVia = (fetch: (url: string) => Promise<Response>, url: string) => fetch(url);

export const exists = async (name: string) => !!(await (fetch)(`/api/files/${name}`, { method: "HEAD" })).ok;

import { useEffect, useReducer } from "react";

type State<T> = { data?: T; error?: Error };

export function useJson<T>(url: string, init?: RequestInit): State<T> {
  const [state, set] = useReducer((_: State<T>, next: State<T>) => next, {});
  useEffect(() => {
    let live = true;
    const load = async (): Promise<T> => await (await fetch(url, init)).json() satisfies T;
    load().then(
      (data) => live && set({ data }),
      (error) => live && set({ error }),
    );
    return () => void (live = false);
  }, [url]);
  return state;
}

import { useEffect } from "react";

export function usePoll(url: string, onChange: (body: string) => void, every = 5_000) {
  useEffect(() => {
    let last = "";
    const timer = window.setInterval(() => {
      window
        .fetch(url)
        .then((response) => response.text())
        .then((body) => body !== last && onChange((last = body)));
    }, every);
    return () => window.clearInterval(timer);
  }, [url]);
}

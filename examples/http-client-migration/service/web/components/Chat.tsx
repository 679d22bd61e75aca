import { useRef } from "react";

export function Chat({ room }: { room: string }) {
  const log = useRef<HTMLPreElement>(null);

  const listen = async () => {
    const response = await fetch(`/api/rooms/${room}/stream`, { headers: { Accept: "text/event-stream" } });
    // The answer is streamed, which is fine; only a streamed request is not.
    const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      log.current!.textContent += part.value;
    }
  };

  const say = (text: string) => void fetch(`/api/rooms/${room}`, { method: "POST", body: text });

  return <pre ref={log} onClick={listen} onKeyDown={(event) => event.key === "Enter" && say("hello")} />;
}

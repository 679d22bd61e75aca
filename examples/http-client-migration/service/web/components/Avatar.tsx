/** Purely to look at; what it says about fetch() is only text. */
export function Avatar({ name }: { name: string }) {
  return (
    <figure title='fetch("/avatar") was here'>
      <img src={`/avatars/${encodeURIComponent(name)}.png`} alt="" />
      <figcaption>fetch(name) and {name}</figcaption>
    </figure>
  );
}

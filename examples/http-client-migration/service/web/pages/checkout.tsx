import { PayButton } from "../components/PayButton";
import { AddressForm } from "../components/AddressForm";

export async function getServerSideProps({ query }: { query: Record<string, string> }) {
  const [cart, customer] = await Promise.all(
    ["cart", "customer"].map(async (kind) => (await fetch(`${process.env.API}/${kind}/${query[kind]}`)).json()),
  );
  return { props: { cart, customer } };
}

export default function Checkout({ cart }: { cart: { order: string; amount: number } }) {
  return (
    <main>
      <AddressForm onSaved={() => fetch("/api/telemetry/address-saved")} />
      <PayButton {...cart} />
    </main>
  );
}

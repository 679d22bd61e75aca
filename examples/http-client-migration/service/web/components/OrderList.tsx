import { useEffect, useState } from "react";

interface Order {
  id: string;
  total: number;
}

export function OrderList({ customer }: { customer: string }) {
  const [orders, setOrders] = useState<Order[]>([]);

  useEffect(() => {
    const controller = new AbortController();
    fetch(`/api/orders?customer=${customer}`, { signal: controller.signal })
      .then((response) => response.json())
      .then(setOrders)
      .catch(() => {});
    return () => controller.abort();
  }, [customer]);

  return (
    <ul title="fetch() runs once for each customer">
      {orders.map((order) => (
        <li key={order.id}>
          {order.id}: {order.total}
          <button onClick={() => fetch(`/api/orders/${order.id}`, { method: "DELETE" })}>Cancel</button>
        </li>
      ))}
      {/* do not fetch here */}
    </ul>
  );
}

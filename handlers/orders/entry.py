"""An order is paid, waits for somebody's yes, cools off, and is shipped; when anything fails, the money goes back.

Start `python services.py` beside it: it stands in for the bank and the warehouse.
"""

import json
from urllib.parse import urlsplit

from workers import Response, WorkerEntrypoint, WorkflowEntrypoint, fetch
from workers.workflows import NonRetryableError

USAGE = """Order, look, decide:

  curl -d '{"item": "lamp", "cents": 1900}' http://127.0.0.1:8787/
  curl http://127.0.0.1:8787/ID
  curl -d '{"approved": true, "by": "ada"}' http://127.0.0.1:8787/ID/decision
"""
RETRIES = {"retries": {"limit": 5, "delay": "1 second", "backoff": "exponential"}, "timeout": "30 seconds"}
REFUND_RETRIES = {"retries": {"limit": 100, "delay": "10 seconds", "backoff": "constant"}, "timeout": "30 seconds"}


class Order(WorkflowEntrypoint):
    async def run(self, event, step):
        order, order_id = event["payload"], event["instanceId"]

        @step.do("charge", config=RETRIES)
        async def charge():
            return await self.post("charges", order_id, {"cents": order["cents"]})

        @step.do("ship", config=RETRIES)
        async def ship():
            return await self.post("shipments", order_id, {"item": order["item"]})

        @step.do("refund", config=REFUND_RETRIES)
        async def refund():
            return await self.post("refunds", order_id, {"cents": order["cents"]})

        try:
            await charge()
            decision = (await step.wait_for_event("wait for a decision", "decision", timeout="7 days"))["payload"]
            if not decision["approved"]:
                raise NonRetryableError(f"refused by {decision['by']}")
            await step.sleep("cool off", self.env.COOLING_OFF)
            shipment = await ship()
        except Exception:
            # Also when the charge failed: it may have been made, and only its answer was lost.
            await refund()
            raise
        return {"approved_by": decision["by"], "parcel": shipment["id"]}

    async def post(self, what, order_id, body):
        """Ask a service. A step may run more than once: the key lets the service do it once."""
        answer = await fetch(
            f"{self.env.SERVICES_URL}/{what}",
            method="POST",
            headers={"Content-Type": "application/json", "Idempotency-Key": f"{order_id}-{what}"},
            body=json.dumps(body),
        )
        if 400 <= answer.status < 500:  # it will say the same again
            raise NonRetryableError(await answer.text())
        if not answer.ok:
            raise RuntimeError(f"{what} answered {answer.status}")
        return await answer.json()


class Default(WorkerEntrypoint):
    async def fetch(self, request):
        order_id, _, action = urlsplit(request.url).path[1:].partition("/")
        if request.method == "POST" and not order_id:
            return await self.begin(await json_object(request))
        if not order_id or action not in ("", "decision"):
            return Response(USAGE)
        try:
            instance = await self.env.ORDERS.get(order_id)
        except Exception as error:
            if "instance.not_found" not in str(error):
                raise
            return Response(f"There is no order {order_id}.\n", status=404)
        if request.method == "POST" and action == "decision":
            return await self.decide(instance, await json_object(request))
        return Response.json(await instance.status())

    async def begin(self, order):
        if not isinstance(order.get("item"), str) or not isinstance(order.get("cents"), int):
            return Response('An order is {"item": "...", "cents": 1900}.\n', status=400)
        instance = await self.env.ORDERS.create({"params": {"item": order["item"], "cents": order["cents"]}})
        return Response.json({"id": instance.id}, status=202)

    async def decide(self, instance, decision):
        if not isinstance(decision.get("approved"), bool) or not isinstance(decision.get("by"), str):
            return Response('A decision is {"approved": true, "by": "..."}.\n', status=400)
        await instance.send_event({"type": "decision", "payload": decision})
        return Response.json({"id": instance.id}, status=202)


async def json_object(request):
    """The body, or an empty object when it is no JSON object."""
    try:
        body = await request.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}

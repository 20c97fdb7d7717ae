"""A web service on FastAPI: it takes orders, its own processes run them, and a page shows how far each has come.

With a server in JOBISTEMER_URL: `uvicorn workers.web:api --workers 2`, then open http://127.0.0.1:8000/ in a browser.
The tasks alone, with a server, a ticker, a worker and the dashboard: `jobistemer dev workers.web:jobs`.
"""

from __future__ import annotations

import asyncio
from typing import Annotated

from fastapi import Depends, FastAPI, Request
from fastapi.responses import HTMLResponse, Response
from pydantic import BaseModel, Field

from jobistemer import Context, Jobistemer
from jobistemer.contrib.asgi import get_jobistemer, jobistemer_lifespan, mount_dashboard, stream_run

PAGE = """<link rel="icon" href="/admin/jobs/static/icon.svg"><button>Order</button><pre></pre><script>
const say = (event) => document.querySelector("pre").append(event.type, " ", event.data, "\\n");
document.querySelector("button").onclick = async () => {
  const headers = {"content-type": "application/json"}, body = JSON.stringify({customer: "Ann", parcels: 3});
  const {run} = await (await fetch("orders", {method: "POST", headers, body})).json();
  const news = new EventSource(`orders/${run}/events`);
  for (const name of ["state", "log", "progress", "end"]) news.addEventListener(name, say);
  news.addEventListener("end", () => news.close());
};
</script>"""
jobs = Jobistemer()
App = Annotated[Jobistemer, Depends(get_jobistemer)]


class Order(BaseModel):
    """An order as a browser sends it, and as the task gets it."""

    customer: str
    parcels: int = Field(gt=0, le=500)


@jobs.on_worker_start
async def open_shop() -> None:
    """Make what all runs of a process share, such as a database pool."""
    jobs.state.prices = {"parcel": 3}


def get_prices() -> dict[str, int]:
    """Return what a run needs; the rest of a generator would be executed at the end of the attempt."""
    return dict(jobs.state.prices)


@jobs.task
async def ship(ctx: Context, order: Order, prices: Annotated[dict[str, int], Depends(get_prices)]) -> int:
    """Ship each parcel; the result is the price of all."""
    ctx.log(f"{order.parcels} parcels for {order.customer}")
    for parcel in range(order.parcels):
        await asyncio.sleep(0.1)
        ctx.progress(parcel + 1, order.parcels, "parcels")
    return order.parcels * prices["parcel"]


api = FastAPI(lifespan=jobistemer_lifespan(jobs, ticker=True, worker=True))
mount_dashboard(api, "/admin/jobs", jobs, authorize=lambda _: "shopkeeper")  # your own check of the user, or None


@api.post("/orders", status_code=202)
async def place(order: Order, app: App) -> dict[str, str]:
    """Enqueue an order; Order is checked once, and goes to the task as it is."""
    return {"run": (await app.enqueue_async("ship", {"order": order})).id}


@api.get("/orders/{run}/events")
async def events(run: str, app: App, request: Request) -> Response:
    """Return the progress of a run as Server-Sent Events."""
    return await stream_run(app.run(run), request)


@api.get("/", response_class=HTMLResponse)
async def page() -> str:
    """Return the page of the shop."""
    return PAGE

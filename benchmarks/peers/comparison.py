"""What the drain figures come to: us against the fastest of each kind, in the same run."""

from __future__ import annotations

from benchmarks.peers.results import Key, Spread

OURS = "jobistemer"
DRAINS = ("drain plain", "drain coroutine")


def render_verdict(sums: dict[Key, dict[str, Spread]]) -> str:
    """A line for each comparison that the results allow."""
    rates = {
        key: figures["runs/s"].median
        for key, figures in sums.items()
        if key.work in DRAINS and key.placement == "two cores"
    }
    ours = min((rate for key, rate in rates.items() if key.peer == OURS), default=0.0)
    lines = [
        _format_comparison(
            ours, "the fastest Python peer with its defaults", _find_fastest(rates, setting="default", python=True)
        ),
        _format_comparison(ours, "the fastest Python peer, tuned", _find_fastest(rates, setting="tuned", python=True)),
        _format_comparison(ours, "BullMQ, tuned", _find_fastest(rates, setting="tuned", python=False)),
    ]
    known = [line for line in lines if line]
    if not ours or not known:
        return ""
    opening = (
        f"Draining no-op tasks with one worker, server and worker on a core each, {OURS} does {ours:,.0f} runs a second "
        "with full records (the slower of plain functions and coroutines). That is"
    )
    return f"{opening}\n\n" + "\n".join(known)


def _find_fastest(rates: dict[Key, float], *, setting: str, python: bool) -> tuple[str, float]:
    some = {
        key.peer: rate
        for key, rate in sorted(rates.items(), key=lambda pair: pair[1])
        if key.peer != OURS and key.setting == setting and (key.peer != "bullmq") == python
    }
    return max(some.items(), key=lambda pair: pair[1], default=("", 0.0))


def _format_comparison(ours: float, whom: str, fastest: tuple[str, float]) -> str:
    name, rate = fastest
    return f"- {ours / rate:.1f} times {whom} ({name}: {rate:,.0f});" if rate else ""

"""Hypothesis strategies: cron expressions together with what they mean."""

from __future__ import annotations

from hypothesis import strategies as st

from tests.property.brute_force import Expression

DST = st.sampled_from(["shift", "skip", "first", "both"])

FULL = {
    "second": range(60),
    "minute": range(60),
    "hour": range(24),
    "day": range(1, 32),
    "month": range(1, 13),
    "weekday": range(7),
}


@st.composite
def items(draw: st.DrawFn, values: range) -> tuple[str, frozenset[int]]:
    """One item of a list: a value, a range, or either with a step."""
    low = draw(st.sampled_from(values))
    form = draw(st.sampled_from(["value", "value", "range", "stepped range", "value and step"]))
    if form == "value":
        return str(low), frozenset({low})
    step = draw(st.integers(1, len(values))) if "step" in form else 1
    high = values[-1] if form == "value and step" else draw(st.integers(low, values[-1]))
    text = str(low) if form == "value and step" else f"{low}-{high}"
    return text + (f"/{step}" if step > 1 or form != "range" else ""), frozenset(range(low, high + 1, step))


@st.composite
def fields(draw: st.DrawFn, values: range, star: float = 0.4) -> tuple[str, frozenset[int]]:
    """A field: a star, a stepped star, or a list of items."""
    chance = draw(st.floats(0, 1))
    if chance < star:
        return "*", frozenset(values)
    if chance < star + 0.15:
        step = draw(st.integers(1, len(values)))
        return f"*/{step}", frozenset(values[::step])
    chosen = draw(st.lists(items(values), min_size=1, max_size=3))
    return ",".join(text for text, _ in chosen), frozenset().union(*(named for _, named in chosen))


@st.composite
def expressions(draw: st.DrawFn, *, with_seconds: bool = False) -> Expression:
    """An expression of five or six fields whose dates are restricted lightly, so that it is due often."""
    names = ["second"] * with_seconds + ["minute", "hour", "day", "month", "weekday"]
    stars = {"day": 0.8, "month": 0.97, "weekday": 0.8}
    drawn = {name: draw(fields(FULL[name], stars.get(name, 0.25))) for name in names}
    meaning = {name: drawn.get(name, ("0", frozenset({0}))) for name in FULL}
    text = " ".join(drawn[name][0] for name in names)
    day, weekday = meaning["day"][0], meaning["weekday"][0]
    return Expression(
        text=text,
        seconds=meaning["second"][1],
        minutes=meaning["minute"][1],
        hours=meaning["hour"][1],
        days=meaning["day"][1],
        months=meaning["month"][1],
        weekdays=meaning["weekday"][1],
        either_day=not day.startswith("*") and not weekday.startswith("*"),
        follows_elapsed_time=any(meaning[name][0].startswith("*") for name in ("second", "minute", "hour")),
    )

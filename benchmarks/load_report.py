"""What a run under load says: percentiles of each route, memory, processors, and which criteria are met."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from load_readers import INFER, INFO, NEXT, STORED, SUBMIT, Answer
from load_server import Moment, WatchedServer

INFO_LIMIT_MS = 300
GROWTH_LIMIT = 0.10
BUSY_LIMIT = 0.90
WINDOW_S = 10  # at the beginning and at the end, between which memory is compared
ROUTES = {INFO: "/info/", NEXT: "/activelearning/{strategy}", SUBMIT: "/headct/submissions", STORED: None, INFER: None}


@dataclass
class Inferring:
    """Inferences that ran in `wall_s` seconds, and for how many seconds the device had one."""

    count: int = 0
    device_s: float = 0.0
    wall_s: float = 0.0

    @property
    def each_s(self) -> float | None:
        return round(self.device_s / self.count, 2) if self.count else None


@dataclass(frozen=True)
class Period:
    """A time of work: from when to when, what the clients got, what was inferred until the last of it ended, and how many cores the whole
    machine and the clients used."""

    began: float
    ended: float
    answers: list[Answer]
    inferred: Inferring
    machine_cores: float
    client_cores: float


def period_figures(server: WatchedServer, period: Period) -> dict[str, Any]:
    """The figures of each route and of the whole period."""
    seconds = period.ended - period.began
    moments = [moment for moment in server.moments if period.began <= moment.at <= period.ended]
    cores = (moments[-1].processor_s - moments[0].processor_s) / (moments[-1].at - moments[0].at)
    routes = {}
    for route, template in ROUTES.items():
        answers = [answer for answer in period.answers if answer.route == route]
        if answers:
            routes[route] = route_figures(answers)
            if template:
                own = server.answer_ms(template, period.began, period.ended)
                routes[route]["server_p99_ms"] = round(float(np.percentile(own, 99)), 1)
    return {
        "seconds": round(seconds, 1),
        "routes": routes,
        "per_second": round(len(period.answers) / seconds, 1),
        "inferences": period.inferred.count,
        "inference_s": period.inferred.each_s,
        "device_busy": round(period.inferred.device_s / period.inferred.wall_s, 3),
        "server_cores": round(cores, 2),
        "client_cores": round(period.client_cores, 2),
        "other_cores": round(max(0.0, period.machine_cores - period.client_cores - cores), 2),
    }


def route_figures(answers: Sequence[Answer]) -> dict[str, Any]:
    """Count, refusals and faults by code, and percentiles of milliseconds of the granted ones."""
    codes = Counter(answer.code for answer in answers if answer.code)
    times = [answer.ms for answer in answers if not answer.code]
    figures: dict[str, Any] = {"count": len(answers), "codes": dict(codes)}
    if times:
        values = [float(value) for value in np.percentile(times, [50, 95, 99, 100])]
        figures |= {name: round(value, 1) for name, value in zip(("p50_ms", "p95_ms", "p99_ms", "max_ms"), values, strict=True)}
    return figures


def memory(moments: Sequence[Moment], period: Period) -> dict[str, float]:
    """Mean resident MB of the first and the last ten seconds of a period, once its first ten have settled, and the growth."""
    settled = period.began + min(WINDOW_S, (period.ended - period.began) / 4)
    held = [(moment.at, moment.resident_mb) for moment in moments]
    first = float(np.mean([mb for at, mb in held if settled <= at <= settled + WINDOW_S]))
    last = float(np.mean([mb for at, mb in held if period.ended - WINDOW_S <= at <= period.ended]))
    return {"first_mb": round(first), "last_mb": round(last), "growth": round(last / first - 1, 4)}


def criteria(figures: dict[str, Any]) -> dict[str, bool]:
    """Which criteria are met."""
    loaded = figures["loaded"]
    return {
        "no request failed": not figures["errors"],
        f"/info/ below {INFO_LIMIT_MS} ms at the 99th percentile": loaded["routes"][INFO].get("p99_ms", np.inf) < INFO_LIMIT_MS,
        f"memory grew by less than {GROWTH_LIMIT:.0%}": figures["memory"]["growth"] < GROWTH_LIMIT,
        f"the device inferred for {BUSY_LIMIT:.0%} of the time": loaded["device_busy"] >= BUSY_LIMIT,
        "every acknowledged submission is stored once, and nothing else": not (figures["not_stored_once"] or figures["stored_unasked"]),
        "no study was offered to two readers": not figures["offered_twice"],
        "no error in the server's log": not figures["log_errors"],
    }


def markdown(report: dict[str, Any]) -> str:
    """The table of both periods, what else was measured, and the criteria."""
    lines = [
        f"{report['clients']} clients, {report['studies']:,} studies, {report['store']}, {report['cores']} cores",
        "",
        "| period | request | count | refused | median ms | p95 | p99 | max | server p99 |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for name, title in (("quiet", "without inferences"), ("loaded", "with inferences")):
        for route, row in report[name]["routes"].items():
            codes = ", ".join(f"{count} {code}" for code, count in row["codes"].items()) or "0"
            times = " | ".join(str(row.get(key, "")) for key in ("p50_ms", "p95_ms", "p99_ms", "max_ms", "server_p99_ms"))
            lines.append(f"| {title} | {route} | {row['count']} | {codes} | {times} |")
    lines.append("")
    for name, title in (("quiet", "Without inferences"), ("loaded", "With inferences")):
        row = report[name]
        lines.append(
            f"{title}: {row['per_second']} requests a second, {row['inferences']} inferences, device busy {row['device_busy']:.0%}; "
            f"cores: server {row['server_cores']}, clients {row['client_cores']}, others {row['other_cores']}."
        )
    quiet, loaded = (report[name]["routes"][INFO] for name in ("quiet", "loaded"))
    held = report["memory"]
    lines += [
        f"/info/ with inferences to without: median {ratio(loaded, quiet, 'p50_ms')}, 99th percentile {ratio(loaded, quiet, 'p99_ms')}.",
        f"An inference takes {report['inference_alone_s']} s alone, {report['loaded']['inference_s']} s among the readers.",
        f"Memory: {held['first_mb']} MB, at the end {held['last_mb']} MB ({held['growth']:+.1%}).",
        f"{report['acknowledged']} submissions acknowledged, {report['not_stored_once']} of them not stored exactly once; "
        f"{report['offered']} studies offered, {report['offered_twice']} to two readers; {report['asked_to_wait']} times queue_full.",
        *(f"Failed: {count} x {what}." for what, count in report["errors"].items()),
        *(f"In the log: {line}" for line in report["log_errors"][:5]),
        "",
        *(f"- [{'x' if met else ' '}] {criterion}" for criterion, met in report["criteria"].items()),
    ]
    return "\n".join(lines)


def ratio(loaded: dict[str, Any], quiet: dict[str, Any], key: str) -> float:
    """How many times as long it took with inferences."""
    return round(loaded[key] / quiet[key], 1)

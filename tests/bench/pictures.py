"""The benchmark's pictures, as SVG."""

import statistics
from pathlib import Path

import pygal
from pygal.style import CleanStyle

from tests.bench import report
from tests.bench.report import Figures

WAYS = {
    report.NOOP: "Celery no-op",
    report.POST: "bare POST",
    report.PLAIN: "a job, plain Celery",
    report.PRODUCTION: "a job, production",
    report.OTHER_CPU: "a job, other revision",
}


def draw(figures: Figures, folder: Path) -> list[Path]:
    """Draw what there is; gives the files."""
    folder.mkdir(parents=True, exist_ok=True)
    charts = {
        "cost": _bars("Worker CPU of a job, ms", figures, WAYS),
        "throughput": _bars("Jobs a second", figures, report.rate_words(figures)),
        "backlog": _bars(
            "CPU of a job with so many waiting, workers and stores, ms",
            figures,
            {name: name.removeprefix(report.BACKLOG) for name in figures if name.startswith(report.BACKLOG)},
        ),
        "latency": _distribution("Added latency at 10 jobs a second, ms", sorted(figures.get(report.LATENCY, []))),
        "recovery": _distribution("Until others took it up, s", sorted(figures.get(report.RECOVERY, []))),
    }
    drawn = []
    for name, chart in charts.items():
        if chart is not None:
            drawn.append(folder / f"{name}.svg")
            chart.render_to_file(str(drawn[-1]))
    return drawn


def _chart(kind: type[pygal.Graph], title: str, **options: object) -> pygal.Graph:
    style = CleanStyle(background="white", plot_background="white", font_family="sans-serif")
    return kind(title=title, js=[], style=style, width=860, height=420, truncate_label=-1, **options)


def _bars(title: str, figures: Figures, words: dict[str, str]) -> pygal.Graph | None:
    known = {text: statistics.median(figures[name]) for name, text in words.items() if figures.get(name)}
    if not known:
        return None
    chart = _chart(pygal.HorizontalBar, title, show_legend=False, print_values=True)
    chart.x_labels = list(known)
    chart.add("", [round(value, 2) for value in known.values()])
    chart.value_formatter = lambda value: f"{value:,.2f}" if value < 100 else f"{value:,.0f}"
    return chart


def _distribution(title: str, values: list[float]) -> pygal.Graph | None:
    if not values:
        return None
    parts = [0, 10, 25, 50, 75, 90, 95, 99, 100]
    chart = _chart(pygal.Line, title, show_legend=False)
    chart.x_labels = [f"p{part}" for part in parts]
    chart.add("", [round(values[min(int(len(values) * part / 100), len(values) - 1)], 2) for part in parts])
    return chart

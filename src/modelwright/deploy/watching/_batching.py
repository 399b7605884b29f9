"""What tells that batches are worse than they could be; nobody is woken for it."""

from __future__ import annotations

from modelwright.deploy.watching._alert import Alert, Case, Group, Page, Subject, series_of


def groups(subject: Subject) -> list[Group]:
    """One group."""
    return [Group("batching", alerts=(_small_batches(subject), _padding(subject)))]


def _small_batches(subject: Subject) -> Alert:
    model = subject.of_model()
    mean = (
        f"sum by (instance) (rate(modelwright_batch_size_sum{model}[10m]))\n"
        f"  / sum by (instance) (rate(modelwright_batch_size_count{model}[10m]))"
    )
    depth = f"min_over_time(modelwright_queue_depth{model}[10m])"
    batches = f"modelwright_batch_rows{model}"

    def case(rows: int) -> Case:
        return Case(
            {
                series_of(subject, "modelwright_batch_size_sum"): "0+600x60",
                series_of(subject, "modelwright_batch_size_count"): "0+580x60",
                series_of(subject, "modelwright_queue_depth"): "12x60",
                series_of(subject, "modelwright_batch_rows"): f"{rows}x60",
            },
            at=20,
        )

    return Alert(
        name="BatchEfficiencyLow",
        severity="info",
        about="batching",
        expr=f"{mean} < 1.5\nand on (instance) max by (instance) ({depth}) > 4\n"
        f"and on (instance) max by (instance) ({batches}) > 1",
        hold="15m",
        summary=f"{subject.model} runs rows one by one while others wait",
        description="A model call of {{ $labels.instance }} has {{ $value }} rows on average.",
        fires=case(rows=32),
        quiet=case(rows=1),
        page=Page(
            means="Where the engine likes batches, rows that wait share a call. These do not. "
            "Engines that run short rows faster one by one (`modelwright_batch_rows` 1) are left out.",
            look=(
                "Dashboard, row Batching: rows a call, tokens a call",
                "Input length: rows share a call only with rows of like length",
            ),
            causes=("Lengths differ widely", "Very long inputs, of which few fit a call"),
            do=(
                "`mw bench BUNDLE`: whether another variant batches better",
                "`finetune.max_tokens` in the recipe, where texts may be cut",
            ),
        ),
    )


def padding_share(subject: Subject, window: str) -> str:
    """Share of the tokens that models read which are padding."""
    model = subject.of_model()
    padding = f"sum(rate(modelwright_padding_tokens_total{model}[{window}]))"
    tokens = f"sum(rate(modelwright_tokens_total{model}[{window}]))"
    return f"{padding}\n  / (({padding} + {tokens}) > 0)"


def _padding(subject: Subject) -> Alert:
    def case(padding: int) -> Case:
        return Case(
            {
                series_of(subject, "modelwright_padding_tokens_total"): f"0+{padding}x60",
                series_of(subject, "modelwright_tokens_total"): "0+1000x60",
            },
            at=40,
        )

    return Alert(
        name="PaddingWaste",
        severity="info",
        about="batching",
        expr=f"{padding_share(subject, '10m')} > 0.5",
        hold="30m",
        summary=f"Half of what {subject.model} computes is padding",
        description="{{ $value | humanizePercentage }} of the tokens of model calls are padding.",
        fires=case(padding=1500),
        quiet=case(padding=200),
        page=Page(
            means="Rows of a call are filled up to the longest, or to one of a few widths where the "
            "engine makes kernels for each. Beyond half, most work is for nothing.",
            look=("Input length: mean tokens of a row, dashboard, row Data",),
            causes=(
                "Inputs are far shorter than the engine's narrowest width",
                "Lengths within a call differ more than usual",
            ),
            do=("`mw bench BUNDLE`, and `mw serve BUNDLE --variant NAME` with the fastest",),
        ),
    )

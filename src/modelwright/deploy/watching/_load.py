"""Alerts on load and on the process: shedding, saturation, progress, readiness, memory."""

from __future__ import annotations

from modelwright.deploy.watching._alert import (
    Alert,
    Case,
    Group,
    Page,
    Subject,
    labelled,
    series_of,
)

BENCH = (
    "`mw bench BUNDLE --service --out capacity.json`, `mw simulate BUNDLE`, then `mw deploy` again"
)


def groups(subject: Subject) -> list[Group]:
    """Saturation, and the service's life."""
    saturation = (
        _shedding(subject, "Shedding", "ticket", 0.01, "10m"),
        _shedding(subject, "SheddingHeavy", "page", 0.20, "5m"),
        _saturated(subject),
        _waiting(subject),
        _at_most(subject),
    )
    life = (
        _no_progress(subject),
        _no_replica(subject),
        _down(subject),
        _restarts(subject),
        _memory(subject),
        _memory_grows(subject),
    )
    return [
        Group("saturation", alerts=saturation),
        Group("life", alerts=life),
    ]


def refused(subject: Subject, window: str) -> str:
    """Share of the requests that were refused for now: 503, and 429 by the key's rate.

    The rate is judged before the model is known, so these have no model's name.
    """
    matcher = f'{{model=~"{subject.model}|"}}'
    shed = f"sum(rate(modelwright_shed_total{matcher}[{window}]))"
    rate = '{model="",code="429"}'
    limited = f"(sum(rate(modelwright_requests_total{rate}[{window}])) or vector(0))"
    every = f"sum(rate(modelwright_requests_total{subject.of_model()}[{window}]))"
    return f"{shed}\n  / (({every} + {limited}) > 0)"


def _shedding(subject: Subject, name: str, severity: str, share: float, window: str) -> Alert:
    def case(refusals: int) -> Case:
        requests = labelled("modelwright_requests_total", model=subject.model, code="200")
        limited = labelled("modelwright_requests_total", model="", code="429")
        shed = labelled("modelwright_shed_total", model=subject.model, reason="inputs")
        by_rate = labelled("modelwright_shed_total", model="", reason="rate")
        half = refusals // 2
        return Case(
            {
                requests: f"0+{10_000 - refusals}x40",
                labelled(
                    "modelwright_requests_total", model=subject.model, code="503"
                ): f"0+{half}x40",
                limited: f"0+{refusals - half}x40",
                shed: f"0+{half}x40",
                by_rate: f"0+{refusals - half}x40",
            },
            at=14,
        )

    return Alert(
        name=name,
        severity=severity,  # type: ignore[arg-type]
        about="saturation",
        expr=f"{refused(subject, '5m')} > {share}",
        hold=window,
        summary=f"{subject.model} refuses more than {share:.0%} of its requests",
        description="{{ $value | humanizePercentage }} of the requests of the last 5 minutes were "
        "refused with 503 or 429 and told to come again.",
        fires=case(round(20_000 * share)),
        quiet=case(round(10_000 * share / 2)),
        page=Page(
            means="The service takes on no more than it can answer in time; beyond that callers get "
            "503 with Retry-After, or 429 where a key has a rate. Clients that try again are "
            f"answered later. Beyond {share:.0%} for {window} it is no burst any more.",
            look=(
                "Why: `sum by (reason) (rate(modelwright_shed_total"
                f'{{model=~"{subject.model}|"}}[5m]))`',
                "`inputs`, `tokens`, `bytes`: which bound is full; `late`: the queue is longer than "
                "the deadline; `rate`: one caller's own; `stopping`: replicas that go; `not-ready`",
                "Replicas and their saturation: dashboard, row Saturation",
            ),
            causes=(
                "More load than replicas; the autoscaler is slow, or at its maximum (ScaleAtMax)",
                "One caller sends very long lists, or far more than the others (`rate`)",
                "Replicas are slower than when they were measured: see LatencyBurn*",
            ),
            do=(
                f"Load that stays: {BENCH}",
                "One caller: give its key a rate, `mw keys add NAME --rate INPUTS_A_SECOND`",
                "Bursts: raise the minimum of replicas in the policy",
            ),
        ),
    )


def _saturated(subject: Subject) -> Alert:
    used = f"max by (instance) (modelwright_queue_used{subject.of_model()})"
    return Alert(
        name="QueueSaturation",
        severity="ticket",
        about="saturation",
        expr=f"{used} > 0.8",
        hold="5m",
        summary=f"{subject.model} has nearly as much waiting as it takes on",
        description="{{ $labels.instance }} has taken on {{ $value | humanizePercentage }} of what "
        "it can; beyond that it refuses.",
        fires=Case({series_of(subject, "modelwright_queue_used"): "0.9x40"}),
        quiet=Case({series_of(subject, "modelwright_queue_used"): "0.9x3 0.5x36"}),
        page=Page(
            means="A replica bounds what it has taken on and not answered, in inputs, tokens and "
            "bytes; this is the fullest of the three. At 100% callers get 503.",
            look=(
                "All replicas or one: `max by (instance) (modelwright_queue_used"
                f"{subject.of_model()})`",
                "`modelwright_inputs_in_flight` beside `modelwright_queue_capacity`: where they are "
                "few, long texts or large images fill it",
            ),
            causes=(
                "Load grew faster than replicas",
                "One replica gets more than its share: connections that are kept open stick to it",
                "A model call takes long: see LatencyBurn*, NoProgress",
            ),
            do=(
                f"Load: {BENCH}",
                "One replica: restart it; let the load balancer count requests, not connections",
            ),
        ),
    )


def _waiting(subject: Subject) -> Alert:
    limit = subject.deadline_s / 2
    bucket = f"sum by (le) (rate(modelwright_queue_seconds_bucket{subject.of_model()}[5m]))"

    def case(waited: float) -> Case:
        edges = sorted({limit / 10, limit, 3 * limit})
        found = {
            series_of(subject, "modelwright_queue_seconds_bucket", le=f"{edge:.12g}"): (
                f"0+{600 if edge >= waited else 0}x40"
            )
            for edge in edges
        }
        return Case(
            {**found, series_of(subject, "modelwright_queue_seconds_bucket", le="+Inf"): "0+600x40"}
        )

    return Alert(
        name="QueueWaitLong",
        severity="ticket",
        about="saturation",
        expr=f"histogram_quantile(0.95, {bucket}) > {limit:g}",
        hold="5m",
        summary=f"Requests to {subject.model} wait for half of their deadline",
        description="The 95th percentile of the wait for the model is "
        "{{ $value | humanizeDuration }}.",
        fires=case(waited=2 * limit),
        quiet=case(waited=limit / 10),
        page=Page(
            means=f"A request must be answered within {subject.deadline_s:g} s; half of that is "
            "spent before the model sees it. What is left is too little soon.",
            look=("Dashboard, row Saturation: queue wait, queue depth",),
            causes=("More load than replicas", "Very long lists by one caller"),
            do=(
                f"Load: {BENCH}",
                "Long lists: `mw predict BUNDLE --file IN` is the place for them",
            ),
        ),
    )


def _at_most(subject: Subject) -> Alert:
    name = f'horizontalpodautoscaler=~"{subject.deployed}"'
    current, most = (
        f"max(kube_horizontalpodautoscaler_{what}{{{name}}})"
        for what in ("status_current_replicas", "spec_max_replicas")
    )
    full = f"{current} >= {most}"
    if subject.most is not None:
        ready = f"modelwright_ready{subject.of_model()}"
        full = f"count(count by (instance) ({ready})) >= {subject.most}"
    used = f"avg(modelwright_queue_used{subject.of_model()}) > 0.5"

    def case(replicas: int, most: int) -> Case:
        about = {"horizontalpodautoscaler": subject.model.lower(), "namespace": "models"}
        kube = "kube_horizontalpodautoscaler_"
        found = {
            labelled(f"{kube}status_current_replicas", **about): f"{replicas}x40",
            labelled(f"{kube}spec_max_replicas", **about): f"{most}x40",
        }
        for number in range(replicas):
            where = f"{number}:8000"
            found[series_of(subject, "modelwright_queue_used", instance=where)] = "0.7x40"
            found[series_of(subject, "modelwright_ready", instance=where)] = "1x40"
        return Case(found, at=18)

    most_known = subject.most or 4
    return Alert(
        name="ScaleAtMax",
        severity="ticket",
        about="saturation",
        expr=f"({full})\nand on () {used}",
        hold="15m",
        summary=f"{subject.model} runs as many replicas as it may, and they are busy",
        description="{{ $value }} replicas run, which is the most that the policy allows, and "
        "their queues are more than half full.",
        fires=case(most_known, most_known),
        quiet=case(max(0, most_known - 1), most_known),
        page=Page(
            means="The autoscaler wants more replicas than the policy's maximum. The next rise in "
            "load is refused.",
            look=("Dashboard, row Platform: replicas", "Row Saturation: what is shed already"),
            causes=("Load outgrew the policy", "Replicas do less than was measured"),
            do=(
                "Raise `maximum` in policy.json, and `mw deploy ... --policy policy.json`",
                "What it will cost, first: `mw simulate BUNDLE --policy policy.json`",
            ),
        ),
    )


def _no_progress(subject: Subject) -> Alert:
    model = subject.of_model()
    asked = f"max by (instance) (modelwright_requests_in_flight{model}) > 0"
    failing = subject.of_model('code=~"50[34]"')
    refusing = f"sum by (instance) (rate(modelwright_requests_total{failing}[2m])) > 0"
    running = f"sum by (instance) (rate(modelwright_batch_size_count{model}[2m])) > 0"

    def case(batches: str) -> Case:
        return Case(
            {
                series_of(subject, "modelwright_requests_in_flight"): "5x40",
                series_of(subject, "modelwright_batch_size_count"): batches,
            }
        )

    return Alert(
        name="NoProgress",
        severity="page",
        about="availability",
        expr=f"({asked} or {refusing})\nunless {running}",
        hold="2m",
        summary=f"{subject.model} is asked and answers nothing",
        description="{{ $labels.instance }} has had requests for four minutes and has completed no "
        "model call.",
        fires=case("100x40"),
        quiet=case("0+50x40"),
        page=Page(
            means="The process lives and its probes may answer, but the model has stopped: the "
            "failure that a probe of the process alone does not see.",
            look=(
                "`curl -s SERVICE/health/ready`: a call of more than a minute is named there",
                "Processor of that replica: at its limit (a loop) or at zero (a lock)",
                "The last lines of its log",
            ),
            causes=(
                "A model call that hangs in native code",
                "The machine is out of memory and swaps",
                "A processor limit that leaves nothing (throttling)",
            ),
            do=(
                "Restart that replica; the others answer meanwhile",
                "Again at the same input: turn recording on (`serve.record` in the recipe, "
                "`mw serve --traffic DIR`), find the input, and report it",
                "`mw verify BUNDLE` on that kind of machine",
            ),
        ),
    )


def _no_replica(subject: Subject) -> Alert:
    ready = f"modelwright_ready{subject.of_model()}"
    return Alert(
        name="NoReadyReplica",
        severity="page",
        about="availability",
        expr=f"(sum({ready}) or vector(0)) == 0",
        hold="2m",
        summary=f"Nobody answers for {subject.model}",
        description="No replica is ready, or none is seen at all.",
        fires=Case({series_of(subject, "modelwright_ready"): "1x1 _x35"}, at=11),
        quiet=Case({series_of(subject, "modelwright_ready"): "0x2 1x35"}),
        page=Page(
            means="Either every replica has failed its self-test or stands still, or Prometheus "
            "sees none. Where a service scales to zero on purpose, silence this for its model.",
            look=(
                "`up` of the job, and Prometheus' page Targets",
                "`curl -s SERVICE/health/ready`: the reasons are in the answer",
                "The log of a replica that does not start: it names the code (`mw explain MW-603`)",
            ),
            causes=(
                "A bundle that does not give its golden answers on this machine (MW-603)",
                "A bundle that was changed or is cut short (MW-602)",
                "The deployment is gone, or its network or key for /metrics changed",
            ),
            do=(
                "`mw verify BUNDLE` where it runs",
                f"Back to the version before: `mw pull {subject.model} production`, or the admin "
                "port's rollback",
                "Scrapes refused with 401: give Prometheus a key of the scope `metrics`",
            ),
        ),
    )


def _down(subject: Subject) -> Alert:
    up = labelled("up", job=subject.model, instance="a:8000")
    return Alert(
        name="TargetDown",
        severity="page",
        about="availability",
        expr=f"up{subject.of_job()} == 0",
        hold="2m",
        summary=f"A replica of {subject.model} is gone or cannot be scraped",
        description="{{ $labels.instance }} has not answered /metrics for two minutes.",
        fires=Case({up: "1x5 0x35"}),
        quiet=Case({up: "1x5 0 1x34"}),
        page=Page(
            means="Prometheus was told of a replica that does not answer. The others may be well.",
            look=(
                "Prometheus' page Targets: the error",
                "The replica's log and its last exit code",
            ),
            causes=(
                "It was killed (memory, node) and does not come back",
                "Port, TLS or key of /metrics changed (401: scope `metrics`)",
                "The list of targets is old",
            ),
            do=("Start it again; see WorkerRestarts and MemoryNearLimit for why it went",),
        ),
    )


def _restarts(subject: Subject) -> Alert:
    series = labelled("modelwright_restarts", job=subject.model, instance="a:8000")
    started = labelled(
        "modelwright_process_start_time_seconds", job=subject.model, instance="b:8000"
    )
    job = subject.of_job()
    return Alert(
        name="WorkerRestarts",
        severity="ticket",
        about="process",
        expr=f"increase(modelwright_restarts{job}[15m]) > 3\n"
        f"or changes(modelwright_process_start_time_seconds{job}[15m]) > 3",
        hold="0s",
        summary=f"The serving process of {subject.model} dies again and again",
        description="{{ $labels.instance }} was started again more than three times in 15 minutes.",
        fires=Case({series: "0+1x40", started: "100x40"}),
        quiet=Case({series: "0x10 1x30", started: "100x10 700x30"}),
        page=Page(
            means="`mw serve` replaces a serving process that is killed or stands still; callers of "
            "that moment lose their connection. Again and again means a cause that stays.",
            look=(
                "Its log: `the serving process died of ...` names the signal",
                "Killed: memory (`modelwright_process_resident_memory_bytes` beside "
                "`modelwright_memory_limit_bytes`), and the kernel's log",
                "`the event loop made no progress`: it was killed for standing still",
            ),
            causes=(
                "Too little memory for the load: MemoryNearLimit",
                "A fault in native code on some input",
                "A processor limit so low that the event loop stands still",
            ),
            do=(
                "More memory: requests and limits follow from `mw bench BUNDLE --service`",
                "Another variant meanwhile: `mw serve BUNDLE --variant NAME` (`mw bench BUNDLE` "
                "lists them)",
            ),
        ),
    )


def _memory_pair(subject: Subject, resident: str) -> dict[str, str]:
    about = {"job": subject.model, "instance": "a:8000"}
    return {
        labelled("modelwright_process_resident_memory_bytes", **about): resident,
        labelled("modelwright_memory_limit_bytes", **about): "1000x400",
    }


def _memory(subject: Subject) -> Alert:
    job = subject.of_job()
    return Alert(
        name="MemoryNearLimit",
        severity="ticket",
        about="memory",
        expr=f"modelwright_process_resident_memory_bytes{job}\n"
        f"  / modelwright_memory_limit_bytes{job} > 0.9",
        hold="10m",
        summary=f"{subject.model} uses nearly all of its memory",
        description="{{ $labels.instance }} uses {{ $value | humanizePercentage }} of its limit.",
        fires=Case(_memory_pair(subject, "950x400"), at=12),
        quiet=Case(_memory_pair(subject, "950x8 700x392"), at=12),
        page=MEMORY,
    )


def _memory_grows(subject: Subject) -> Alert:
    job = subject.of_job()
    return Alert(
        name="MemoryWillRunOut",
        severity="ticket",
        about="memory",
        expr=f"predict_linear(modelwright_process_resident_memory_bytes{job}[1h], 4 * 3600)\n"
        f"  > modelwright_memory_limit_bytes{job}\n"
        f"and modelwright_process_resident_memory_bytes{job}\n"
        f"  > 0.5 * modelwright_memory_limit_bytes{job}",
        hold="30m",
        summary=f"{subject.model} will be out of memory within four hours",
        description="{{ $labels.instance }} grows as it did in the last hour to "
        "{{ $value | humanize1024 }}B.",
        fires=Case(_memory_pair(subject, "600+2x400"), at=35),
        quiet=Case(_memory_pair(subject, "600x400"), at=35),
        page=MEMORY,
    )


MEMORY = Page(
    means="Beyond the limit the kernel kills the serving process; it is started again, and "
    "connections of that moment are lost. The limit is the container's, or the machine's memory.",
    look=(
        "`modelwright_process_resident_memory_bytes` over a day: steps (load) or a slope (a leak)",
        "`modelwright_model_info`: how many versions are loaded; each canary and shadow takes its own",
        "`modelwright_requests_in_flight`: much at once takes memory, too",
    ),
    causes=(
        "The limit is below what the load takes",
        "A canary, a shadow and the version before are loaded beside the stable one",
        "Much longer inputs than were measured",
        "A leak",
    ),
    do=(
        "Measure and write the limits anew: " + BENCH,
        "End trials at the admin port (promote or rollback)",
        "A slope at even load: restart the replicas in turn, and report it with the curve",
    ),
)

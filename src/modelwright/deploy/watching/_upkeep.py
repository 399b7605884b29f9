"""Alerts on keys, certificates and on the watching itself."""

from __future__ import annotations

from modelwright.deploy.watching._alert import Alert, Case, Group, Page, Subject, labelled

MOST_SERIES = 20_000


def groups(subject: Subject) -> list[Group]:
    """One group."""
    alerts = (_auth(subject), _certificate(subject), _series(subject), _scrapes(subject))
    return [Group("upkeep", alerts=alerts)]


def _auth(subject: Subject) -> Alert:
    job = subject.of_job()
    series = labelled(
        "modelwright_auth_failures_total", job=subject.model, instance="a:8000", reason="key"
    )
    return Alert(
        name="AuthFailuresSpike",
        severity="ticket",
        about="security",
        expr=f"sum by (reason) (rate(modelwright_auth_failures_total{job}[5m])) > 1",
        hold="5m",
        summary=f"Many requests to {subject.model} come with a wrong key",
        description="{{ $value }} a second are refused: {{ $labels.reason }}.",
        fires=Case({series: "0+120x40"}),
        quiet=Case({series: "0+6x40"}),
        page=Page(
            means="`key`: no key, or none that is known (401). `scope`: a known key that may not do "
            "this (403). More than one a second for ten minutes is no typing mistake.",
            look=(
                "`--access-log`: from which route; the key's id where it is a `scope`",
                "Whether a key was revoked or the file of keys changed: `mw keys list --file keys.json`",
            ),
            causes=(
                "A client still uses a key that was revoked",
                "A scrape, a probe or a page without a key",
                "Somebody tries keys",
            ),
            do=(
                "A client of ours: `mw keys add NAME --file keys.json`, give it the new key",
                "Prometheus: a key of the scope `metrics`",
                "Somebody tries: block the address before the service; keys have 256 random bits",
            ),
        ),
    )


def _certificate(subject: Subject) -> Alert:
    job = subject.of_job()
    series = labelled(
        "modelwright_certificate_expiry_timestamp_seconds", job=subject.model, instance="a:8000"
    )
    day = 86_400
    return Alert(
        name="CertificateExpiry",
        severity="ticket",
        about="security",
        expr=f"modelwright_certificate_expiry_timestamp_seconds{job} - time() < 14 * {day}",
        hold="10m",
        summary=f"The certificate of {subject.model} ends within two weeks",
        description="{{ $labels.instance }}: {{ $value | humanizeDuration }} are left.",
        fires=Case({series: f"{10 * day}x40"}, at=12),
        quiet=Case({series: f"{60 * day}x40"}, at=12),
        page=Page(
            means="After that day clients refuse to talk to the service.",
            look=("Whether it is renewed by a machine, and why not this time",),
            causes=("The renewal failed, or nobody copies the new files to where they are read",),
            do=(
                "Put the new files in the place of `--tls-cert` and `--tls-key`; they are read within "
                "seconds, without a restart",
            ),
        ),
    )


def _series(subject: Subject) -> Alert:
    job = subject.of_job()
    series = labelled("scrape_samples_scraped", job=subject.model, instance="a:8000")
    return Alert(
        name="TooManySeries",
        severity="info",
        about="watching",
        expr=f"scrape_samples_scraped{job} > {MOST_SERIES}",
        hold="30m",
        summary=f"A replica of {subject.model} tells unusually many series",
        description="{{ $labels.instance }} tells {{ $value }} series.",
        fires=Case({series: "30000x60"}, at=32),
        quiet=Case({series: "900x60"}, at=32),
        page=Page(
            means="Labels come from bundles and routes, never from callers; each version of a model "
            "brings its own, one a label of the model among them. So many cost Prometheus memory.",
            look=(
                "`count by (__name__) ({job=...})`: which metric",
                "How many versions were loaded",
            ),
            causes=(
                "Many versions were loaded since the last restart",
                "A model with very many labels",
            ),
            do=("Restart the replicas in turn: series of versions that are gone go with it",),
        ),
    )


def _scrapes(subject: Subject) -> Alert:
    job = subject.of_job("(-monitor)?")
    up = labelled("up", job=subject.model, instance="a:8000")
    return Alert(
        name="ScrapesFail",
        severity="info",
        about="watching",
        expr=f"avg_over_time(up{job}[30m]) < 0.9",
        hold="10m",
        summary=f"Prometheus often misses {subject.model}",
        description="{{ $labels.instance }} answered {{ $value | humanizePercentage }} of the "
        "scrapes of the last half hour.",
        fires=Case({up: "1 0 1 1 0 1 1 1 0 1 1 1 1 0 1x50"}, at=13),
        quiet=Case({up: "1x20 0 1x40"}, at=30),
        page=Page(
            means="Rates and quantiles have gaps; alerts may come late.",
            look=("Prometheus' page Targets: the error and how long scrapes take",),
            causes=(
                "A timeout shorter than a scrape takes under load",
                "Replicas that come and go",
            ),
            do=("Raise `scrape_timeout`; see TargetDown, WorkerRestarts for replicas that go",),
        ),
    )

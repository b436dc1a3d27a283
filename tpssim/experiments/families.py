"""The families of services at random: what each is about, what is drawn from where to where, and
where these ranges come from.

Where a family says nothing else: 2 to 64 servers that take 30 to 250 calls a second together (calls
of 8 ms to 2.1 s, lognormal, gamma or exponential, CV 0.1 to 1.2), places for 4 to 100 calls a
server; an async loop, or (three in ten) a pool of 2 to 8 threads a server; 40 to 80 s; targets as
multiples of the capacity.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from tpssim.core.types import record
from tpssim.experiments import _services_for_judging as judging
from tpssim.experiments import _services_for_tuning as tuning
from tpssim.experiments._drawing import Draw
from tpssim.scenarios.scenario import Scenario


@record
class Family(NamedTuple):
    """A kind of service and load, of which scenarios are drawn.

    >>> TUNING["far"].about
    'the network takes far longer than the service'
    """

    about: str  #: in one line
    ranges: str  #: what is drawn, from where to where
    source: str  #: where the ranges come from
    drawn: Callable[[Draw], Scenario]


#: Families on which a law may be tuned.
TUNING: dict[str, Family] = {
    "overload": Family(
        "more is wanted than the servers can do",
        "target 1.1 to 2.5 of the capacity",
        "Breakwater (OSDI 2020): 0.1 to 1.6, steps to 1.4; Cinnamon (Uber): 700 to 4,000 a second",
        tuning.overload,
    ),
    "few-servers": Family(
        "one to four servers, and a heavy tail",
        "Pareto of index 1.5 to 2.5, or lognormal of CV 2 to 5; target 0.8 to 2",
        "Dean and Barroso, The Tail at Scale (2013); Crovella and Bestavros (1997): index 1 to 2",
        tuning.few_servers,
    ),
    "bimodal": Family(
        "most calls are short, some are long",
        "1 to 20 % of the calls 10 to 100 times as long; target 0.8 to 2.5",
        "Breakwater (OSDI 2020), Shinjuku (NSDI 2019): 0.5 to 50 % long ones; cache misses",
        tuning.bimodal,
    ),
    "tight-timeout": Family(
        "callers give up after a few service times",
        "timeout 2.5 to 5 mean times; CV 0.1 to 0.5; target 1.1 to 2.5",
        "DAGOR (SoCC 2018): 500 ms for chains of many calls; Envoy: per-try timeouts",
        tuning.tight_timeout,
    ),
    "correlated": Family(
        "slow calls follow each other",
        "lag-one correlation 0.9 to 0.99 of the logarithms, CV 0.5 to 1.2; target 0.8 to 2",
        "the recorded SQLite commits of this package; garbage collection, compaction",
        tuning.correlated,
    ),
    "far": Family(
        "the network takes far longer than the service",
        "50 to 500 ms of network, 5 to 50 service times, CV 0.02 to 0.3; 1 to 8 servers",
        "cloudping.co: 1 to 485 ms between regions of AWS",
        tuning.far,
    ),
    "retrograde": Family(
        "the more calls are in the service, the slower is each, also those that wait",
        "with all servers busy 1.1 to 2 times the time of a single call; target 0.9 to 2",
        "Gunther's law of scalability; M. Brooker's simulator: 1 % a call",
        tuning.retrograde,
    ),
    "quota-retry-after": Family(
        "so many calls in a window; a 429 says when to come back",
        "10 to 100 calls a second in windows of 0.1, 1 or 10 s, or 5 to 30 in windows of 60 s;"
        " calls of 1 to 300 ms; target 1.2 to 4 of the quota; Retry-After exact or in whole"
        " seconds",
        "Stripe: 100 a second; EC2: 20 a second, 100 at once; Claude: 50 to 4,000 a minute;"
        " RFC 6585, RFC 9110",
        tuning.quota_retry_after,
    ),
    "quota-silent": Family(
        "so many calls in a window; the others are never answered",
        "the windows of `quota-retry-after`; refused calls counted or not; timeout 0.5 to 5 s",
        "firewalls and connection limits that drop (iptables hashlimit, conntrack)",
        tuning.quota_silent,
    ),
    "outage": Family(
        "the service is gone for a long time",
        "10 to 40 % of the run, at a standstill or 10 to 100 times as slow; timeout 10 to 100 mean"
        " times; target 0.6 to 1.5",
        "Bronson and others, Metastable Failures (HotOS 2021); Netflix/concurrency-limits#137",
        tuning.outage,
    ),
    "capacity-steps": Family(
        "the capacity jumps up and down",
        "three changes of the service time to 0.4 to 4 times; target 0.8 to 2",
        "tripwire: 50 to 150 ms and back; autoscaling and deployments",
        tuning.capacity_steps,
    ),
    "ramps": Family(
        "the load rises from little to too much, and falls again",
        "from 0 or 0.2 in 10 to 30 s to 1.1 to 2.5 of the capacity, there for 20 to 40 s, and back",
        "k6: ramping-arrival-rate; Breakwater (OSDI 2020)",
        tuning.ramps,
    ),
    "poisson": Family(
        "calls come at random",
        "Poisson, 0.7 to 1.5 of the capacity",
        "wrk2, Breakwater and most papers: open Poisson arrivals",
        tuning.poisson,
    ),
    "blocking": Family(
        "one call at a time, with noise",
        "calls of 8 to 150 ms; lognormal of CV 0.3 to 2, exponential, or Pareto of index 1.8 to 3;"
        " target 0.5 to 4 of the capacity",
        "the article behind this package; its recorded SQLite commits",
        tuning.blocking,
    ),
    "few-places": Family(
        "a short queue: what does not fit is refused at once",
        "4 to 64 servers, places for up to one call each; target 0.9 to 2.5",
        "database pools (PostgreSQL refuses beyond max_connections); bulkheads",
        tuning.few_places,
    ),
    "tokens": Family(
        "calls cost tokens; a minute has so many calls and so many tokens",
        "tokens for 2 to 15 calls a second, 200 to 2,000 a call with a CV of 0.5 to 1.5; calls of"
        " 0.2 to 1 s and 0.5 to 5 ms a token; target 1.1 to 3 of the quota; 240 s",
        "limits of Claude and OpenAI: 50 to 4,000 calls and 40,000 to 400,000 tokens a minute;"
        " BurstGPT (2024)",
        tuning.tokens,
    ),
}

#: Families on which laws are judged: no law of this package was tuned on them.
JUDGING: dict[str, Family] = {
    "knee": Family(
        "beyond some calls in flight each of them makes all slower",
        "knee at 4 to 64 calls, then exponential: 0.2 to 2 in the exponent for as many more; target"
        " 0.9 to 2",
        "Vector's tests of ARC: shallow and steep knees; memory that swaps",
        judging.knee,
    ),
    "quota-plain": Family(
        "so many calls in a window; a 429 that does not say when to come back",
        "the windows of `quota-retry-after`, fixed or rolling; refused calls counted or not; target"
        " 1.2 to 4 of the quota",
        "nginx limit_req; Azure OpenAI: a minute's quota enforced in windows of 1 or 10 s",
        judging.quota_plain,
    ),
    "concurrency-limit": Family(
        "so many calls at a time; more are refused",
        "4 to 64 at a time; target 0.9 to 2.5",
        "AWS Lambda: concurrent executions; GitHub: 100 concurrent requests",
        judging.concurrency_limit,
    ),
    "pool-degrade": Family(
        "a pool of threads; the service is slower for a while",
        "16 to 200 threads on 2 to 16 servers; 2 to 10 times as slow for 20 to 40 % of the run",
        "tripwire: 12 threads, three times as slow; ThreadPoolExecutor",
        judging.pool_degrade,
    ),
    "drift": Family(
        "the service is slowly slower, or swings",
        "2 to 5 times as slow at the end, or a sine of amplitude 0.3 to 0.7, one to four times",
        "growing tables and leaks; daily load of others; failsafe-go#127",
        judging.drift,
    ),
    "flash-crowd": Family(
        "all at once many times as much is wanted",
        "from 0.2 to 0.7 to 1.5 to 6 of the capacity, in 0 to 3 s, for 5 to 15 s",
        "Netflix (2024): twelve times the prefetches; Cinnamon (Uber): 700 to 4,000 a second",
        judging.flash_crowd,
    ),
    "arrivals": Family(
        "recorded arrivals, in bursts",
        "two-state Poisson: 0.2 to 0.5 of the capacity for 4 to 10 s, 1.2 to 2.5 for 0.3 to 2 s",
        "BurstGPT (2024): gamma gaps far burstier than Poisson",
        judging.arrivals,
    ),
    "producers": Family(
        "several producers share the service, some come late",
        "2 to 6, half of them after 10 to 40 % of the run; together 1 to 2.5 of the capacity",
        "congestion-limiter: nine clients join and leave; Vector#21725",
        judging.producers,
    ),
    "late-feedback": Family(
        "the law sees sums, and late",
        "periods of 0.2 to 3 s, 0.1 to 2 s late; up to 4 times as slow for 20 to 40 % of the run",
        "Locust: workers report each 3 s; Prometheus and control planes: seconds",
        judging.late_feedback,
    ),
    "neighbours": Family(
        "other clients take a part of the service, twice",
        "0.2 to 0.8 of the capacity for a fifth of the run; target 0.5 to 1.2",
        "multi-tenant services, shared databases and quotas",
        judging.neighbours,
    ),
    "retries": Family(
        "callers try again",
        "1 to 4 retries after 0.02 to 1 s, doubled, jitter or none, with a budget of 10 or 20 % or"
        " none; places for 0.5 to 5 calls a server; up to 5 % errors",
        "boto3: 2 to 4 retries; gRPC and Finagle: budgets; Bronson and others (HotOS 2021)",
        judging.retries,
    ),
    "phases": Family(
        "the service is faster and slower in turn, at random",
        "phases of 0.5 to 5 s, each lognormal of sigma 0.3 to 0.8; target 0.7 to 1.5",
        "compaction, garbage collection, throttled CPUs: seconds",
        judging.phases,
    ),
    "light-load": Family(
        "all is well: less is wanted than the service takes",
        "target 0.3 to 0.85; CV 0.3 to 2.5; 1 to 100 ms of network with a CV of 0.05 to 1",
        "the usual state of a service; Envoy's minRTT windows cost calls then",
        judging.light_load,
    ),
    "cold-start": Family(
        "the service is slow at first",
        "3 to 20 times as slow for the first 8 to 25 s; target 0.7 to 1.5",
        "cold caches, JIT compilers, functions that start",
        judging.cold_start,
    ),
    "random-errors": Family(
        "some calls fail, whatever the load",
        "0.5 to 15 % of the calls; target 0.6 to 1.5",
        "BurstGPT (2024): more than 5 % of failures in some services; sre-throttling's K",
        judging.random_errors,
    ),
    "blocking-changes": Family(
        "one call at a time; the service is slower for a while",
        "calls of 4 to 50 ms; 2 to 20 times as slow for 20 to 40 % of the run; target 0.4 to 1.5",
        "the article behind this package: 0.5 to 20 ms and back",
        judging.blocking_changes,
    ),
    "combined": Family(
        "a retrograde service at a distance that is slower for a while, under a load at random",
        "the ranges of the other families, halved: 5 to 50 ms of network, 1.03 to 1.3 times the"
        " time with all servers busy, 1.5 to 6 times as slow for 10 to 30 %",
        "what happens does not come alone",
        judging.combined,
    ),
}
#: All of them by name.
FAMILIES: dict[str, Family] = {**TUNING, **JUDGING}

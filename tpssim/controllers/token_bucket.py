"""A token bucket: so many calls a second on average, and a burst of as many as were saved up."""

from __future__ import annotations

import math
from typing import Annotated, NamedTuple

from tpssim.core.types import Observation, described, record
from tpssim.core.validation import Range


@record
class Bucket(NamedTuple):
    """Tokens, and how they come back."""

    fill: float  #: tokens a second
    capacity: float
    tokens: float  #: may fall below 0 if a call did not wait for its token
    at: float  #: when they were counted, s


def refilled(bucket: Bucket, now: float) -> Bucket:
    """The bucket at `now`: `tokens + (now - at) * fill`, at most its capacity.

    >>> refilled(Bucket(10.0, 5.0, 0.0, 0.0), 0.25).tokens
    2.5
    """
    tokens = min(bucket.capacity, bucket.tokens + (now - bucket.at) * bucket.fill)
    return Bucket(fill=bucket.fill, capacity=bucket.capacity, tokens=tokens, at=now)


def taken(bucket: Bucket, now: float) -> Bucket:
    """The bucket after a call at `now`, which takes one token."""
    full = refilled(bucket, now)
    return Bucket(fill=full.fill, capacity=full.capacity, tokens=full.tokens - 1.0, at=now)


@record
class TokenBucketState(NamedTuple):
    rate: float
    limit: float
    reject: float
    fill: float
    capacity: float
    tokens: float
    at: float


@described(
    """Release a call for a token: `share x target` tokens a second come, and at most `capacity` are
    kept.

    At a release, and with `fill = share * target`::

        tokens <- min(capacity, tokens + (now - then) * fill) - 1
        rate    = target                          while a token is left
                = 1 / (lag + (1 - tokens) / fill)  else: the next slot is when a token is there

    It looks at nothing but the time: the baseline of every fixed limit. Of the calls that a stall
    held up, `capacity` are made up for at once; the schedule goes on from there.

    >>> law = TokenBucket(share=0.5, capacity=2.0)  # one token is left; then a wait of 1 / 50 s
    >>> state = law.admit(law.init(100.0), 0.0, 0.0, 0.0)
    >>> state.rate, law.admit(state, 0.0, 0.0, 1.0).rate
    (100.0, 50.0)
    """,
    actuators=("rate",),
    signals="none",
    origin="the textbook's bucket (Turner's leaky bucket as a meter), full at first",
    year=1986,
    needs_target=True,
)
@record
class TokenBucket(NamedTuple):
    share: Annotated[
        float,
        Range(0.0, 1.0, "x target", False, search=(0.01, 1.0), log=True),
        "number of tokens that come in a second, as a share of the target",
    ] = 1.0
    capacity: Annotated[
        float,
        Range(1.0, 1e6, "tokens", search=(1.0, 1000.0), log=True),
        "most tokens that are kept",
    ] = 10.0

    def init(self, target: float) -> TokenBucketState:
        return TokenBucketState(
            rate=target,
            limit=math.inf,
            reject=0.0,
            fill=self.share * target,
            capacity=self.capacity,
            tokens=self.capacity,
            at=0.0,
        )

    def admit(
        self, state: TokenBucketState, now: float, lag: float, in_flight: float
    ) -> TokenBucketState:
        bucket = taken(
            Bucket(fill=state.fill, capacity=state.capacity, tokens=state.tokens, at=state.at), now
        )
        missing = max(0.0, 1.0 - bucket.tokens)
        target = state.fill / self.share
        rate = target if missing == 0.0 else min(target, 1.0 / (lag + missing / bucket.fill))
        return TokenBucketState(
            rate=rate,
            limit=state.limit,
            reject=state.reject,
            fill=bucket.fill,
            capacity=bucket.capacity,
            tokens=bucket.tokens,
            at=bucket.at,
        )

    def update(self, state: TokenBucketState, obs: Observation) -> TokenBucketState:
        fill = self.share * obs.target
        if fill == state.fill:
            return state
        bucket = refilled(
            Bucket(fill=state.fill, capacity=state.capacity, tokens=state.tokens, at=state.at),
            obs.now,
        )
        rate = obs.target if bucket.tokens >= 1.0 else fill
        return TokenBucketState(
            rate=rate,
            limit=state.limit,
            reject=state.reject,
            fill=fill,
            capacity=bucket.capacity,
            tokens=bucket.tokens,
            at=bucket.at,
        )

    def why(self, before: TokenBucketState, obs: Observation, after: TokenBucketState) -> str:
        return f"{max(after.tokens, 0.0):.3g} of {after.capacity:g} tokens left"

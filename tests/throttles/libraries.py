"""Limiters from the package index, unmodified, each in the shape of the article's throttles."""


async def with_asyncio_sleep(items, tps, total):
    import asyncio

    for item in items:
        yield item
        await asyncio.sleep(1 / tps)


async def with_aiolimiter(items, tps, total):
    from aiolimiter import AsyncLimiter

    limiter = AsyncLimiter(1, 1 / tps)
    for item in items:
        await limiter.acquire()
        yield item


def with_ratelimit(items, tps, total):
    from ratelimit import limits, sleep_and_retry

    @sleep_and_retry
    @limits(calls=int(tps), period=1)
    def permit():
        pass

    for item in items:
        permit()
        yield item


def with_pyrate_limiter(items, tps, total):
    from pyrate_limiter import Duration, Limiter, Rate

    limiter = Limiter(Rate(int(tps), Duration.SECOND))
    for item in items:
        limiter.try_acquire("calls")
        yield item


def with_botocore(items, tps, total):
    from botocore.retries import adaptive, bucket, throttling

    clock = bucket.Clock()
    limiter = adaptive.ClientRateLimiter(
        rate_adjustor=throttling.CubicCalculator(
            starting_max_rate=tps, start_time=clock.current_time()
        ),
        rate_clocker=adaptive.RateClocker(clock),
        token_bucket=bucket.TokenBucket(max_rate=tps, clock=clock),
        throttling_detector=Detector(),
        clock=clock,
    )
    for item in items:
        limiter.on_sending_request(request=None)
        yield item
        # The service throttles once, after half a second: from then on the limiter acts.
        limiter.on_receiving_response(
            throttled=not limiter._enabled and clock.current_time() % 60 >= 0.5
        )


class Detector:
    def is_throttling_error(self, throttled, **_):
        return throttled

"""The retry policy; the only place that knows tenacity."""

from collections.abc import Awaitable, Callable

import tenacity

from batch_updater.common.models import Answer, Verdict

RETRIED_VERDICTS = frozenset({Verdict.RETRY, Verdict.THROTTLED, Verdict.UNKNOWN})
FIRST_WAIT = 0.5
LONGEST_WAIT = 30.0


async def attempt_again(
    attempt: Callable[[], Awaitable[Answer]],
    first: Answer,
    exhausted: Callable[[], bool],
    sleep: Callable[[float], Awaitable[None]],
) -> Answer:
    """Repeat a failed attempt until it ends well or for good, or until `exhausted`; give the last answer.

    Waits grow exponentially from 0.5 s to 30 s with full jitter. Only a failure comes here,
    so that a row that succeeds at once pays nothing for it.
    """
    if first.verdict not in RETRIED_VERDICTS or exhausted():
        return first
    backoff = tenacity.wait_random_exponential(multiplier=FIRST_WAIT, max=LONGEST_WAIT)
    retrying = tenacity.AsyncRetrying(
        stop=lambda _state: exhausted(),
        wait=backoff,
        retry=tenacity.retry_if_result(lambda answer: answer.verdict in RETRIED_VERDICTS),
        retry_error_callback=lambda state: state.outcome.result() if state.outcome else first,
        sleep=sleep,
    )

    async def once() -> Answer:
        return await attempt()

    await sleep(backoff(tenacity.RetryCallState(retrying, None, (), {})))
    answer: Answer = await retrying(once)
    return answer

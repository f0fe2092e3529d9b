"""The pool alone: what it hands out, what it leaves, who holds a place, and how it ends."""

import asyncio
import contextlib
import gc
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from batch_updater.common.errors import ExitCode, JournalError
from batch_updater.sending.control import Control
from batch_updater.sending.worker_pool import GivenBack, Pool

SHORT = 0.01


def numbers(count: int, block: int = 10) -> Callable[[], Awaitable[list[int]]]:
    """A source of the numbers from 0, in blocks."""
    blocks = [list(range(first, min(first + block, count))) for first in range(0, count, block)]

    async def source() -> list[int]:
        await asyncio.sleep(0)
        return blocks.pop(0) if blocks else []

    return source


class Places:
    """Counts who is being handled outside of parking."""

    def __init__(self) -> None:
        self.taken = self.most = 0

    def __enter__(self) -> None:
        self.taken += 1
        self.most = max(self.most, self.taken)

    def __exit__(self, *_: object) -> None:
        self.taken -= 1


async def turns(number: int) -> None:
    """Let everybody else go on so many times."""
    for _ in range(number):
        await asyncio.sleep(0)


async def test_every_item_is_handled_once_by_so_many_at_once() -> None:
    """Outcomes of all items, never more than the places in hand, and nothing left."""
    places, ended = Places(), list[int]()

    async def handle(item: int) -> int | None:
        with places:
            await turns(item % 7)
        return item if item % 2 else None

    pool = Pool(8, ended.append, ahead=10)
    assert await pool.run(numbers(200), handle, Control(5.0)) == []
    assert sorted(ended) == list(range(1, 200, 2))
    assert (places.most, pool.unfinished) == (8, 0)


async def test_no_more_is_asked_of_the_source_than_is_soon_needed() -> None:
    """While nobody takes items, one block beyond `ahead` is the most that waits in line."""
    asked = 0
    go = asyncio.Event()

    async def source() -> list[int]:
        nonlocal asked
        asked += 1
        return [asked] * 10 if asked <= 50 else []

    async def handle(_item: int) -> None:
        await go.wait()

    pool = Pool(2, print, ahead=25)
    run = asyncio.create_task(pool.run(source, handle, Control(5.0)))
    await turns(20)
    assert (asked, pool.unfinished) == (3, 30)
    go.set()
    await run
    assert asked == 51


async def test_a_last_block_after_a_wait_is_for_all_workers() -> None:
    """Workers that were idle when the source gave its last items take them all together."""
    places, blocks = Places(), [[0], list(range(1, 30)), list[int]()]

    async def source() -> list[int]:
        await turns(10 if len(blocks) == 2 else 0)
        return blocks.pop(0)

    async def handle(_item: int) -> None:
        with places:
            await turns(2)

    await asyncio.wait_for(Pool(4, print).run(source, handle, Control(5.0)), 5)
    assert places.most == 4


async def test_an_item_that_is_given_back_is_handed_out_after_all_others() -> None:
    """It goes to the end of the line, as the handler wants it, until it ends."""
    taken, ended = list[Any](), list[Any]()

    async def handle(item: Any) -> Any:
        taken.append(item)
        await turns(1)
        return GivenBack("again") if item == 1 else item

    assert await Pool(2, ended.append).run(numbers(6), handle, Control(5.0)) == []
    assert taken == [0, 1, 2, 3, 4, 5, "again"]
    assert sorted(map(str, ended)) == ["0", "2", "3", "4", "5", "again"]


async def test_the_end_waits_for_what_may_still_be_given_back() -> None:
    """The source has ended and all but one worker are idle: what that one gives back is handled, and the run ends."""
    tries = 0

    async def handle(_item: int) -> Any:
        nonlocal tries
        tries += 1
        await turns(10)
        return GivenBack(0) if tries < 4 else None

    assert await asyncio.wait_for(Pool(5, print).run(numbers(1), handle, Control(5.0)), 5) == []
    assert tries == 4


async def test_handlers_that_only_give_back_do_not_keep_the_loop_to_themselves() -> None:
    """Nobody takes anything for good: the others in the loop go on, and a stop finds all items left."""
    control = Control(5.0)

    async def handle(item: int) -> Any:
        return GivenBack(item)

    run = asyncio.create_task(Pool(2, print).run(numbers(5), handle, control))
    await turns(50)
    control.stop()
    assert sorted(await asyncio.wait_for(run, 5)) == [0, 1, 2, 3, 4]


async def test_a_parked_item_holds_no_place() -> None:
    """Half of the items wait for the other half: with two places all end, and there are never more than two in hand."""
    places, ended, others = Places(), list[int](), asyncio.Event()

    async def handle(item: int) -> int:
        with places:
            await turns(1)
        if item < 20:
            async with pool.parked():
                await others.wait()
        with places:
            await turns(2)
            if item == 39:
                others.set()
        return item

    pool = Pool(2, ended.append)
    assert await asyncio.wait_for(pool.run(numbers(40), handle, Control(5.0)), 5) == []
    assert sorted(ended) == list(range(40))
    assert places.most == 2


async def test_an_item_that_returns_from_parking_comes_before_those_in_line() -> None:
    """It waits for the next place that is free, not for the end of the line."""
    order = list[str]()

    async def handle(item: int) -> None:
        if item == 0:
            async with pool.parked():
                await turns(1)
            order.append("returned")
        order.append(str(item))
        await turns(5)

    pool = Pool(1, print)
    await asyncio.wait_for(pool.run(numbers(5), handle, Control(5.0)), 5)
    assert order == ["1", "returned", "0", "2", "3", "4"]


async def test_parking_is_bounded() -> None:
    """With room for three to park, the fourth keeps its place while it waits."""
    begun, go = list[int](), asyncio.Event()

    async def handle(item: int) -> None:
        begun.append(item)
        async with pool.parked():
            await go.wait()

    pool = Pool(2, print, most_parked=3)
    run = asyncio.create_task(pool.run(numbers(20), handle, Control(5.0)))
    await turns(50)
    assert begun == [0, 1, 2, 3, 4]
    go.set()
    await asyncio.wait_for(run, 5)
    assert sorted(begun) == list(range(20))


async def test_what_has_returned_makes_room_to_park() -> None:
    """Where one may park at a time, every second item does, and the next one begins meanwhile, to the last."""
    said = list[str]()

    async def handle(item: int) -> None:
        said.append(f"{item} begins")
        async with pool.parked():
            await turns(3)
        said.append(f"{item} ends")

    pool = Pool(1, print, most_parked=1)
    await asyncio.wait_for(pool.run(numbers(20), handle, Control(5.0)), 5)
    assert said[-4:] == ["18 begins", "19 begins", "19 ends", "18 ends"]


async def test_an_idle_worker_ends_for_an_item_that_returns() -> None:
    """Nothing is in line, and the source lets wait for itself: the parked item goes on at once."""
    returned = asyncio.Event()
    blocks = [[0], list[int]()]

    async def source() -> list[int]:
        if len(blocks) == 1:
            await returned.wait()
        return blocks.pop(0)

    async def handle(_item: int) -> None:
        async with pool.parked():
            await turns(5)
        returned.set()

    pool = Pool(1, print)
    assert await asyncio.wait_for(pool.run(source, handle, Control(5.0)), 5) == []


@pytest.mark.parametrize("seconds", [SHORT / 4, 1.0])
async def test_parking_that_is_broken_off_keeps_the_number_of_places(
    seconds: float, caplog: pytest.LogCaptureFixture
) -> None:
    """A handler gives up waiting while parked, or for a place after it: all end, by two at once when that is over."""
    places, ended = Places(), list[int]()

    async def handle(item: int) -> int:
        if item < 9 and item % 3 == 0:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(SHORT), pool.parked():
                    await asyncio.sleep(seconds)
        elif item < 12:
            await asyncio.sleep(3 * SHORT)
        else:
            with places:
                await asyncio.sleep(SHORT / 5)
        return item

    pool = Pool(2, ended.append)
    assert await asyncio.wait_for(pool.run(numbers(100), handle, Control(5.0)), 10) == []
    assert sorted(ended) == list(range(100))
    assert places.most == 2
    gc.collect()
    assert not caplog.records, "no worker has died of it"


async def test_items_that_return_after_a_stop_share_the_places_too() -> None:
    """The workers have ended, and four parked items return at once: they come to their ends one by one."""
    control, places, ended = Control(5.0), Places(), list[int]()

    async def handle(item: int) -> int:
        if item == 4:
            control.stop()
            return item
        async with pool.parked():
            await control.stopping.wait()
            await turns(5)
        with places:
            await turns(5)
        return item

    pool = Pool(1, ended.append)
    await asyncio.wait_for(pool.run(numbers(5), handle, control), 5)
    assert (sorted(ended), places.most) == ([0, 1, 2, 3, 4], 1)


async def test_a_stop_leaves_what_nobody_took_and_lets_the_rest_finish() -> None:
    """What is in hand or parked ends, returning from parking too; what is in line is left, and the source not asked."""
    control, ended, asked = Control(5.0), list[int](), 0

    async def source() -> list[int]:
        nonlocal asked
        asked += 1
        return list(range(10 * asked - 10, 10 * asked))

    async def handle(item: int) -> int:
        if item == 0:
            async with pool.parked():
                await control.stopping.wait()
                await turns(20)
        if item == 3:
            control.stop()
            await turns(5)
        return item

    pool = Pool(2, ended.append, ahead=5)
    left = await asyncio.wait_for(pool.run(source, handle, control), 5)
    assert sorted(ended + left) == list(range(10 * asked))
    assert {0, 3} <= set(ended)
    assert len(left) > 10 * asked - 7


async def test_a_stop_before_the_run_takes_nothing() -> None:
    """The source is not even asked."""
    control = Control(5.0)
    control.stop()

    async def source() -> list[int]:
        raise AssertionError

    assert await Pool(2, print).run(source, print, control) == []  # type: ignore[arg-type]


async def test_a_stop_wakes_workers_and_source_that_wait() -> None:
    """Idle workers, and a source that is not asked while the line is long, do not hold up a stopped run."""
    for count in (1, 100):
        control = Control(60.0)

        async def handle(_item: int, control: Control = control) -> None:
            await control.stopping.wait()

        run = asyncio.create_task(Pool(4, print, ahead=5).run(numbers(count), handle, control))
        await turns(20)
        control.stop()
        await asyncio.wait_for(run, 5)


async def test_what_is_in_hand_has_the_drain_time_and_a_last_word() -> None:
    """After it the handlers are cancelled; what they still return or raise counts, and nobody waits for a place."""
    control, ended = Control(5 * SHORT), list[str]()

    async def handle(item: int) -> str | None:
        try:
            async with pool.parked() if item == 2 else contextlib.nullcontext():
                await asyncio.sleep(60)
        except asyncio.CancelledError:
            if item == 0:
                return "cut off"
            if item == 1:
                raise RuntimeError("a bug in the last word") from None
            raise
        return "never"

    pool, loop = Pool(3, ended.append), asyncio.get_running_loop()
    loop.call_later(SHORT, control.stop)
    began = loop.time()
    assert await asyncio.wait_for(pool.run(numbers(6), handle, control), 5) == [4, 5]
    assert loop.time() - began >= 5 * SHORT
    assert ended == ["cut off"]
    assert control.failure
    assert "a bug in the last word" in control.failure.message


@pytest.mark.parametrize("error", [RuntimeError("never foreseen"), asyncio.CancelledError(), JournalError("full")])
@pytest.mark.parametrize("place", ["handler", "source", "outcome"])
async def test_a_crash_lets_the_others_finish(error: BaseException, place: str) -> None:
    """Whoever raises it, the run is stopped for that reason, and what is in hand comes to its end."""
    control, ended, fed, in_hand = Control(5.0), list[int](), list[int](), asyncio.Event()
    blocks = numbers(40)

    async def source() -> list[int]:
        block = await blocks()
        fed.extend(block)
        if not block and place == "source":
            await in_hand.wait()
            raise error
        return block

    async def handle(item: int) -> int:
        if item == 1 and place == "handler":
            await in_hand.wait()
            raise error
        if item == 0:
            in_hand.set()
            await control.stopping.wait()
            await turns(5)
        return item

    def keep(item: int) -> None:
        if item == 1 and place == "outcome":
            raise error
        ended.append(item)

    left = await asyncio.wait_for(Pool(2, keep).run(source, handle, control), 5)
    assert 0 in ended
    assert control.failure
    known = isinstance(error, JournalError)
    assert control.failure.exit_code == (ExitCode.STOPPED if known else ExitCode.BUG)
    assert known or control.failure.__cause__ is error
    assert sorted(ended + left) == [item for item in fed if item != 1 or place == "source"]


async def test_a_cancelled_run_cuts_off_and_still_tells_what_is_left() -> None:
    """Cancelled from outside: what is in hand has its last word at once, and `left` has what nobody took."""
    control, ended = Control(60.0), list[int]()

    async def handle(item: int) -> int:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            return item
        return -1

    pool = Pool(3, ended.append)
    run = asyncio.create_task(pool.run(numbers(8), handle, control))
    await turns(20)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    assert (sorted(ended), pool.left) == ([0, 1, 2], [3, 4, 5, 6, 7])
    assert control.stopping.is_set()
    assert len(asyncio.all_tasks()) == 1, "no task goes on by itself"


async def test_parked_items_are_cut_off_without_a_place() -> None:
    """Nobody would pass one on any more: they end at once with the others."""

    async def handle(item: int) -> None:
        async with pool.parked() if item == 0 else contextlib.nullcontext():
            await asyncio.sleep(60)

    pool, control = Pool(1, print), Control(SHORT)
    asyncio.get_running_loop().call_later(SHORT, control.stop)
    assert await asyncio.wait_for(pool.run(numbers(3), handle, control), 5) == [2]


async def test_one_run_leaves_nothing_to_the_next() -> None:
    """A pool is used for one stage after the other: items left, places and deadlines are each run's own."""
    ended = list[int]()
    pool = Pool(2, ended.append)
    control = Control(SHORT)

    async def slow(item: int) -> int:
        control.stop()
        async with pool.parked():
            await asyncio.sleep(60)
        return item

    async def quick(item: int) -> int:
        await turns(1)
        return item

    assert await pool.run(numbers(10), slow, control) == list(range(1, 10))
    assert await pool.run(numbers(10), quick, Control(5.0)) == []
    assert ended == list(range(10))

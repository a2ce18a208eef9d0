"""A run: which allocations fail, in how many lanes at once, and what came of it."""

import contextlib
import random
import threading
import traceback
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from chaos.checks import Complaint

from .commands import COMMANDS, Commands
from .journeys import JOURNEYS
from .lane import STAGES, Lane

START = "start"


@dataclass(frozen=True)
class Scale:
    """points: {journey, START or subcommand: how many of its allocations fail; None: each}; lanes: {journey: how many}"""

    points: dict
    lanes: dict


FULL = Scale(
    {"event": None, START: None, "callback": None, "lookup": 200, **dict.fromkeys(COMMANDS, 150)},
    {"event": 5, "callback": 3, "lookup": 3},
)
SHORT = Scale(
    {"event": 24, START: 30, "callback": 8, "lookup": 4, **dict.fromkeys(COMMANDS, 4)},
    {"event": 3, "callback": 1, "lookup": 1},
)


@dataclass
class Tally:
    """What came of the failing allocations of one journey."""

    name: str
    allocations: int
    numbers: list  # those that are to fail
    points: list = field(default_factory=list)
    complaints: list = field(default_factory=list)

    @property
    def passed(self):
        return sum(not point.wrong for point in self.points)

    @property
    def failed(self):
        """Points that went wrong, those that were never tried, and what was wrong in the end."""
        return len(self.numbers) - self.passed + len(self.complaints)

    def lines(self):
        came = Counter(point.came for point in self.points if not point.wrong)
        stages = Counter(point.stage for point in self.points if point.came == "ended cleanly")
        parts = [f"{came[what]} {what}" for what in ("ended cleanly", "not reached") if came[what]]
        line = f"{self.name}: {self.allocations} allocations, {len(self.numbers)} made to fail: {', '.join(parts)}"
        reached = [f"{stages[stage]} {stage}" for stage in STAGES if stages[stage]]
        yield line + (f" ({', '.join(reached)})" if reached else "")
        for point in self.points:
            if point.wrong:
                yield f"  allocation {point.number}{': ' + point.stage if point.stage else ''}: {point.came}"
        for complaint in self.complaints:
            yield f"  {complaint}"


def _choose(rng, count, allocations):
    """Which allocations fail: each, or so many, one from each stretch of the way."""
    if count is None or count >= allocations:
        return list(range(1, allocations + 1))
    bounds = [1 + allocations * place // count for place in range(count + 1)]
    return [rng.randrange(begin, end) for begin, end in zip(bounds, bounds[1:])]


class Run:
    """
    postgres, kafka  servers
    directory        for logs
    say              a function that is told what has been done
    """

    def __init__(self, postgres, kafka, directory, scale, seed, say=print):
        self._servers = (postgres, kafka, directory)
        self._scale = scale
        self._seed = seed
        self._say = say
        self._lock = threading.Lock()
        self.tallies = []

    def everything(self):
        """Returns the tallies."""
        with contextlib.ExitStack() as stack:
            lanes = {
                name: [stack.enter_context(Lane(f"{name}{place}", *self._servers, JOURNEYS[name])) for place in range(count)]
                for name, count in self._scale.lanes.items()
            }
            start = stack.enter_context(Lane(START, *self._servers, JOURNEYS["event"]))
            commands = stack.enter_context(Commands("commands", *self._servers))
            with ThreadPoolExecutor(sum(map(len, lanes.values())) + 2) as pool:
                begun = [pool.submit(self._start, start), pool.submit(self._commands, commands)]
                begun += [pool.submit(self._journey, pool, name, some) for name, some in lanes.items()]
                for job in begun:
                    job.result()
        for tally in self.tallies:
            for line in tally.lines():
                self._say(line)
        return self.tallies

    def _tally(self, name, allocations):
        rng = random.Random(f"{self._seed} {name}")
        tally = Tally(name, allocations, _choose(rng, self._scale.points[name], allocations))
        with self._lock:
            self.tallies.append(tally)
        return tally

    def _add(self, tally, point):
        with self._lock:
            tally.points.append(point)
            if len(tally.points) % 50 == 0 or point.wrong:
                wrong = f": {point.came}" if point.wrong else ""
                self._say(f"  {tally.name}: {len(tally.points)} of {len(tally.numbers)}{wrong}")

    def _commands(self, commands):
        for name in COMMANDS:
            tally = self._tally(name, commands.allocations(name))
            for number in tally.numbers:
                self._add(tally, commands.point(name, number))

    def _start(self, lane):
        tally = self._tally(START, lane.start_allocations())
        for number in tally.numbers:
            self._add(tally, lane.start_point(number))

    def _journey(self, pool, name, lanes):
        tally = self._tally(name, lanes[0].allocations())
        todo = iter(tally.numbers)
        for lane in lanes[1:]:
            pool.submit(self._lane, lane, tally, todo)
        self._lane(lanes[0], tally, todo)

    def _lane(self, lane, tally, todo):
        """One thread's work: points, as long as there are some, and then the healthy worker."""
        try:
            while (number := self._next(todo)) is not None:
                self._add(tally, lane.point(number))
            complaints = lane.heal()
        except Exception as error:  # whatever it is: it ends this lane, not the others
            traceback.print_exc()
            complaints = [Complaint(type(error).__name__, str(error))]
        with self._lock:
            tally.complaints += complaints

    def _next(self, todo):
        with self._lock:
            return next(todo, None)

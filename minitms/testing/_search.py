"""Which directions are looked along: through all parameters at once, then through what that does not settle."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from minitms.testing._kinks import not_differentiable
from minitms.testing._looks import RESOLVED, look, unresolved
from minitms.testing._problem import norm
from minitms.testing._slopes import FINE
from minitms.testing.report import Outcome

__tracebackhide__ = True  # pytest then shows the user's code, not ours

SEEN = 1e-3  # an entry is seen in a slope if so small a part of its share would show; beside others, RESOLVED will do
SINGLE = 4 * np.finfo(np.float32).eps
ROUNDS = 4  # of looks along what is left unseen


class Search:
    """A check of all parameters. `outcomes` has one outcome for each."""

    def __init__(self, problem, directions, rtol, random):
        self.problem, self.directions, self.rtol, self.random = problem, directions, rtol, random
        self.seen = np.zeros(problem.point.size, bool)
        self.largest = 0.0  # size of the slopes seen
        self.jumps = False  # if so, any slope may have a factor in single precision
        self.steps = {}  # the last slopes, by kind of direction: where to look first for others
        self.overall = norm(problem.claim * problem.scales(np.ones(problem.point.size, bool)))

    def outcomes(self):
        blocks = range(len(self.problem.parts))
        found = self._settle(list(blocks))
        if all(outcome.excess <= 1 for outcome in found.values()):
            found |= self._gentle_entries()
        return [found[block] for block in blocks]

    def _settle(self, blocks):
        """Outcomes of these parameters, by looks through all of them where those are sharp enough for each."""
        if not blocks:
            return {}
        if len(blocks) == 1:
            return {blocks[0]: self._alone(blocks[0])}
        looks = self._looks(self._entries(blocks), self.directions)
        if not looks or any(one.odd for one in looks):
            half = len(blocks) // 2
            return self._settle(blocks[:half]) | self._settle(blocks[half:])
        sharp = {block: [one for one in looks if self._sharp(one, block)] for block in blocks}
        found = {block: self._outcome(block, sharp[block]) for block in blocks if sharp[block]}
        rest = [block for block in blocks if block not in found]
        if found:
            return found | self._settle(rest)
        return {block: self._alone(block) for block in rest}

    def _sharp(self, one, block):
        """Whether the slope by this parameter is known as well beside the others as it would be alone."""
        return one.tolerance <= (FINE + 2 * self.rtol) * self._size(one, block)

    def _alone(self, block):
        looks = self._looks(self._entries([block]), self.directions)
        if not looks:
            raise ValueError(
                f"loss is finite at params but not close to them, when {self.problem.names[block]} moves; expected a "
                "loss that is finite around params"
            )
        return self._outcome(block, looks)

    def _gentle_entries(self):
        """Outcomes of parameters that are wrong in entries whose slopes no look has shown beside steeper ones."""
        for _ in range(ROUNDS):
            entries = ~self.seen
            if not entries.any():
                break
            looks = self._looks(entries, min(self.directions, 2), self.largest)
            if any(one.odd for one in looks):
                return self._wrong(entries)
            if not (entries & self.seen).any():
                break
        return {}

    def _wrong(self, entries):
        found = {}
        for block, part in enumerate(self.problem.parts):
            own = np.zeros_like(entries)
            own[part] = entries[part]
            looks = self._looks(own, min(self.directions, 2), self.largest) if own.any() else []
            if any(one.odd for one in looks):
                found[block] = self._outcome(block, looks)
        return found

    def _looks(self, entries, count, beside=0.0):
        """Looks along a few directions; of these every second moves each entry in proportion to its size."""
        # The two kinds of direction may need steps that are orders of magnitude apart.
        firsts, looks = dict(self.steps) if beside else {}, []
        for i in range(count):
            relative = i % 2 == 1
            v = self.problem.direction(entries, relative, self.random)
            one = look(self.problem, v, self.rtol, firsts.get(relative), beside)
            if one:
                self.jumps = self.jumps or bool(one.slope.jumps)
                if self.jumps:
                    one = replace(one, tolerance=one.tolerance + SINGLE * one.size)
                firsts.setdefault(relative, one.slope)
                self.steps[relative] = replace(one.slope, noise=0.0)  # of a loss with other slopes
                looks.append(one)
                if one.odd:
                    break
        for one in looks:
            if not one.odd:
                shares = np.abs(self.problem.claim * one.v)
                self.seen |= (RESOLVED if beside else SEEN) * shares >= np.where(one.v, one.tolerance, np.inf)
                self.largest = max(self.largest, one.size)
        return looks

    def _outcome(self, block, looks):
        """The worst of some looks through a parameter, of those that resolve its slope if there are any."""
        kinked = next((one for one in looks if one.slope.kink), None)
        if kinked:
            not_differentiable(self.problem, block, kinked.v, kinked.slope)
        part, shape, name = self.problem.parts[block], self.problem.values[block].shape, self.problem.names[block]
        why = [unresolved(self.problem, one, self._size(one, block), self.overall) for one in looks]
        wrong = any(one.excess > 1 for one in looks)
        chosen = [i for i, reason in enumerate(why) if wrong or not reason] or range(len(looks))
        i = max(chosen, key=lambda i: looks[i].excess)
        one = looks[i]
        return Outcome(
            name, block, shape, one.v[part].reshape(shape), one.slope, one.claimed, self._size(one, block),
            one.tolerance, "" if wrong else why[i],
        )

    def _size(self, one, block):
        part = self.problem.parts[block]
        return norm(self.problem.claim[part] * one.v[part])

    def _entries(self, blocks):
        entries = np.zeros(self.problem.point.size, bool)
        for block in blocks:
            entries[self.problem.parts[block]] = True
        return entries

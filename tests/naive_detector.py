"""Slow, obvious twin of the streaming detector, written from docs/algorithms.md: everything is kept and recomputed."""

import math

import numpy as np

from tests.naive import saliency

JUMP, INNOVATION, FLUCTUATION, SALIENT, LEVEL, NOISE, FROZEN, SEASON = range(8)
EDGES = np.concatenate([[0.0], [(4 + i % 4) / 4 * 2.0 ** (i // 4 - 6) for i in range(96)]])


def binned(views, weights):
    """Weight in each of the 96 bins; what is beyond the last edge is in the last bin."""
    bins = np.minimum(np.searchsorted(EDGES, np.float32(views), side="right") - 1, 95)
    return np.bincount(bins, weights, 96)


class Tail:
    """Everything one view has taught."""

    def __init__(self):
        self.views, self.weights, self.weight = [], [], 1.0
        self.fitted, self.peak = None, 0.0

    def add(self, view, share):
        self.views.append(view)
        self.weights.append(self.weight * share)
        self.weight *= 1 + share / 30000

    def fit(self):
        counts = binned(self.views, self.weights)
        share = 0.02 * counts.sum()
        bin_ = 95
        while bin_ > 0 and counts[bin_:].sum() < share:
            bin_ -= 1
        above = counts[bin_ + 1 :].sum()
        top, bottom = EDGES[bin_ + 1], EDGES[bin_]
        start = top - (share - above) / counts[bin_] * (top - bottom)
        middles = (EDGES[1:] + EDGES[:-1])[bin_ + 1 :] / 2 - start
        half = (top - start) / 2
        first = ((counts[bin_ + 1 :] * middles).sum() + (share - above) * half) / share
        second = ((counts[bin_ + 1 :] * middles**2).sum() + (share - above) * half**2 * 4 / 3) / share
        shape = min(max((1 - first**2 / max(second - first**2, 1e-9)) / 2, -0.5), 0.45)
        self.fitted = start, first * (1 - shape), shape

    def exceeded_at(self, risk):
        if self.fitted is None:
            return 0.0
        start, scale, shape = self.fitted
        log = math.log(risk / 0.02)
        excess = (math.exp(-shape * log) - 1) / shape if abs(shape) > 1e-6 else -log
        return max(start + scale * max(excess, 0.0), 1e-9)


class Detector:
    """`edgead.native.SpectralResidual` in double precision."""

    def __init__(self, window, sensitivity=90):
        self.n, self.learning = window, max(96, window // 8)
        self.risk = 2e-3 * 10 ** ((sensitivity - 90) / 20)
        self.margin = 1.3 + (0.01 if sensitivity < 90 else 0.03) * (90 - sensitivity)
        self.tails = [Tail() for _ in range(8)]
        self.rows, self.caps, self.innovations, self.seen = [], [], [0.0] * 11, 0
        self.here = self.other = (0.0, 0.0)  # mean and last value of the two places
        self.hold = self.repeat = self.run = self.run_before = self.active = self.season = self.gap = (
            self.since_gap
        ) = 0
        self.scale = self.variance = self.unrest = self.longest = 0.0
        self.boost = 1.0
        self.offset = self.climb = self.rise = 0.0
        self.rising = self.risen = 0
        self.beyond = [0] * 8

    # rows

    def add_row(self, y):
        self.rows.append(y)
        self.caps.append(20 * self.scale if self.scale > 0 else 1e12)
        if len(self.rows) % max(32, self.n // 16) == 0:
            self.season = self.find_season()

    def lag_error(self, lag):
        """Mean absolute difference over this lag; a row counts for half of the lags only, and fades."""
        block = int(self.n - lag >= self.n // 2)
        rows = [i for i in range(lag, len(self.rows)) if i % 2 == block]
        errors = [min(abs(self.rows[i] - self.rows[i - lag]), self.caps[i]) for i in rows]
        faded = (1 - 2 / self.n) ** np.arange(len(errors))[::-1]
        gathered = 1 - math.exp(-(len(self.rows) - 1) / self.n) * (1 + 1 / self.n) ** (lag - 1)
        return float(np.dot(errors, faded)) / gathered

    def find_season(self):
        most = min(self.n - 8, len(self.rows) // 2)
        errors = [math.inf] + [self.lag_error(lag) for lag in range(1, most + 1)]
        typical = sum(errors[1:]) / most
        lag = 1
        while lag <= most and (lag <= 3 or errors[lag - 1] < 0.8 * typical):
            lag += 1
        best = min([typical, *errors[lag:]])
        if best >= 0.7 * typical:
            return 0
        while errors[lag] > 1.1 * best:
            lag += 1
        near = range(lag, min(lag + lag // 8, most) + 1)
        return min(near, key=lambda at: errors[at])

    def mean_ending(self, age):
        return float(np.mean(self.rows[len(self.rows) - age - 8 : len(self.rows) - age]))

    def displaced(self, y):
        """Distance of the short mean from earlier seasons, or from the baseline."""
        room = min(self.n, len(self.rows))
        if not self.season or len(self.rows) < self.season + 8:
            return False, self.level - self.baseline
        if self.gap >= self.season and self.since_gap < self.season:
            return True, 0.0
        then = [self.mean_ending(self.season)]
        then += [self.mean_ending(k * self.season) for k in (2, 3) if k * self.season + 8 <= room]
        now = self.mean_ending(0)
        return True, now - min(max(now, min(then)), max(then))

    # one reading

    def lift(self, value):
        y = value + self.offset
        step = y - self.here[1]
        counter = self.rising >= max(self.learning, self.n / 2) and self.risen >= self.rising // 2
        if counter and step < 0 and -2 * step >= self.rise:
            self.offset += self.climb - step
            self.rise = 0.0
            return value + self.offset
        if step < 0:
            self.rising, self.risen, self.climb, self.rise = 0, 0, 0.0, 0.0
        else:
            self.rising += 1
            self.risen += step > 0
            self.rise += step
            self.climb += 0.1 * (step - self.climb)
        return y

    def begin(self, value):
        self.here = self.other = (value, value)
        self.baseline = self.level = value

    def judge(self, value, missing=0):
        """(score, expected, lower, upper); None while learning."""
        if self.seen == 0:
            self.begin(value)
        else:
            for _ in range(min(missing, self.n)):
                self.add_row(self.rows[-self.season] if self.season else self.here[0])
            if missing:
                self.gap, self.since_gap = min(missing, self.n), 0
        y = self.lift(value) if self.seen else value
        reach = min(1e13, 1e6 * self.scale) if self.scale > 0 else 1e13
        y = min(max(y, self.here[0] - reach), self.here[0] + reach)
        self.add_row(y)
        loosened = math.sqrt(1 + missing)
        self.count_run(self.seen > 0 and y == self.here[1])
        self.choose_place(y)
        innovation, jump = (y - self.here[0]) / loosened, (y - self.here[1]) / loosened
        views = self.view(y, innovation, jump)
        factor = self.margin * self.boost
        bars = [self.bar(k, views[k], self.tails[k].exceeded_at(self.risk), factor) for k in range(8)]
        score, winner = max(((v / b if b > 0 else 0.0), -k) for k, (v, b) in enumerate(zip(views, bars)))
        winner = -winner if score > 0 else INNOVATION
        if self.tails_known(INNOVATION) < 64 and self.run == 0 and self.run_before >= 64:
            score = 2.0
        verdict = self.band(y, innovation * loosened, bars[INNOVATION] * self.scale * loosened, score, winner)
        learning = self.seen < self.learning
        self.learn(y, innovation, views, not learning)
        return None if learning else verdict

    def count_run(self, same):
        self.run_before = self.run
        if same:
            self.run += 1
        else:
            self.longest = max(0.99 * self.longest, min(self.run, self.frozen_limit(2e-3)))
            self.run = 0

    def choose_place(self, y):
        if self.hold == 0:
            return
        self.hold -= 1
        if abs(y - self.other[0]) < abs(y - self.here[0]):
            self.here, self.other, self.hold = self.other, self.here, 20

    def view(self, y, innovation, jump):
        spread = np.std(self.innovations)
        self.innovations = [*self.innovations[1:], innovation]
        growth = max(np.std(self.innovations) - spread, 0.0)
        self.level += 0.1 * (y - self.level)
        self.unrest += 0.1 * (abs(innovation) - self.unrest)
        seasonal, self.displacement = self.displaced(y)
        window = np.array(([self.rows[0]] * (self.n - 1) + self.rows)[-self.n :])
        salient = abs(innovation) * math.sqrt(min(saliency(window)[-1], 0.65))
        unit = 1 / self.scale if self.scale > 0 else 0.0
        far = abs(self.displacement) * unit
        views = [abs(jump) * unit, abs(innovation) * unit, growth * unit, salient * unit]
        views += [-1 if seasonal else far, self.unrest * unit, self.run, far if seasonal else -1]
        return [min(v, 1e9) for v in views]

    def tails_known(self, view):
        return min(len(self.tails[view].views), 10000)

    def frozen_limit(self, risk):
        known = 2 * self.tails[FROZEN].exceeded_at(risk) if self.tails_known(FROZEN) >= 64 else 0.0
        return max(8.0, known, 1.2 * self.longest)

    def bar(self, view, size, limit, factor):
        if view == FROZEN:
            over = size == 0 or size >= self.frozen_limit(2e-3) * 1.3 * 1.5 * self.boost
            known = 2 * limit if self.tails_known(FROZEN) >= 64 else 0.0
            return 0.0 if over else max(8.0, known, 1.2 * self.longest) * factor
        if self.tails_known(view) < 64 or size < 0 or self.scale <= 0:
            return 0.0
        if view in (LEVEL, NOISE, SEASON):
            limit = max(0.9 * limit, 1.3 * self.tails[view].peak)
        return limit * factor * (1 + 60 / self.tails_known(view))

    def band(self, y, deviation, half, score, winner):
        score = min(score, 1e6)
        if score >= 1 and abs(deviation) < half:
            if winner in (LEVEL, SEASON):
                deviation = self.displacement
            if winner == FROZEN or deviation == 0:
                deviation = self.scale if self.baseline < y else -self.scale
            half = abs(deviation) / score
        elif score < 1:
            half = max(half, abs(deviation))
        expected = y - deviation - self.offset
        return score, expected, expected - half, expected + half

    # learning

    def learn(self, y, innovation, views, judged):
        alarm, weight = self.events(views) and judged, 1.0
        self.boost = max(1.0, self.boost * (1 - 0.05 * 1.5e-3))
        if not self.repeat:
            self.boost += (1.0 - self.boost) * 2.5e-4
        if alarm:
            if self.repeat:
                weight = 0.2
            else:
                self.boost = min(2.0, self.boost * 1.05)
            self.repeat = 8
        else:
            self.repeat = max(0, self.repeat - 1)
        weight = 0.0 if self.run >= 16 else weight
        self.learn_tails(views, weight)
        self.learn_levels(y, innovation, weight)
        self.move(y, innovation, views)
        self.seen += 1
        self.since_gap = min(self.since_gap + 1, self.n)

    def events(self, views):
        found = False
        for k, tail in enumerate(self.tails):
            bar = self.bar(k, views[k], tail.exceeded_at(2e-3), 1.3 * self.boost)
            gone = views[k] < 0.5 * tail.exceeded_at(2e-3)
            tail.peak *= 0.95 if gone else 1 - math.log(2) / max(self.n, 512)
            told = 0 < bar <= views[k]
            if told or self.repeat:
                tail.peak = max(tail.peak, views[k])
            found |= told
        return found

    def patience(self, view, size):
        if view not in (LEVEL, NOISE, SEASON) or self.tails_known(view) < 64:
            return 1.0
        if size < self.tails[view].exceeded_at(2e-3) * 1.3 * self.boost:
            self.beyond[view] = max(0, self.beyond[view] - 4)
            return 1.0
        self.beyond[view] = min(1000, self.beyond[view] + 1)
        return 1.0 if self.beyond[view] == 1 else (self.beyond[view] / 1000) ** 2

    def learn_tails(self, views, weight):
        frozen = self.frozen_limit(2e-3) * 1.3
        for k, tail in enumerate(self.tails):
            size, known = views[k], self.tails_known(k)
            if self.seen < 24 or (known >= 64 and size >= frozen if k == FROZEN else size < 0 or weight <= 0):
                continue
            share = self.patience(k, size)
            if k != FROZEN and known + 1 >= 100:
                size = min(size, 2.5 * max(tail.exceeded_at(2e-3), 1e-3))
            tail.add(size, 1.0 if k == FROZEN else weight * share)
        if self.seen % 16 == 15:
            for tail in self.tails:
                if tail.views:
                    tail.fit()

    def learn_levels(self, y, innovation, weight):
        settled, size = self.seen >= 20, abs(innovation)
        if weight > 0:
            self.active = min(self.active + 1, 10000)
            if settled and self.scale > 0:
                size = min(size, 10 * self.scale)
            self.scale += (size - self.scale) / self.active
        step, memory = y - self.baseline, min(self.seen + 1, self.n)
        if settled and self.variance > 0:
            most = 4 * math.sqrt(self.variance)
            step = min(max(step, -most), most)
        self.baseline += step / memory
        self.variance += (step * step - self.variance) / memory

    def move(self, y, innovation, views):
        mean = self.here[0]
        if self.seen >= 20 and self.scale > 0 and views[INNOVATION] > 8:
            if self.hold == 0:
                self.other = self.here
            self.hold, mean = 20, y
        else:
            mean += innovation * (1 / (self.seen + 1) if self.seen < 3 else 0.3)
        self.here = (mean, y)

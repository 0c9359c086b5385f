"""Slow, obvious twins of the rows for a network, the memory of patches and the network's part in a verdict."""

import math

import numpy as np

from tests.naive import saliency
from tests.naive_detector import FLUCTUATION, INNOVATION, JUMP, LEVEL, NOISE, SALIENT, SEASON, Detector, Tail


def squeezed(size, of=1.0):
    """ln(1 + size), at most 8, with the sign of `of`."""
    return math.copysign(min(math.log1p(min(abs(size), 1e9)), 8.0), of) if of else 0.0


class Known(Tail):
    """A tail and how many readings taught it, from the 24th on."""

    def limit(self, risk):
        known = min(len(self.views), 10000)
        return self.exceeded_at(risk) * (1 + 60 / known) if known >= 64 else 0.0

    def teach(self, size, weight):
        if len(self.views) + 1 >= 100:
            size = min(size, 2.5 * max(self.exceeded_at(2e-3), 1e-3))
        self.add(size, weight)


class Rows(Detector):
    """`edgead.native.RowHistory` in double precision: `row` gives the channels of a reading."""

    def __init__(self, window, day, sensitivity=90):
        super().__init__(window, sensitivity)
        self.day, self.profile, self.phase, self.tail = day, {}, 0, Known()
        self.day_level = self.day_spread = self.daily = self.immediate = 0.0
        self.compared = self.day_repeat = 0

    # what the detector saw

    def view(self, y, innovation, jump):
        unit = 1 / self.scale if self.scale > 0 else 0.0
        self.y, self.before = y, self.scale
        views = super().view(y, innovation, jump)
        self.signed = innovation * unit, jump * unit, self.displacement * unit
        return views

    def events(self, views):
        limits = [
            self.bar(k, views[k], t.exceeded_at(2e-3), 1.3 * self.boost) for k, t in enumerate(self.tails)
        ]
        self.ratios = [view / bar if bar > 0 else 0.0 for view, bar in zip(views, limits)]
        return super().events(views)

    # the day

    def away(self):
        """Distance from profile and level, its view and the ratio to its limit."""
        mean, spread, days = self.profile.get(self.phase, (0.0, 0.0, 0))
        if not days:
            return None, -1.0, 0.0
        distance = self.y - mean - self.day_level
        if days < 2 or self.before <= 0 or self.daily >= 1.5 * self.immediate:
            return distance, -1.0, 0.0
        typical = max((spread + (self.day_spread if self.compared else spread)) / 2, self.before)
        view, limit = abs(distance) / typical, self.tail.limit(2e-3)
        return distance, view, view / limit if limit else 0.0

    def follow(self, distance):
        step, cap = distance, 20 * self.before
        if self.day_spread > 0:
            step = min(max(step, -5 * self.day_spread), 5 * self.day_spread)
        self.day_level += 0.1 * step
        self.compared = min(self.compared + 1, 30000)
        self.day_spread += (abs(step) - self.day_spread) / min(self.compared, 10000)
        self.daily += (min(abs(distance), cap) - self.daily) / self.compared
        self.immediate += (min(abs(self.signed[0]) * self.before, cap) - self.immediate) / self.compared

    def learn_day(self):
        mean, spread, days = self.profile.get(self.phase, (0.0, 0.0, 0))
        days = min(days + 1, 255)
        if days == 1:
            self.profile[self.phase] = self.y, self.day_spread, days
            return
        step, rate = self.y - mean, max(1 / days, 0.15)
        if days > 2:
            most = 4 * (spread + self.day_spread)
            step = min(max(step, -most), most)
        self.profile[self.phase] = mean + rate * step, spread + rate * (abs(step) - spread), days

    def row(self, value, missing=0):
        """The 14 channels of a reading, and its score at sensitivity 90."""
        few = self.tails_known(INNOVATION) < 64
        learning = self.seen < self.learning
        if self.seen:
            self.phase = (self.phase + missing) % self.day if self.day else 0
        row_number = self.seen
        self.judge(value, missing)
        first = few and self.run == 0 and self.run_before >= 64
        score = 0.0 if learning else max([2.0 if first else 0.0, *self.ratios])
        distance, view, ratio = self.away() if self.day else (None, -1.0, 0.0)
        innovation, jump, shift = self.signed
        spread = math.sqrt(self.variance)
        base = (self.y - self.baseline) / spread if spread > 0 else 0.0
        joined = max(score, ratio / 1.3)
        channels = [
            squeezed(self.ratios[INNOVATION], innovation),
            squeezed(self.ratios[JUMP], jump),
            squeezed(self.ratios[FLUCTUATION]),
            squeezed(self.ratios[SALIENT], innovation),
            squeezed(self.ratios[LEVEL] + self.ratios[SEASON], shift),
            squeezed(self.ratios[NOISE]),
            squeezed(ratio, distance or 0.0),
            2 * self.salient_share(),
            squeezed(min(self.run, 64)) / 2,
            squeezed(base, base),
            squeezed(joined),
            squeezed(innovation, innovation) / 2,
            float(view >= 0),
            squeezed(shift, shift) / 2,
        ]
        self.teach(view, ratio, score, row_number)
        if self.day:
            if distance is not None:
                self.follow(distance)
            self.learn_day()
            self.phase = (self.phase + 1) % self.day
        return channels, joined

    def salient_share(self):
        window = np.array(([self.rows[0]] * (self.n - 1) + self.rows)[-self.n :])
        return min(saliency(window)[-1], 0.65)

    def teach(self, view, ratio, score, row_number):
        weight = 1.0
        if ratio >= 1.3 or score >= 1:
            weight, self.day_repeat = 0.2 if self.day_repeat else 1.0, 8
        else:
            self.day_repeat = max(0, self.day_repeat - 1)
        if view >= 0:
            self.tail.teach(view, weight)
        if row_number % 16 == 15 and self.tail.views:
            self.tail.fit()


class Bank:
    """`edgead.native.PatchBank`."""

    def __init__(self, patches):
        self.patches, self.kept, self.met, self.clock, self.reach = patches, [], [], 0, 0.0

    def meet(self, embedding, learn=True):
        embedding = np.asarray(embedding, np.float64)
        distances = [float(np.linalg.norm(embedding - kept)) for kept in self.kept]
        found = min(distances, default=0.0)
        told = found if len(self.kept) >= 8 else -1.0
        if not learn:
            return told
        if len(self.kept) < 8 or found > self.reach:
            if len(self.kept) >= 8:
                self.reach = self.reach * 1.02 if self.reach > 0 else found
            if len(self.kept) < self.patches:
                at = len(self.kept)
                self.kept.append(embedding)
                self.met.append(0)
            else:
                at = int(np.argmin(self.met))
                self.kept[at] = embedding
        else:
            at = int(np.argmin(distances))
        self.met[at] = self.clock
        self.clock += 1
        self.reach *= 1 - 0.02 / 50
        return told


#: Edges of the histograms' bins from 0.5 on, four an octave.
LOUDNESSES = [2.0 ** (k // 4 - 1) * (1 + k % 4 / 4) for k in range(48)]


class Governor:
    """What of a detector's events is told: of each loudness, those that would have opened there, fading."""

    def __init__(self, sensitivity):
        self.memory = 1000.0 * 10 ** ((90 - sensitivity) / 20)
        self.events, self.reached = [0.0] * 48, [0] * 48
        self.told_from, self.told_at = 0.0, 0

    def least(self, now):
        """The least loudness that is told."""
        if now - self.told_at <= 8:
            return self.told_from
        many = [k for k, count in enumerate(self.events) if count >= 4.5]
        return LOUDNESSES[min(many[-1] + 1, 47)] if many else 0.0

    def tells(self, now, flag, loudness):
        """Whether a reading that is flagged is told; counts it, flagged or not."""
        self.events = [count * (1 - 1 / self.memory) for count in self.events]
        if flag:
            self.told_from = self.least(now)
            flag = loudness >= self.told_from
            if flag:
                self.told_at = now
        for k, edge in enumerate(LOUDNESSES):
            if loudness >= edge:
                if now - self.reached[k] > 8:
                    self.events[k] = min(self.events[k] + 1, 7.0)
                self.reached[k] = now
        return flag


class Fusion:
    """`edgead.native.Fusion` in double precision: `judge` gives the score, whether it is told, the network's part."""

    def __init__(self, patches, sensitivity=90):
        self.bank, self.sensitivity = Bank(patches), sensitivity
        self.odds, self.distances = Known(), Known()
        self.governor = Governor(sensitivity)
        self.seen = self.repeat = self.strange = 0

    def limit(self, sensitivity):
        own = self.odds.limit(1e-3 * 10 ** ((sensitivity - 90) / 20))
        return max(own, 5.0 + math.log(10) / 20 * (90 - sensitivity)) if own else 0.0

    def judge(self, row, log_odds, embedding):
        base, score90, learning = row[0], row[8], row[9]
        distance = self.bank.meet(embedding, learn=False)
        edge = 0.7 * self.distances.limit(2e-3)
        familiarity = 0.8 + 0.2 * min(distance / edge, 1.0) if distance >= 0 and edge else 1.0
        odds = familiarity * math.log1p(math.exp(min(max(log_odds + 7.0, -30.0), 30.0)))
        limit, usual = self.limit(self.sensitivity), self.limit(90)
        score = base if learning or not limit else max(base, odds / limit)
        loudness = max(score90, odds / usual if usual else 0.0)
        told = not learning and self.governor.tells(self.seen, score >= 1, loudness)
        alarm = not learning and (score90 >= 1 or (usual > 0 and odds >= usual))
        strange = alarm or (self.bank.reach > 0 and distance > 4 * self.bank.reach)
        self.strange = min(self.strange + 1, 1000) if strange else 0
        if not strange or self.strange == 1000:
            self.bank.meet(embedding)
        weight = 0.2 if alarm and self.repeat else 1.0
        self.repeat = 8 if alarm else max(0, self.repeat - 1)
        for tail, size in ((self.odds, odds), (self.distances, distance)):
            if self.seen >= 24 and size >= 0:
                tail.teach(size, weight)
            if self.seen % 16 == 15 and tail.views:
                tail.fit()
        self.seen += 1
        return score, told, odds - 7.0, familiarity

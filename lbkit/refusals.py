"""The trace of the firewall in a result: which rules refused, and how well it tells attacks from the rest."""

from __future__ import annotations

from array import array
from collections import Counter
from functools import cached_property
from itertools import compress
from math import nan

from lbkit.core.detection_rates import Rate, rates
from lbkit.experiment import Experiment


class Refusals:
    """What the columns `firewall`, `score` and `kind` say together.

    A request is *flagged* when the firewall refuses it, or would in the mode "block"."""

    experiment: Experiment
    columns: dict[str, array[float]]

    @property
    def counted(self) -> list[bool]:
        """For each row, whether the statistics count it."""
        raise NotImplementedError

    @cached_property
    def flagged(self) -> list[bool]:
        """For each row, whether the firewall flagged it. Raises ValueError without a firewall."""
        if "firewall" not in self.columns:
            raise ValueError('the experiment has no firewall: use FirewallRules(mode="block")')
        return [rule != 0 for rule in self.columns["firewall"]]

    def by_firewall_rule(self) -> dict[int, int]:
        """Return the counted requests that each rule flagged, by its id, the most frequent first.

        Of the rules that a request breaks, the one with the highest score. Raises ValueError without a
        firewall."""
        rows = zip(self.columns["firewall"], self.flagged, self.counted, strict=True)
        return dict(
            Counter(int(rule) for rule, flagged, counted in rows if flagged and counted).most_common()
        )

    @cached_property
    def firewall_rates(self) -> list[Rate]:
        """Counted requests of each kind, and those flagged; "all" is for attacks, or others, together.

        `lbkit.core.detection_rates.table` writes several results side by side. Raises ValueError without a
        firewall."""
        flagged, kinds = self.flagged, self.experiment.traffic.mix
        numbers = self.columns["kind"] if kinds else array("i", bytes(4 * len(flagged)))
        names = [(kind.name, kind.attack) for kind in kinds] or [("item", False)]
        rows = list(compress(enumerate(int(number) for number in numbers), self.counted))
        attacks, harmless = (
            [(names[number][0], row) for row, number in rows if names[number][1] is attack]
            for attack in (True, False)
        )
        return rates(lambda row: flagged[row], attacks, harmless)

    @property
    def detection_rate(self) -> float:
        """The share of attacks (`RequestKind.attack`) that the firewall flagged; nan if there are none."""
        return self._share(True)

    @property
    def false_alarm_rate(self) -> float:
        """The share of requests that are no attacks, and that the firewall flagged; nan if there are none."""
        return self._share(False)

    def _share(self, hostile: bool) -> float:
        both = (rate.share for rate in self.firewall_rates if rate.kind == "all" and rate.hostile is hostile)
        return next(both, nan)

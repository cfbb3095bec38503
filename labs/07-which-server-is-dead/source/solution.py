class Watch:
    """Decides, from the results of probes, whether a server is up."""

    def __init__(self, rise=2, fall=3, up=True, interval=1.0, timeout=0.5):
        """`rise` good results in a row bring a server up, `fall` bad ones take it down; `up`: the state to begin with.

        A probe is sent every `interval` seconds and is given up after `timeout`. Raises ValueError for
        numbers with which no watch can work."""
        ### BEGIN SOLUTION
        if rise < 1 or fall < 1:
            raise ValueError(f"rise is {rise} and fall is {fall}: use 1 or more")
        if not 0 < timeout <= interval:
            raise ValueError(f"timeout is {timeout}: use more than 0, and at most the interval, {interval}")
        self.rise, self.fall = rise, fall
        self.up = up
        self.against = 0  # results in a row that speak against the state
        self.latest = -1  # the number of the latest probe with a result
        ### END SOLUTION

    def result(self, number, ok):
        """Note the result of probe `number`; probes are numbered in the order in which they were sent.

        Sets `self.up`. Returns "up" or "down" if the state has changed, otherwise None."""
        ### BEGIN SOLUTION
        if number <= self.latest:
            return None  # a later probe has said more already
        self.latest = number
        if ok == self.up:
            self.against = 0
            return None
        self.against += 1
        if self.against < (self.fall if self.up else self.rise):
            return None
        self.up, self.against = ok, 0
        return "up" if ok else "down"
        ### END SOLUTION

class Watch:
    """Decides, from the results of probes, whether a server is up."""

    def __init__(self, rise=2, fall=3, up=True, interval=1.0, timeout=0.5):
        """`rise` good results in a row bring a server up, `fall` bad ones take it down; `up`: the state to begin with.

        A probe is sent every `interval` seconds and is given up after `timeout`. Raises ValueError for
        numbers with which no watch can work."""
        raise NotImplementedError  # your code here

    def result(self, number, ok):
        """Note the result of probe `number`; probes are numbered in the order in which they were sent.

        Sets `self.up`. Returns "up" or "down" if the state has changed, otherwise None."""
        raise NotImplementedError  # your code here

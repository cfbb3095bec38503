"""HAProxy's way: one counter from 0 to rise + fall - 1, which falls to the end of its half with each contrary result."""


class Watch:
    def __init__(self, rise=2, fall=3, up=True, interval=1.0, timeout=0.5):
        if rise < 1 or fall < 1 or not 0 < timeout <= interval:
            raise ValueError("settings")
        self.rise, self.fall = rise, fall
        self.health = rise + fall - 1 if up else 0
        self.newest = float("-inf")

    @property
    def up(self):
        return self.health >= self.rise

    def result(self, number, ok):
        if number <= self.newest:
            return None
        self.newest, before = number, self.up
        if ok:
            self.health += 1
            if self.health >= self.rise:
                self.health = self.rise + self.fall - 1
        else:
            self.health -= 1
            if self.health < self.rise:
                self.health = 0
        if self.up == before:
            return None
        return "up" if self.up else "down"

"""The processes that serve: how they start, restart and stop, their orders, and their reports.

`generation` is the supervisor's side of the workers of one configuration, `worker` the process itself, and
`stand_in` what answers while none runs. `orders` is what a process can be told, `report` what it tells, and
`figures` the sum over processes. `control` is all of it for the admin interface.
"""
